/* Memory that the server inherits as a descriptor, writes to, and that the harness reads. */
#ifndef DRIVE_SHARED_MEMORY_H
#define DRIVE_SHARED_MEMORY_H

#include <stddef.h>

/* Zeros, mapped into the harness with this protection (PROT_READ ...); NULL, and -1 as the
 * descriptor, if there is no memory. The server cannot change its size. */
void *share_memory(const char *name, size_t size, int protection, int *fd);

#endif
