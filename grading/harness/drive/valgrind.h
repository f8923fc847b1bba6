/* What valgrind reported about the server. */
#ifndef DRIVE_VALGRIND_H
#define DRIVE_VALGRIND_H

#include "drive/server_process.h"

/* Stops a server started with .tool = MEMCHECK; fails unless memcheck found no error, no lost
 * memory and no descriptor left open. */
void expect_clean_memory(struct server *s);
/* Stops a server started with .tool = HELGRIND; fails unless helgrind found no error. */
void expect_no_data_race(struct server *s);

#endif
