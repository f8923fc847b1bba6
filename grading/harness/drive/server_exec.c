#include "drive/server_exec.h"
#include "core/sandbox.h"
#include "core/timeline.h"
#include "drive/call_log.h"
#include "drive/valgrind_stacks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <unistd.h>

const char *server_program, *sanitized_program, *faults_library;
const char *pipe_order_library, *helgrind_suppressions;
const char *call_recorder_library, *crash_recorder_library;
bool without_valgrind;

static struct rlimit descriptors_given;

/* "/build/faults.so" and "x" give "/build/x". */
static const char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    int folder = slash == NULL ? 0 : (int)(slash - path + 1);
    char *result;
    if (asprintf(&result, "%.*s%s", folder, path, name) == -1)
        abort();
    return result;
}

void find_companions(const char *library)
{
    crash_recorder_library = beside(library, "crash_recorder.so");
    pipe_order_library = beside(library, "pipe_order.so");
    call_recorder_library = beside(library, "call_recorder.so");
    helgrind_suppressions = beside(library, "helgrind.supp");
}

void find_sanitized_program(void)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s-tsan", server_program);
    sanitized_program = access(path, X_OK) == 0 ? path : NULL;
}

void raise_descriptor_limit(void)
{
    getrlimit(RLIMIT_NOFILE, &descriptors_given);
    setrlimit(RLIMIT_NOFILE,
              &(struct rlimit){descriptors_given.rlim_max, descriptors_given.rlim_max});
}

bool has_valgrind_log(const struct server_options *options)
{
    return options->tool == MEMCHECK || options->tool == HELGRIND;
}

/* Leaves the server no descriptor of the harness but its two outputs and, if there are any,
 *  - the two memories in which its calls and its crashes are recorded, or
 *  - valgrind's log: valgrind has a copy of its own, where the server cannot reach it.
 * Preloaded libraries close these before main: they get the lowest free numbers, since high ones
 * would enlarge the table of descriptors. */
static bool set_up_descriptors(const struct server_options *options, int out, int err, int crashes)
{
    enum { FIRST = 3, SPARE = 10, USUAL_DESCRIPTORS = 1024 };
    int free_fd = options->first_free_fd > FIRST ? options->first_free_fd : FIRST;
    int null = open("/dev/null", O_RDONLY);
    if (dup2(null, 0) == -1 || dup2(out, 1) == -1 || dup2(err, 2) == -1)
        return false;
    int log = call_log_fd(), recordings = (crashes != -1) + (log != -1);
    if ((crashes != -1 && (crashes = fcntl(crashes, F_DUPFD, SPARE)) == -1) ||
        (log != -1 && !move_call_log(fcntl(log, F_DUPFD, SPARE))))
        return false;
    if ((crashes != -1 && dup2(crashes, FIRST) == -1) ||
        (log != -1 && !move_call_log(FIRST + recordings - 1)))
        return false;
    close_range((unsigned)(FIRST + recordings), ~0U, 0);
    struct rlimit limit = descriptors_given;
    if (limit.rlim_cur < USUAL_DESCRIPTORS)
        limit.rlim_cur = USUAL_DESCRIPTORS;
    if (options->descriptors == MAX_DESCRIPTORS || options->first_free_fd > 0)
        limit.rlim_cur = limit.rlim_max;
    else if (options->descriptors > 0)
        limit.rlim_cur = limit.rlim_max = (rlim_t)options->descriptors;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
        return false;
    if ((log != -1 && !move_call_log(free_fd + recordings - 1)) ||
        (crashes != -1 && dup2(FIRST, free_fd) == -1))
        return false;
    for (int fd = FIRST; fd < options->first_free_fd; fd++)
        if (dup2(0, fd) == -1)
            return false;
    return true;
}

