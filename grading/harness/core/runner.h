/*
 * Runs the selected checks in their order, each in a process of its own, and writes the results.
 *
 * The parts of a check mostly wait: they run at the same time, each in a process of its own. What
 * the check reports is what it would if they ran one after another: the first that does not pass.
 *
 * A check is skipped when one that it needs did not pass. If only some checks are selected, those
 * that they need are run only after a failure, to say where to begin.
 */
#ifndef CORE_RUNNER_H
#define CORE_RUNNER_H

#include <stdbool.h>
#include <sys/types.h>

/* Returns the exit status: 0 graded, 3 the machine or the grader failed. */
int run_checks(const char *lab, const char *json_file, bool show_progress);

/* The process of the current check, a subreaper: all that the check starts descends from it. 0 when
 * there is none. */
pid_t check_process(void);

#endif
