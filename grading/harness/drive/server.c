#include "drive/server.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/report.h"
#include "core/sandbox.h"
#include "core/test_data.h"
#include "core/timeline.h"
#include "drive/backend.h"
#include "drive/call_log.h"
#include "drive/crash.h"
#include "drive/peer.h"
#include "drive/wait_loop.h"
#include "observe/signals.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- starting ---------------------------------------------------------------------------- */

/* Shared with the child until it has become the server, which thus cannot write there. */
static int *exec_error;

static void prepare_exec_error(void)
{
    if (exec_error == NULL)
        exec_error = mmap(NULL, sizeof *exec_error, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (exec_error == MAP_FAILED)
        grader_error("mmap: %s", strerror(errno));
    *exec_error = 0;
}

/* What is wrong if valgrind could not begin, or NULL. What is on standard error was written by
 * valgrind only if the server's first instruction has not been executed: that is logged before. */
static const char *failure_of_valgrind(struct server *s)
{
    const char *log = valgrind_log_of(s);
    if (strstr(log, "== Command: ") == NULL)
        return strstr(s->err.text, "valgrind: ");
    const char *fatal = strstr(log, "\nvalgrind: ");
    return fatal != NULL ? fatal + 1 : NULL;
}

/* If exec itself failed, or valgrind before the server's first instruction, the machine is at
 * fault. */
static void check_exec(struct server *s, enum tool tool)
{
    const char *fatal = NULL;
    bool with_valgrind = tool == MEMCHECK || tool == HELGRIND;
    if (*exec_error != 0)
        grader_error("cannot run %s: %s", with_valgrind ? "valgrind" : "the server",
                     strerror(*exec_error));
    if (with_valgrind)
        fatal = failure_of_valgrind(s);
    if (tool == THREAD_SANITIZER)
        fatal = strstr(s->err.text, "FATAL: ThreadSanitizer");
    if (fatal != NULL)
        grader_error("%.*s", (int)strcspn(fatal, "\n"), fatal);
}

static void check_listening_socket(struct server *s)
{
    enum listening where = listening_at(s->port);
    char expected[80];
    snprintf(expected, sizeof expected, "a listening socket on 127.0.0.1, port %d, as printed",
             s->port);
    note_failure(NOT_READY);
    if (where == NOWHERE) {
        fail_if_ended(s, expected);
        fail_check(s, expected, "nothing listens there");
    }
    if (where == ON_OTHER_ADDRESS)
        fail_check(s, expected, "one on an address other than 127.0.0.1 (INADDR_ANY?)");
}

static void wait_until_it_listens(struct server *s, enum tool tool)
{
    static const char expected[] = "the line \"listening on 127.0.0.1:PORT\" on standard output";
    struct wait w = begin_wait(s);
    const char *newline;
    int length = 0;
    while ((newline = strchr(s->out.text, '\n')) == NULL && s->out.size < OUTPUT_SIZE)
        if (!continue_wait(&w) && strchr(s->out.text, '\n') == NULL) {
            if (has_ended(s))
                check_exec(s, tool);
            else if (report->failure == OTHER_FAILURE)
                note_failure(NOT_READY);
            if (s->out.size == 0)
                fail_check(s, expected, "nothing; %s", w.why);
            fail_check(s, expected, "%s, then nothing; %s", quoted(s->out.text, s->out.size, 0),
                       w.why);
        }
    size_t size = newline != NULL ? (size_t)(newline - s->out.text) + 1 : s->out.size;
    sscanf(s->out.text, "listening on 127.0.0.1:%5d%n", &s->port, &length);
    note_failure(NOT_READY);
    if (length == 0 || (size_t)length + 1 != size || s->port <= 0)
        fail_check(s, expected, "%s", quoted(s->out.text, size, 0));
    s->listening_line = size;
    check_listening_socket(s);
    note_failure(OTHER_FAILURE);
}

/* What faults.h says of a fault, for those whose name does not. */
static void explain_faults(const char *faults)
{
    static const char *const clauses[][2] = {
        {"spurious_wakeup", "pthread_cond_wait() may return for no reason, as POSIX allows"},
        {"late_ends", "a thread whose client has left is slow after it has unlocked a mutex"},
        {"early_threads", "pthread_create() returns only when the new thread has ended or waits"},
        {"late_threads", "no new thread starts before several have been created"},
        {"strict_close", "a close() that fails with EBADF is reported on standard error"},
        {"eintr_close", "every other close() of a socket closes it, and fails with EINTR"},
        {"late_parent", "fork() returns in the parent only when the child has ended"},
        {"late_children", "fork() returns in a child only when a signal has arrived there"},
        {"late_kill", "kill() returns only when the child has ended"},
        {"small_buffers", "the server's sockets have small send buffers"},
    };
    for (size_t i = 0; i < sizeof clauses / sizeof *clauses; i++)
        if (strstr(faults, clauses[i][0]) != NULL)
            asked("(%s: %s)", clauses[i][0], clauses[i][1]);
}

static void report_start(const struct server_options *options)
{
    static const char *const tools[] = {[PLAIN] = "",
                                        [MEMCHECK] = " under memcheck",
                                        [HELGRIND] = " under helgrind",
                                        [THREAD_SANITIZER] = ", built with ThreadSanitizer,"};
    char line[300] = "./server", table[60] = "";
    for (const char *const *a = options->argv; *a != NULL; a++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s", **a != '\0' ? *a : "''");
    if (options->descriptors > 0)
        snprintf(table, sizeof table, " with at most %d descriptors", options->descriptors);
    else if (options->first_free_fd > 0)
        snprintf(table, sizeof table, " with all descriptors below %d in use",
                 options->first_free_fd);
    asked("%s is started%s%s%s%s", line, tools[options->tool], table,
          options->faults != NULL ? " with faults injected: " : "",
          options->faults != NULL ? options->faults : "");
    if (options->faults != NULL)
        explain_faults(options->faults);
}

struct server *start_server_with(struct server_options options)
{
    static const char *const plain_arguments[] = {"0", NULL};
    int out[2], err[2], valgrind_log[2] = {-1, -1};
    if (pipe2(out, O_CLOEXEC) == -1 || pipe2(err, O_CLOEXEC) == -1)
        grader_error("cannot create pipes for the server: %s", strerror(errno));
    clear_asked(); /* what earlier servers of this check were asked went well */
    if (options.argv == NULL)
        options.argv = options.backends ? backend_arguments() : plain_arguments;
    if (without_valgrind)
        options.tool = PLAIN;
    restart_peer_names();
    options.timeline_file = next_timeline_file(options.tool == PLAIN);
    note_server_started();
    report_start(&options);
    /* A server that is linked statically has neither. */
    const struct call_log *log = NULL;
    if (options.tool == PLAIN && !without_valgrind)
        log = open_call_log(server_program);
    report->can_be_traced = log != NULL;
    if (has_valgrind_log(&options) && pipe2(valgrind_log, O_CLOEXEC) == -1)
        grader_error("cannot create a pipe for valgrind: %s", strerror(errno));
    prepare_exec_error();
    struct crash_record *crashes = NULL;
    int crash_record = log != NULL ? create_crash_record(&crashes) : -1;
    pid_t parent = getpid(), pid = sandbox_is_used() ? fork_into_sandbox() : fork();
    if (pid == 0)
        exec_server(&options, parent, out[1], err[1],
                    crash_record != -1 ? crash_record : valgrind_log[1], exec_error);
    if (pid == -1)
        grader_error("fork: %s", strerror(errno));
    close(out[1]);
    close(err[1]);
    if (valgrind_log[1] != -1)
        close(valgrind_log[1]);
    if (crash_record != -1)
        close(crash_record);
    close_call_log();
    struct server *s = new_server(pid, out[0], err[0], valgrind_log[0]);
    s->valgrind = options.tool != PLAIN;
    s->has_faults = options.faults != NULL;
    s->crashes = crashes;
    s->call_log = log;
    if (!options.may_fail_to_start)
        wait_until_it_listens(s, options.tool);
    return s;
}

/* ---- stopping ---------------------------------------------------------------------------- */

static struct ending wait_for_end(struct server *s, const char *expected)
{
    struct wait w = begin_wait(s);
    while (!has_ended(s))
        if (!continue_wait(&w) && !has_ended(s))
            fail_check(s, expected, "it is still running; %s", w.why);
    note_failure(OTHER_FAILURE);
    return (struct ending){.by_signal = WIFSIGNALED(s->status),
                           .code = WIFSIGNALED(s->status) ? WTERMSIG(s->status)
                                                          : WEXITSTATUS(s->status),
                           .out = s->out.text + s->listening_line,
                           .err = s->err.text};
}

struct ending wait_for_exit(struct server *s, int status)
{
    char expected[64];
    snprintf(expected, sizeof expected, "the server exits at once, with status %d", status);
    return wait_for_end(s, expected);
}

bool exited_by_fault(struct server *s, struct ending *e)
{
    struct wait w = begin_wait(s);
    while (!has_ended(s))
        if (!continue_wait(&w) && strstr(standard_error_of(s), "FAULTS: SIGTERM") == NULL)
            return false;
        else if (w.over)
            break;
    *e = wait_for_end(s, "the server ends after SIGTERM, even if it arrives at the worst moment");
    return true;
}

struct ending stop_server(struct server *s, int sig)
{
    char expected[64];
    snprintf(expected, sizeof expected, "the server ends after SIG%s", sigabbrev_np(sig));
    asked("the server receives SIG%s", sigabbrev_np(sig));
    if (!has_ended(s)) {
        if (read_signals(s->pid, s->pid, &s->signals_before_stop))
            s->signal_sent = sig;
        kill(s->pid, sig);
    }
    if (s->frozen)
        thaw(s);
    return wait_for_end(s, expected);
}

/* ---- freezing ---------------------------------------------------------------------------- */

static bool is_stopped(const struct server *s)
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks), running = 0;
    for (int i = 0; i < n; i++)
        running += tasks[i].pid == s->pid && tasks[i].state != 'T';
    return n > 0 && running == 0;
}

void freeze(struct server *s)
{
    struct wait w = begin_wait(s);
    asked("the server is stopped (SIGSTOP)");
    kill(s->pid, SIGSTOP);
    s->frozen = true;
    s->frozen_since = now();
    while (!is_stopped(s))
        if (!continue_wait(&w) && has_ended(s))
            fail_check(s, "a running server", "%s", w.why);
}

void thaw(struct server *s)
{
    asked("the server continues (SIGCONT)");
    kill(s->pid, SIGCONT);
    s->frozen = false;
    s->frozen_seconds += now() - s->frozen_since;
}