static void set_up_environment(const struct server_options *options, bool record_crashes)
{
    char text[16], *libraries;
    unsetenv("LD_PRELOAD");
    unsetenv("FAULTS");
    unsetenv("TIMELINE_FILE");
    unsetenv("VALGRIND_OPTS");
    /* Also without faults: the library stops kill(-1, ...). helgrind would report errors in it. */
    bool use_faults = options->faults != NULL || options->tool != HELGRIND;
    bool record_calls = call_log_fd() != -1;
    const char *timeline = options->tool == PLAIN ? options->timeline_file : NULL;
    if (timeline != NULL)
        setenv("TIMELINE_FILE", timeline, 1);
    if (asprintf(&libraries, "%s%s%s%s%s%s%s", timeline != NULL ? timeline_library() : "",
                 timeline != NULL ? ":" : "", record_calls ? call_recorder_library : "",
                 record_calls ? ":" : "", use_faults ? faults_library : pipe_order_library,
                 record_crashes ? ":" : "", record_crashes ? crash_recorder_library : "") == -1)
        abort();
    if (options->tool != THREAD_SANITIZER) /* which intercepts the same calls */
        setenv("LD_PRELOAD", libraries, 1);
    snprintf(text, sizeof text, "%d", options->first_free_fd > 3 ? options->first_free_fd : 3);
    unsetenv("CRASH_RECORD");
    if (record_crashes)
        setenv("CRASH_RECORD", text, 1);
    unsetenv("VALGRIND_LOG");
    if (has_valgrind_log(options))
        setenv("VALGRIND_LOG", text, 1);
    snprintf(text, sizeof text, "%d", call_log_fd());
    unsetenv(CALL_LOG_VARIABLE);
    if (record_calls)
        setenv(CALL_LOG_VARIABLE, text, 1);
    if (options->faults != NULL)
        setenv("FAULTS", options->faults, 1);
}

/* --command-line-only=yes: what a ~/.valgrindrc asks for is not meant for us.
 * --vgdb=no: a killed valgrind would leave its pipes in /tmp.
 * Only definite and indirect leaks: the memory of a detached thread that is just ending is
 * "possibly" lost. */
static const char *const plain[] = {NULL};
static const char *const memcheck[] = {"valgrind",
                                       "--command-line-only=yes",
                                       "--vgdb=no",
                                       "--leak-check=full",
                                       "--show-leak-kinds=definite,indirect,reachable",
                                       "--errors-for-leak-kinds=definite,indirect",
                                       "--track-fds=yes",
                                       "--num-callers=6",
                                       NULL};
/* --num-callers: some suppressions name a function far up the stack. */
static const char *const helgrind[] = {"valgrind",  "--command-line-only=yes", "--tool=helgrind",
                                       "--vgdb=no", "--num-callers=40",        NULL};
static const char *const *const tools[] = {
    [PLAIN] = plain, [MEMCHECK] = memcheck, [HELGRIND] = helgrind, [THREAD_SANITIZER] = plain};

static _Noreturn void fail(int *error)
{
    *error = errno != 0 ? errno : EINVAL;
    _exit(127);
}

_Noreturn void exec_server(const struct server_options *options, pid_t parent, int out, int err,
                           int closed_before_main, int *error)
{
    enum { MAX_ARGUMENTS = 24 };
    const char *argv[MAX_ARGUMENTS] = {0};
    int n = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!sandbox_is_used() && getppid() != parent) /* a sandbox ends with its creator anyway */
        _exit(127);
    setpgid(0, 0); /* a server that signals its group must not signal the grader */
    if (!set_up_descriptors(options, out, err, closed_before_main))
        fail(error);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGPIPE, SIG_DFL);
#ifdef NICE_OF_SERVERS /* for tests/grade-unevenly */
    setpriority(PRIO_PROCESS, 0, NICE_OF_SERVERS);
#endif
    /* Where every large mapping is of huge pages, a touched byte would count as 2 MiB of memory. */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    set_up_environment(options, options->tool == PLAIN && closed_before_main != -1);
    if (options->tool == THREAD_SANITIZER) /* the server could have defaults of its own */
        setenv("TSAN_OPTIONS", "report_bugs=1 exitcode=66 log_path=stderr", 1);
    if (options->tool == THREAD_SANITIZER) /* it refuses to run with too much of it */
        personality(ADDR_NO_RANDOMIZE);
    for (const char *const *a = tools[options->tool]; *a != NULL; a++)
        argv[n++] = *a;
    char log[40], suppressions[4096];
    snprintf(log, sizeof log, "--log-fd=%d",
             options->first_free_fd > 3 ? options->first_free_fd : 3);
    if (has_valgrind_log(options))
        argv[n++] = log;
    snprintf(suppressions, sizeof suppressions, "--suppressions=%s", helgrind_suppressions);
    if (options->tool == HELGRIND)
        argv[n++] = suppressions;
    const char *option = *tools[options->tool] != NULL ? stack_option(server_program) : NULL;
    if (option != NULL)
        argv[n++] = option;
    argv[n++] = options->tool == THREAD_SANITIZER ? sanitized_program : server_program;
    for (const char *const *a = options->argv; *a != NULL && n < MAX_ARGUMENTS - 1; a++)
        argv[n++] = *a;
    execvp(argv[0], (char *const *)argv);
    fail(error);
}
