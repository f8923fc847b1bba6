/*
 * Runs the selected checks, each in a process of its own, and writes the results in their order.
 * Several run at the same time, those that take long first, and without waiting for those that they
 * need: the results of a check whose need did not pass are discarded. With GRADE_JOBS=1 they run in
 * their order, one after the other.
 *
 * The parts of a check mostly wait: they run at the same time, each in a process of its own. What
 * the check reports is what it would if they ran one after another: the first that does not pass.
 *
 * A check for which the machine was too slow has no verdict. It is run once more when the others
 * have ended, alone.
 *
 * A check is skipped when one that it needs did not pass. But if the server crashed and does not
 * when the check is run again, the failure stays, and those that need the check are run. If only
 * some checks are selected, those that they need are run only after a failure, to say where to
 * begin.
 */
#ifndef CORE_RUNNER_H
#define CORE_RUNNER_H

#include <stdbool.h>

/* Returns the exit status: 0 graded, 3 the machine or the grader failed. */
int run_checks(const char *lab, const char *json_file, bool show_progress);

#endif
