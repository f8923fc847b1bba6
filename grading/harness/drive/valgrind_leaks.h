/* What a server had allocated itself and never freed, although a pointer to it was left. */
#ifndef DRIVE_VALGRIND_LEAKS_H
#define DRIVE_VALGRIND_LEAKS_H

#include "drive/server_process.h"

/* After expect_clean_memory(). That leaves out what is still reachable, from a queue for example,
 * since a library may keep such memory for good reasons. Fails if server.c has allocated any. */
void expect_all_freed(struct server *s);

#endif
