#include "core/runner.h"
#include "core/clock.h"
#include "core/preflight.h"
#include "core/report.h"
#include "core/report_json.h"
#include "core/run_check.h"
#include "core/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_REPEATS = 3 };

/* What is known of a check; in memory shared with the process that runs it. */
struct outcome {
    enum { WAITING, RUNNING, ENDED, DONE } state; /* ENDED: do those that it needs pass? */
    bool requested; /* its result is wanted; others may be needed by it */
    bool shown;
    bool by_chance; /* it failed because the server crashed, and passed when it was run again */
    int repeats; /* the machine was too slow, so it is run again, alone, up to MAX_REPEATS times */
    const char *failed_need; /* it was skipped because this check did not pass, or failed as well */
    pid_t process;
    double seconds, cpu_seconds; /* the CPU time of the check, its servers and their descendants */
    struct report report;
};

static struct outcome *outcomes;               /* by the check's number */
static bool needed_by[MAX_CHECKS][MAX_CHECKS]; /* [i][j]: j needs i, directly or not */

/* Runs the check in a process of its own, a subreaper: concurrent checks must not kill each other's
 * servers. */
static void start(int number)
{
    struct outcome *outcome = &outcomes[number];
    outcome->state = RUNNING;
    pid_t process = fork();
    if (process == 0) {
        double start = now();
        outcome->by_chance = run_check(check_at(number), &outcome->report);
        outcome->seconds = now() - start;
        _exit(0);
    }
    outcome->process = process;
    if (process == -1)
        outcome->state = ENDED;
}

static double in_seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* The number of the check that has ended. A check's process is a subreaper, so the usage includes
 * all that it started. */
static int wait_for_any(void)
{
    for (int status;;) {
        struct rusage usage;
        pid_t process = wait4(-1, &status, 0, &usage);
        if (process == -1 && errno != EINTR)
            abort();
        for (int i = 0; i < count_checks(); i++)
            if (outcomes[i].state == RUNNING && outcomes[i].process == process) {
                outcomes[i].cpu_seconds = in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
                return i;
            }
    }
}

static enum status status_of(int number)
{
    return outcomes[number].report.status;
}

/* May the checks that need this one be run? */
static bool permits_others(int number)
{
    return status_of(number) == PASSED || outcomes[number].by_chance;
}

/* Has all ended that the check needs, directly or by way of one that is not run (--brief)? */
static bool needs_have_ended(int number)
{
    const char *needs = check_at(number)->needs;
    for (int needed; (needed = next_needed(&needs)) >= 0;)
        if (is_selected(needed) ? outcomes[needed].state != DONE : !needs_have_ended(needed))
            return false;
    return true;
}

/* The first of them that does not permit the check to be run; NULL if there is none. */
static const char *failed_need_of(int number)
{
    const char *needs = check_at(number)->needs, *failed = NULL;
    for (int needed; failed == NULL && (needed = next_needed(&needs)) >= 0;)
        if (!is_selected(needed))
            failed = failed_need_of(needed);
        else if (!permits_others(needed))
            failed = check_at(needed)->name;
    return failed;
}

/* All that the check needs is known: it can be run, or is skipped. */
static bool is_decided(int number)
{
    if (!needs_have_ended(number))
        return false;
    if (outcomes[number].failed_need == NULL)
        outcomes[number].failed_need = failed_need_of(number);
    return true;
}

static bool runs_a_check(pid_t pid)
{
    for (int i = 0; i < count_checks(); i++)
        if (outcomes[i].state == RUNNING && outcomes[i].process == pid)
            return true;
    return false;
}

/* Whatever it found proves nothing. */
static void discard(int number)
{
    struct outcome *outcome = &outcomes[number];
    bool runs = outcome->state == RUNNING;
    outcome->state = DONE;
    if (runs)
        kill_unless(runs_a_check); /* this one does not any more */
    memset(&outcome->report, 0, sizeof outcome->report);
    outcome->seconds = outcome->cpu_seconds = 0;
}

