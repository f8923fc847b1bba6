/* What a descriptor of the server is, in words. */
#ifndef DRIVE_DESCRIPTOR_NAME_H
#define DRIVE_DESCRIPTOR_NAME_H

#include <stddef.h>
#include <sys/types.h>

/* "client A", "the listening socket", "a pipe". After read_connections(). */
void name_descriptor(char *text, size_t size, pid_t pid, int fd);

#endif
