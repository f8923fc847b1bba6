/*
 *   this process --- the supervisor --- the worker --- a check's process --- libcheck's ---
 *       the server --- its children
 *
 * Each of these processes dies with its parent (PR_SET_PDEATHSIG), except the server's children.
 * They are reparented to the check's process, a subreaper, which kills them when the check ends, or
 * to the supervisor, a subreaper too, which kills whatever is reparented to it. The supervisor has
 * a session of its own, so a signal to the terminal's process group does not reach it. If the
 * supervisor itself is killed, this process, a subreaper too, does the same. See prctl(2).
 */
#include "core/supervisor.h"
#include "core/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static bool kill_children(bool (*is_spared)(pid_t))
{
    bool any = false;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        pid_t pid = atoi(entry->d_name), parent;
        if (pid > 0 && read_task_state(pid, pid, &parent) != '-' && parent == getpid() &&
            (is_spared == NULL || !is_spared(pid))) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, WNOHANG);
            any = true;
        }
    }
    if (proc != NULL)
        closedir(proc);
    return any;
}

void kill_unless(bool (*is_spared)(pid_t))
{
    while (kill_children(is_spared))
        usleep(1000);
}

void kill_descendants(void)
{
    /* The children of a killed child are reparented to us, and found in the next round. */
    for (;;) {
        bool any = kill_children(NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (!any || waitpid(-1, NULL, WNOHANG) == -1)
            return;
        usleep(1000);
    }
}

static volatile sig_atomic_t terminating_signal;

static void on_signal(int sig)
{
    terminating_signal = sig;
}

static void on_child(int sig)
{
    (void)sig;
}

static const int handled[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
enum { HANDLED = sizeof handled / sizeof *handled };

/* The signals are blocked except in sigsuspend(while_waiting), so none is missed. */
static void handle_signals(sigset_t *old_mask, sigset_t *while_waiting)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < HANDLED; i++) {
        struct sigaction action = {.sa_handler = handled[i] == SIGCHLD ? on_child : on_signal};
        sigaddset(&blocked, handled[i]);
        sigaction(handled[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, old_mask);
    *while_waiting = *old_mask;
    for (size_t i = 0; i < HANDLED; i++)
        sigdelset(while_waiting, handled[i]);
}

/* Waits for the child to end, or for a terminating signal. Returns an exit status. */
static int wait_for(pid_t child, const sigset_t *while_waiting)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
        if (pid == -1 && errno == ECHILD)
            return 3;
        if (pid > 0)
            continue; /* an orphan that ended by itself */
        if (terminating_signal)
            return 128 + terminating_signal;
        sigsuspend(while_waiting);
    }
}

static _Noreturn void supervise(int (*work)(void), pid_t parent, const sigset_t *old_mask,
                                const sigset_t *while_waiting)
{
    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    pid_t worker = getppid() == parent ? fork() : -1;
    if (worker == 0) {
        for (size_t i = 0; i < HANDLED; i++)
            signal(handled[i], SIG_DFL);
        sigprocmask(SIG_SETMASK, old_mask, NULL);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(work());
    }
    int result = worker == -1 ? 3 : wait_for(worker, while_waiting);
    kill_descendants();
    _exit(result);
}

int run_supervised(int (*work)(void))
{
    sigset_t old_mask, while_waiting;
    handle_signals(&old_mask, &while_waiting);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid(), supervisor = fork();
    if (supervisor == 0)
        supervise(work, self, &old_mask, &while_waiting);
    if (supervisor == -1) {
        perror("grade: fork");
        return 3;
    }
    int result = wait_for(supervisor, &while_waiting);
    if (terminating_signal) {
        kill(supervisor, SIGTERM); /* it kills its descendants and ends at once */
        while (waitpid(supervisor, NULL, 0) == -1 && errno == EINTR)
            ;
    }
    kill_descendants();
    return result;
}
