/* Runs one check, in the process that calls this: a child of the one that runs them all. */
#ifndef CORE_RUN_CHECK_H
#define CORE_RUN_CHECK_H

#include "core/check_registry.h"

#include <stdbool.h>
#include <sys/types.h>

struct report;

/* How many checks, or parts of one, may run at the same time. */
int max_concurrent(void);

/* Makes this process a subreaper, and runs the check and its parts. The report is in shared memory.
 * Returns true if it failed because the server crashed, and passed when it was run again. */
bool run_check(const struct check *check, struct report *its_report);

/* The process of the current check, a subreaper: all that the check starts descends from it. 0 when
 * there is none. */
pid_t check_process(void);

#endif
