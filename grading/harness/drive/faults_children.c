/* The faults of a server's children, and a record of which of them it has reaped. See faults.h. */
#include "drive/faults.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

/* Higher than any pid: proc(5), pid_max. */
enum { FIRST_IMAGINARY_PID = 5000000 };

int late_parent, late_children, late_kill, imaginary_children, sigchld_after_eintr;

static bool in_first_process(void)
{
    return getpid() == first_process;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Until the child has ended, or been reaped by a handler; if its client stays, for three seconds.
 * What SIGCHLD causes has happened then, unless it is blocked. */
static void wait_for_end_of(pid_t child)
{
    long long limit = milliseconds() + 3000;
    while (milliseconds() < limit) {
        siginfo_t info = {0};
        if (syscall(SYS_waitid, P_PID, child, &info, WEXITED | WNOHANG | WNOWAIT, NULL) == -1 ||
            info.si_pid == child)
            return;
        nap();
    }
}

/* Shared by all processes: the parent waits for a child. One that is late would keep it waiting. */
static atomic_bool *parent_waits;

__attribute__((constructor)) static void begin(void)
{
    void *shared =
        mmap(NULL, sizeof *parent_waits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    parent_waits = shared == MAP_FAILED ? NULL : shared;
}

static void note_waiting(int options)
{
    if (parent_waits != NULL && (options & WNOHANG) == 0 && in_first_process())
        *parent_waits = true;
}

/* ---- which children have been reaped ----------------------------------------------------- */

/* Reaping happens in signal handlers, too. */
enum { MAX_REAPED = 8192 };
static atomic_int reaped[MAX_REAPED];
static atomic_uint reaped_count;

static void note_reaped(pid_t pid)
{
    if (pid > 0 && in_first_process())
        reaped[atomic_fetch_add(&reaped_count, 1) % MAX_REAPED] = pid;
}

/* A new child may be given the number of one that has been reaped. */
static void note_created(pid_t pid)
{
    for (int i = 0; i < MAX_REAPED; i++)
        if (reaped[i] == pid)
            reaped[i] = 0;
}

static bool was_reaped(pid_t pid)
{
    for (int i = 0; i < MAX_REAPED; i++)
        if (reaped[i] == pid)
            return true;
    return false;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    INTERCEPT(waitpid);
    if (pid >= FIRST_IMAGINARY_PID) {
        if (status != NULL)
            *status = 0;
        return pid;
    }
    note_waiting(options);
    pid_t child = real(pid, status, options);
    note_reaped(child);
    return child;
}

pid_t wait(int *status)
{
    INTERCEPT(wait);
    note_waiting(0);
    pid_t child = real(status);
    note_reaped(child);
    return child;
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
    INTERCEPT(wait3);
    note_waiting(options);
    pid_t child = real(status, options, usage);
    note_reaped(child);
    return child;
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
    INTERCEPT(wait4);
    note_waiting(options);
    pid_t child = real(pid, status, options, usage);
    note_reaped(child);
    return child;
}

int waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
    INTERCEPT(waitid);
    siginfo_t own = {0};
    note_waiting(options);
    int result = real(type, id, info != NULL ? info : &own, options);
    if (result == 0 && (options & WNOWAIT) == 0)
        note_reaped(info != NULL ? info->si_pid : own.si_pid);
    return result;
}

/* ---- signals to processes other than its children ---------------------------------------- */

static atomic_bool has_own_group;

int setpgid(pid_t pid, pid_t group)
{
    INTERCEPT(setpgid);
    if (pid >= FIRST_IMAGINARY_PID)
        return 0;
    if ((pid == 0 || pid == getpid()) && (group == 0 || group == getpid()))
        has_own_group = true;
    return real(pid, group);
}

pid_t setsid(void)
{
    INTERCEPT(setsid);
    has_own_group = true;
    return real();
}

int setpgrp(void)
{
    return setpgid(0, 0);
}

/* kill(-1, ...) signals every process of this user, the grader included. It happens when fork's -1
 * is taken for a child's pid. */
int kill(pid_t pid, int sig)
{
    INTERCEPT(kill);
    if (pid >= FIRST_IMAGINARY_PID)
        return 0;
    if (pid == -1) {
        report_fault("kill(-1, %d) was not sent: it would signal every process of this user\n",
                     sig);
        errno = EPERM;
        return -1;
    }
    int saved = errno;
    if (sig != 0 && (pid == 0 || pid == -getpgrp()) && !has_own_group)
        report_fault("FAULTS: kill(%d, %d) signals the group that the server was started in\n", pid,
                     sig);
    else if (sig != 0 && pid > 0 && in_first_process() && was_reaped(pid))
        report_fault("FAULTS: kill(%d, %d), but waitpid() has already returned %d\n", pid, sig,
                     pid);
    errno = saved;
    int result = real(pid, sig);
    if (late_kill != 0 && result == 0 && pid > 0 && in_first_process())
        wait_for_end_of(pid);
    return result;
}

int killpg(pid_t group, int sig)
{
    return kill(group > 0 ? -group : 0, sig);
}

/* ---- fork -------------------------------------------------------------------------------- */

/* Until a signal has been handled, or is pending because it is blocked. A signalfd(2) wakes this
 * process as soon as that is so: whoever looks whether the server is asleep then finds it running.
 */
static void wait_for_signal(void)
{
    sigset_t signals;
    long long limit = milliseconds() + 10000;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    struct pollfd pending = {.fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN};
    while (milliseconds() < limit && !(parent_waits != NULL && *parent_waits))
        if (syscall(SYS_ppoll, &pending, 1, &(struct timespec){.tv_nsec = 1000000}, NULL, 0) != 0)
            break;
    if (pending.fd != -1)
        syscall(SYS_close, pending.fd);
}

/* Only forks of the server's first process count: with a double fork, each client takes a second
 * one in its child. memcheck's report on that child is about a process that only forks. */
pid_t fork_with_faults(pid_t (*real)(void))
{
    static atomic_int imaginary, late;
    if (!in_first_process()) {
        pid_t pid = real();
        if (pid > 0 && RUNNING_ON_VALGRIND)
            VALGRIND_PRINTF("FAULTS: process %d only forks\n", (int)getpid());
        return pid;
    }
    if (imaginary_children != 0 && imaginary < imaginary_children && accepted > 0)
        return FIRST_IMAGINARY_PID + atomic_fetch_add(&imaginary, 1);
    bool is_late = atomic_fetch_add(&late, 1) < late_children;
    sigset_t all_signals, old_mask; /* no handler may reap it before it is noted as new */
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &old_mask);
    pid_t pid = real();
    int saved = errno;
    if (pid > 0)
        note_created(pid);
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    if (pid == 0 && is_late)
        wait_for_signal();
    if (pid > 0 && late_parent != 0)
        wait_for_end_of(pid);
    errno = saved;
    return pid;
}

/* Their clients: the other end of each has been closed already. -1: accept a real one. */
int accept_imaginary(void)
{
    static atomic_int clients;
    int ends[2];
    if (imaginary_children == 0 || accepted == 0 || !in_first_process() ||
        atomic_fetch_add(&clients, 1) >= imaginary_children ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        return -1;
    close(ends[1]);
    return ends[0];
}

/* ---- errno ------------------------------------------------------------------------------- */

/* After a call that has failed with EINTR, a child ends before the server looks at errno. */
int child_ends_after_eintr(void)
{
    struct sigaction action;
    sigset_t blocked;
    int before = errno;
    if (sigchld_after_eintr == 0 || !in_first_process() ||
        sigaction(SIGCHLD, NULL, &action) == -1 || action.sa_handler == SIG_DFL ||
        action.sa_handler == SIG_IGN || pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0 ||
        sigismember(&blocked, SIGCHLD) == 1)
        return -1;
    errno = before;
    raise(SIGCHLD);
    int after = errno;
    if (after != before)
        report_fault("FAULTS: the handler of SIGCHLD changed errno from %s to %s\n",
                     strerrorname_np(before), strerrorname_np(after));
    errno = after;
    return -1;
}
