#include "explain/signal_lines.h"
#include "core/procfs.h"
#include "core/report.h"
#include "explain/task_names.h"
#include "observe/resources.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* What is pending for the process, and blocked by each of its threads; or pending for one thread,
 * which blocks it. A set of signals, and one of the threads. */
struct blocked {
    uint64_t for_process, for_thread;
    pid_t tid;
    int threads;
};

static struct blocked blocked_in(pid_t pid, const struct task *tasks, int n)
{
    struct blocked blocked = {0};
    uint64_t by_all = UINT64_MAX, pending = 0;
    for (int i = 0; i < n; i++) {
        struct signals signals;
        if (tasks[i].pid != pid || is_dead(&tasks[i]) || !read_signals(pid, tasks[i].tid, &signals))
            continue;
        pending = signals.process_pending;
        by_all &= signals.blocked;
        blocked.threads++;
        if (signals.pending & signals.blocked) {
            blocked.for_thread = signals.pending & signals.blocked;
            blocked.tid = tasks[i].tid;
        }
    }
    blocked.for_process = blocked.threads > 0 ? pending & by_all : 0;
    return blocked;
}

/* A child that has ended and that this process has not waited for. */
static bool has_zombie(pid_t pid, const struct task *tasks, int n)
{
    pid_t parent;
    for (int i = 0; i < n; i++)
        if (tasks[i].state == 'Z' && tasks[i].pid != pid &&
            read_task_state(tasks[i].pid, tasks[i].tid, &parent) == 'Z' && parent == pid)
            return true;
    return false;
}

static bool has_signalfd(pid_t pid)
{
    for (int fd = 0; fd < 64; fd++) {
        char target[64];
        if (read_descriptor(pid, fd, target, sizeof target) > 0 &&
            strcmp(target, "anon_inode:[signalfd]") == 0)
            return true;
    }
    return false;
}

static void add_blocked_line(int signal, pid_t pid, int processes, int threads)
{
    const char *name = sigabbrev_np(signal);
    if (processes > 1)
        evidence("SIG%s is pending for %d processes, which block it", name, processes);
    else if (has_signalfd(pid))
        evidence("SIG%s is pending: blocked, and not read from the signalfd", name);
    else if (has_several_processes())
        evidence("SIG%s is pending for %s, which blocks it", name, task_name(pid));
    else if (threads > 1)
        evidence("SIG%s is pending: all %d threads block it", name, threads);
    else
        evidence("SIG%s is pending: the server blocks it", name);
}

static void add_blocked_lines(int signal, const struct task *tasks, int n)
{
    int processes = 0, threads = 0;
    pid_t pid = 0;
    for (int i = 0; i < n; i++) {
        if (tasks[i].pid != tasks[i].tid || is_dead(&tasks[i]) ||
            (signal == SIGCHLD && !has_zombie(tasks[i].pid, tasks, n)))
            continue;
        struct blocked blocked = blocked_in(tasks[i].pid, tasks, n);
        if (contains_signal(blocked.for_thread, signal))
            evidence("SIG%s is pending for %s, which blocks it", sigabbrev_np(signal),
                     task_name(blocked.tid));
        if (!contains_signal(blocked.for_process, signal))
            continue;
        processes++;
        threads = blocked.threads;
        pid = tasks[i].pid;
    }
    if (processes > 0)
        add_blocked_line(signal, pid, processes, threads);
}

/* What became of the signal that should stop the server. */
static void add_stop_line(const struct server *s, const struct task *tasks, int n)
{
    struct signals signals;
    struct blocked blocked = blocked_in(s->pid, tasks, n);
    const char *name = sigabbrev_np(s->signal_sent);
    if (!read_signals(s->pid, s->pid, &signals) ||
        contains_signal(signals.process_pending | blocked.for_thread, s->signal_sent))
        return;
    if (contains_signal(signals.ignored, s->signal_sent))
        evidence("SIG%s is ignored (SIG_IGN)", name);
    else if (contains_signal(s->signals_before_stop.handled, s->signal_sent))
        evidence(contains_signal(s->signals_before_stop.blocked, s->signal_sent)
                     ? "SIG%s is not pending: it has been received"
                     : "SIG%s is not pending: its handler has been called",
                 name);
    else if (contains_signal(s->signals_before_stop.blocked, s->signal_sent))
        evidence("SIG%s is not pending: it has been received, by sigwait or a signalfd", name);
}

void add_signal_lines(const struct server *s, const struct task *tasks, int n)
{
    if (under_valgrind(s)) /* valgrind blocks signals and handles them itself */
        return;
    for (int signal = 1; signal < 32; signal++)
        add_blocked_lines(signal, tasks, n);
    if (s->signal_sent != 0)
        add_stop_line(s, tasks, n);
}

void add_signal_that_ended(const struct server *s)
{
    if (under_valgrind(s) || s->signal_sent == 0 || !WIFSIGNALED(s->status) ||
        WTERMSIG(s->status) != s->signal_sent)
        return;
    evidence(
        contains_signal(s->signals_before_stop.handled, s->signal_sent)
            ? "SIG%s had a handler when it was sent; its default action was restored after that"
            : "SIG%s had no handler: its default action ends the process",
        sigabbrev_np(s->signal_sent));
}
