/* Does the server use CPU time while there is nothing to do? */
#ifndef DRIVE_IDLE_H
#define DRIVE_IDLE_H

#include "drive/server_process.h"

/* Waits for a stretch of time in which the server wakes at most once and uses no more CPU time than
 * ten times `echo` nanoseconds; is_idle says whether there was one. `when` completes "the server
 * asleep ...": "with no client". */
bool is_idle(struct server *s, uint64_t echo);
void expect_idle(struct server *s, uint64_t echo, const char *when);
/* The same for a server that may try something again from time to time: 25 wake-ups a second. */
void expect_no_spinning(struct server *s, uint64_t echo, const char *when);

#endif
