/* What valgrind reported about the server. */
#ifndef DRIVE_VALGRIND_H
#define DRIVE_VALGRIND_H

#include "drive/server_process.h"

/* Stops a server started with .tool = MEMCHECK; fails unless memcheck found no error, no lost
 * memory and no descriptor left open. */
void expect_clean_memory(struct server *s);
/* Stops a server started with .tool = HELGRIND; fails unless helgrind found no error. */
void expect_no_data_race(struct server *s);
/* A check that fails after valgrind has met a system call that it does not know passes, if the
 * server ends on SIGTERM and valgrind has reported no error. */
void excuse_unknown_calls(void);
/* Before a failure to which that does not apply. */
void excuse_nothing(void);

#endif
