/* Is the process that serves a client one that valgrind observes? */
#ifndef DRIVE_VALGRIND_PROCESSES_H
#define DRIVE_VALGRIND_PROCESSES_H

#include "drive/peer.h"

/* When this client has received something, for the first time: fails if the server runs under
 * valgrind, and a process that does not has this client's socket. */
void expect_served_under_valgrind(struct peer *p);

#endif
