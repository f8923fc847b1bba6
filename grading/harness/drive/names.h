/* What a descriptor of the server is, in words. */
#ifndef DRIVE_NAMES_H
#define DRIVE_NAMES_H

#include <stddef.h>
#include <sys/types.h>

/* "client A", "the listening socket", "a pipe". After read_connections(). */
void name_descriptor(char *text, size_t size, pid_t pid, int fd);

#endif
