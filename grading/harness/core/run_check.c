#include "core/run_check.h"
#include "core/hints.h"
#include "core/report.h"
#include "core/supervisor.h"
#include "core/timeline.h"

#include <check.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far above the deadline of any wait: only a defect of the harness takes longer. */
enum { MAX_SECONDS = 300 };

static void (*running)(void);
static const char *running_name;
static pid_t subreaper;

pid_t check_process(void)
{
    return subreaper;
}

START_TEST(run_body)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    begin_timeline(running_name);
    running();
    end_timeline();
    if (passed_hook != NULL)
        passed_hook();
    report->status = PASSED;
}
END_TEST

/* The body sets the status, in shared memory. A body that set none crashed, hung or was killed:
 * that is the grader's fault, whatever libcheck calls it. */
static void run(const char *name, void (*body)(void))
{
    running = body;
    running_name = name;
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
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
}

static void become_subreaper(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    subreaper = getpid();
}

/* Those that this process may use: a container may have a few of a large machine's. */
static int usable_cpus(void)
{
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus)
                                                         : (int)sysconf(_SC_NPROCESSORS_ONLN);
}

/* The checks mostly wait. */
int max_concurrent(void)
{
    const char *jobs = getenv("GRADE_JOBS");
    int n = jobs != NULL ? atoi(jobs) : usable_cpus() + 3;
    return n > 0 ? n : 1;
}

/* Empty reports that the processes of this one's children can fill in, or NULL. */
static struct report *share_reports(size_t n)
{
    void *memory = mmap(NULL, n * sizeof(struct report), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static pid_t start_part(const char *name, void (*body)(void), struct report *its_report)
{
    pid_t process = fork();
    if (process == 0) {
        become_subreaper();
        report = its_report;
        run(name, body);
        _exit(0);
    }
    return process;
}

static void run_parts(const struct check *check)
{
    void (*bodies[MAX_PARTS + 1])(void) = {check->body};
    pid_t processes[MAX_PARTS + 1];
    int n = 1;
    for (int i = 0; i < MAX_PARTS && check->parts[i] != NULL; i++)
        bodies[n++] = check->parts[i];
    struct report *reports = share_reports((size_t)n);
    /* The others end when an earlier one has not passed, or could not be started. */
    int decisive = 0, started = 0;
    for (bool passed = reports != NULL; passed && decisive < n;) {
        for (; started < n && (started <= decisive || max_concurrent() > 1); started++)
            processes[started] = start_part(check->name, bodies[started], &reports[started]);
        while (waitpid(processes[decisive], NULL, 0) == -1 && errno == EINTR)
            ;
        passed = reports[decisive].status == PASSED;
        decisive += passed;
    }
    if (reports != NULL)
        *report = reports[decisive < n ? decisive : 0];
    kill_descendants();
}

static void run_whole(const struct check *check)
{
    if (check->parts[0] != NULL)
        run_parts(check);
    else
        run(check->name, check->body);
}

/* A crash that does not happen again, because it depends on when threads run, must not hide what
 * the checks that need this one would find. It is a failure all the same. */
static bool passes_again(const struct check *check)
{
    struct report *first = report, *second = share_reports(1);
    if (second == NULL)
        return false;
    report = second;
    run_whole(check);
    report = first;
    if (second->status != PASSED)
        return false;
    evidence("the server does not always crash: when the check was run again, it passed");
    return true;
}

bool run_check(const struct check *check, struct report *its_report)
{
    become_subreaper();
    report = its_report;
    run_whole(check);
    /* What is being drawn is what failed. */
    return report->status == FAILED && server_crashed() && timeline_library() == NULL &&
           passes_again(check);
}
