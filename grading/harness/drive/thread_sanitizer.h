/* The second opinion on a data race. helgrind does not know that C11 atomics order what threads do,
 * and ThreadSanitizer does; but that one has to be compiled into the server. */
#ifndef DRIVE_THREAD_SANITIZER_H
#define DRIVE_THREAD_SANITIZER_H

#include "drive/server.h"

/* Stops a server started with .tool = HELGRIND. Has helgrind reported a data race, and is there a
 * server to be started with .tool = THREAD_SANITIZER? */
bool is_second_opinion_needed(struct server *s);
/* Stops that one; fails if ThreadSanitizer has found a data race as well. */
void expect_no_race_found(struct server *s);

#endif