/* What has become known: checks are skipped, although they may have been started early, or their
 * results count. Those that a check needs precede it. Returns how many are still running. */
static int settle(void)
{
    int running_now = 0;
    for (int i = 0; i < count_checks(); i++) {
        if (is_selected(i) && outcomes[i].state != DONE && is_decided(i)) {
            if (outcomes[i].failed_need != NULL)
                discard(i);
            else if (outcomes[i].state == ENDED)
                outcomes[i].state = DONE;
        }
        running_now += outcomes[i].state == RUNNING;
    }
    return running_now;
}

static void find_needs(void)
{
    for (int i = 0; i < count_checks(); i++)
        for (int j = 0; j < count_checks(); j++)
            needed_by[i][j] = is_selected(i) && is_needed_by(i, j);
}

/* Most servers pass most checks, so a check need not wait until those that it needs have passed: if
 * one does not, the result is discarded. But if the first does not (the server is not finished), no
 * other is started in vain. */
static bool may_start_early(int number)
{
    for (int i = 0; i < number; i++)
        if (needed_by[i][number] &&
            (outcomes[i].state == DONE || outcomes[i].state == ENDED ||
             check_at(i)->needs == NULL) &&
            !permits_others(i))
            return false;
    return true;
}

static bool runs_alone(int number)
{
    return check_at(number)->alone || outcomes[number].repeats > 0;
}

enum urgency { LENGTHY, IN_ORDER, EARLY, ALONE };

static bool can_start(int number, enum urgency urgency)
{
    const struct check *check = check_at(number);
    if (!is_selected(number) || outcomes[number].state != WAITING ||
        runs_alone(number) != (urgency == ALONE))
        return false;
    if (urgency == LENGTHY)
        return check->lengthy && may_start_early(number);
    return urgency == EARLY ? may_start_early(number) : is_decided(number);
}

static int lengthy_ones_running(void)
{
    int n = 0;
    for (int i = 0; i < count_checks(); i++)
        n += outcomes[i].state == RUNNING && check_at(i)->lengthy;
    return n;
}

/* The check to start next, -1 if there is none. What takes long begins early, but leaves room for
 * one of the others, whose failures are of more use; one that must run alone begins when no other
 * can. */
static int next_check(int running_now, bool early)
{
    early &= max_concurrent() > 1;
    bool possible[] = {[LENGTHY] = early && lengthy_ones_running() + 1 < max_concurrent(),
                       [IN_ORDER] = true,
                       [EARLY] = early,
                       [ALONE] = running_now == 0};
    for (enum urgency u = LENGTHY; u <= ALONE; u++) {
        if (!possible[u])
            continue;
        for (int i = 0; i < count_checks(); i++)
            if (can_start(i, u))
                return i;
    }
    return -1;
}

static bool may_be_repeated(int number)
{
    return outcomes[number].report.was_too_slow && outcomes[number].repeats < MAX_REPEATS;
}

static int terminal_width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* A line on the terminal, replaced each time, and so never longer than the terminal is wide; a
 * failure stays as soon as it is known. */
static void print_progress(const char *lab)
{
    int selected = 0, done = 0;
    for (int i = 0; i < count_checks(); i++) {
        selected += is_selected(i);
        done += outcomes[i].state == DONE;
        if (outcomes[i].state != DONE || outcomes[i].shown ||
            (status_of(i) != FAILED && status_of(i) != ERROR) || may_be_repeated(i))
            continue;
        outcomes[i].shown = true;
        fprintf(stderr, "\r\033[K%s  %s %s\n", lab, check_at(i)->name,
                status_of(i) == FAILED ? "failed" : "could not be run");
    }
    char line[1024];
    size_t length = (size_t)snprintf(line, sizeof line, "%s  %d of %d", lab, done, selected);
    for (int i = 0; i < count_checks() && length < sizeof line; i++)
        if (outcomes[i].state == RUNNING)
            length +=
                (size_t)snprintf(line + length, sizeof line - length, "  %s", check_at(i)->name);
    fprintf(stderr, "\r\033[K%.*s", terminal_width() - 1, line); /* all ASCII */
}

