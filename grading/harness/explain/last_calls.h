/* The server's last calls on its sockets, in words: evidence when a check fails. */
#ifndef EXPLAIN_LAST_CALLS_H
#define EXPLAIN_LAST_CALLS_H

#include "drive/server_process.h"

/* A line for the client that the failed step was about, and for each of a few others whose calls
 * show that something is wrong; also for a loop that spins. Nothing if the server's calls are not
 * recorded. After read_connections(). */
void add_last_calls(struct server *s);

#endif
