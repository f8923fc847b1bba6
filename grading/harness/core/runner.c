#include "core/runner.h"
#include "core/clock.h"
#include "core/preflight.h"
#include "core/report_json.h"
#include "core/supervisor.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* Far above the deadline of any wait: only a defect of the harness takes longer. */
enum { MAX_SECONDS = 300 };

static const struct check *running;

START_TEST(run_body)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    running->body();
    report->status = PASSED;
}
END_TEST

/* The body sets the status, in shared memory. A body that set none crashed, hung or was killed:
 * that is the grader's fault, whatever libcheck calls it. */
static enum status run(const struct check *check)
{
    memset(report, 0, sizeof *report);
    running = check;
    Suite *suite = suite_create(check->name);
    TCase *tcase = tcase_create(check->name);
    tcase_set_timeout(tcase, MAX_SECONDS);
    tcase_add_test(tcase, run_body);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);
    if (report->status == UNFINISHED) {
        TestResult **results = srunner_results(runner);
        snprintf(report->received, sizeof report->received,
                 "the check itself failed to complete: %s",
                 results != NULL ? tr_msg(results[0]) : "no result");
        free(results);
        report->status = ERROR;
    }
    srunner_free(runner);
    kill_descendants(); /* what the server's children left behind */
    return report->status;
}

/* The first check that this one needs and that did not pass, or NULL. */
static const char *failed_need(const struct check *check, const enum status *statuses)
{
    const char *needs = check->needs;
    for (int needed; (needed = next_needed(&needs)) >= 0;)
        if (statuses[needed] != PASSED)
            return check_at(needed)->name;
    return NULL;
}

/* libcheck reads these; a grade must not depend on them. */
static void clear_environment(void)
{
    static const char *const names[] = {
        "CK_FORK",          "CK_DEFAULT_TIMEOUT",   "CK_TIMEOUT_MULTIPLIER", "CK_RUN_SUITE",
        "CK_RUN_CASE",      "CK_INCLUDE_TAGS",      "CK_EXCLUDE_TAGS",       "CK_VERBOSITY",
        "CK_LOG_FILE_NAME", "CK_TAP_LOG_FILE_NAME", "CK_XML_LOG_FILE_NAME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

struct totals {
    int score, max;
    bool any_error;
};

static struct totals run_selected(const char *lab, bool show_progress, json_t *results)
{
    struct totals totals = {0};
    int count = count_checks(), selected = 0, done = 0;
    enum status *statuses = calloc((size_t)count + 1, sizeof *statuses);
    if (statuses == NULL)
        abort();
    for (int i = 0; i < count; i++)
        selected += is_selected(i);
    for (int i = 0; i < count; i++) {
        const struct check *check = check_at(i);
        if (!is_selected(i))
            continue;
        done++;
        if (show_progress)
            fprintf(stderr, "\r\033[K%s  %d of %d  %s ", lab, done, selected, check->name);
        double start = now();
        const char *failed = failed_need(check, statuses);
        statuses[i] = failed != NULL ? UNFINISHED : run(check);
        json_array_append_new(results, result_as_json(check, statuses[i], failed, now() - start));
        totals.max += check->points;
        totals.score += statuses[i] == PASSED ? check->points : 0;
        totals.any_error |= statuses[i] == ERROR;
    }
    if (show_progress)
        fprintf(stderr, "\r\033[K");
    free(statuses);
    return totals;
}

int run_checks(const char *lab, const char *json_file, bool show_progress)
{
    signal(SIGINT, SIG_IGN); /* the supervisor handles it, and kills this process */
    clear_environment();
    json_t *results = json_array();
    const char *fault = machine_problem();
    struct totals totals = {.max = 100, .any_error = true};
    if (fault == NULL)
        totals = run_selected(lab, show_progress, results);
    json_t *all = json_pack("{ss so si ss}", "lab", lab, "score",
                            totals.any_error ? json_null() : json_integer(totals.score), "max",
                            totals.max, "verdict", totals.any_error ? "error" : "graded");
    if (fault != NULL)
        json_object_set_new(all, "fault", json_string(fault));
    json_object_set_new(all, "checks", results);
    if (!write_json(all, json_file)) {
        fprintf(stderr, "grade: cannot write %s: %s\n", json_file, strerror(errno));
        return 3;
    }
    json_decref(all);
    return totals.any_error ? 3 : 0;
}