static void forget(int number)
{
    outcomes[number].state = WAITING;
    outcomes[number].failed_need = NULL;
    memset(&outcomes[number].report, 0, sizeof outcomes[number].report);
}

/* No verdict is repeated: these checks have none, and the others, which kept the machine busy, have
 * ended. Those that were skipped because of them have another chance as well. */
static bool repeat_those_held_up(void)
{
    bool any = false;
    for (int i = 0; i < count_checks(); i++)
        if (outcomes[i].state == DONE && may_be_repeated(i)) {
            forget(i);
            outcomes[i].repeats++;
            any = true;
        }
    for (int i = 0; any && i < count_checks(); i++)
        if (outcomes[i].state == DONE && outcomes[i].failed_need != NULL)
            forget(i);
    return any;
}

/* Runs those that have not run yet; until one has failed, if so wanted. */
static void run_selected(const char *lab, bool show_progress, bool until_failure)
{
    bool alone = false, over = false;
    find_needs();
    for (;;) {
        int running_now = settle();
        for (int next; !over && !alone && running_now < max_concurrent() &&
                       (next = next_check(running_now, !until_failure)) >= 0;) {
            start(next);
            running_now = settle();
            alone = runs_alone(next);
        }
        if (show_progress)
            print_progress(lab);
        if (running_now == 0 && !over && repeat_those_held_up())
            continue;
        if (running_now == 0)
            break;
        int ended = wait_for_any();
        outcomes[ended].state = ENDED;
        over |= until_failure && status_of(ended) == FAILED;
        alone = false;
    }
    if (show_progress)
        fprintf(stderr, "\r\033[K");
}

static bool is_failure(int number)
{
    return outcomes[number].requested && status_of(number) == FAILED;
}

/* For each failure: does one of the checks that it needs, and that did not run, fail too? */
static void run_those_needed_by_failures(const char *lab, bool show_progress)
{
    for (int i = 0; i < count_checks(); i++)
        if (is_failure(i))
            select_needed_by(i);
    run_selected(lab, show_progress, true);
    for (int i = 0; i < count_checks(); i++)
        for (int j = 0; is_failure(i) && outcomes[i].failed_need == NULL && j < i; j++)
            if (is_needed_by(j, i) && status_of(j) == FAILED)
                outcomes[i].failed_need = check_at(j)->name;
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

static struct totals add_results(json_t *results)
{
    struct totals totals = {0};
    for (int i = 0; i < count_checks(); i++) {
        const struct check *check = check_at(i);
        struct outcome *outcome = &outcomes[i];
        if (!outcome->requested)
            continue;
        report = &outcome->report;
        if (outcome->failed_need == NULL && report->status == UNFINISHED) {
            report->status = ERROR;
            snprintf(report->received, sizeof report->received,
                     "the check's process could not be started, or was killed");
        }
        json_array_append_new(results, result_as_json(check, report->status, outcome->failed_need,
                                                      outcome->seconds, outcome->cpu_seconds));
        totals.max += check->points;
        totals.score += report->status == PASSED ? check->points : 0;
        totals.any_error |= report->status == ERROR;
    }
    return totals;
}

int run_checks(const char *lab, const char *json_file, bool show_progress)
{
    signal(SIGINT, SIG_IGN); /* the supervisor handles it, and kills this process */
    clear_environment();
    outcomes = mmap(NULL, (size_t)(count_checks() + 1) * sizeof *outcomes, PROT_READ | PROT_WRITE,
                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (outcomes == MAP_FAILED) {
        perror("grade: mmap");
        return 3;
    }
    json_t *results = json_array();
    const char *fault = machine_problem();
    struct totals totals = {.max = 100, .any_error = true};
    if (fault == NULL) {
        for (int i = 0; i < count_checks(); i++)
            outcomes[i].requested = is_selected(i);
        run_selected(lab, show_progress, false);
        run_those_needed_by_failures(lab, show_progress);
        totals = add_results(results);
    }
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
