/*
 * No server outlives the grader, whoever is killed, and when.
 *
 *   this process --- the keeper --- the worker --- a check --- the server --- its children
 *
 * Each link dies with the one before it (PR_SET_PDEATHSIG), except the server's children, which
 * the kernel does not tie to anybody. When their parent dies they fall to the keeper, for it is a
 * subreaper, and it kills all that fall to it. The keeper has a session of its own, so a signal to
 * the terminal's process group does not reach it. Should the keeper itself be killed, this
 * process is a subreaper too and does the same. See prctl(2).
 */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The parent of `pid`, or -1. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    size_t n = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[n] = '\0';
    char state;
    int parent;
    const char *after_name = strrchr(line, ')'); /* a name may hold anything, also a ')' */
    if (after_name == NULL || sscanf(after_name + 1, " %c %d", &state, &parent) != 2)
        return -1;
    return parent;
}

static bool kill_children(void)
{
    bool any = false;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && parent_of(pid) == getpid()) {
            kill(pid, SIGKILL);
            any = true;
        }
    }
    if (proc != NULL)
        closedir(proc);
    return any;
}

void kill_descendants(void)
{
    /* A killed child's own children become ours, and are found in the next round. */
    for (;;) {
        bool any = kill_children();
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        if (!any || waitpid(-1, NULL, WNOHANG) == -1)
            return;
        usleep(1000);
    }
}

static int pass_on(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

static volatile sig_atomic_t told_to_end;

static void on_signal(int sig)
{
    told_to_end = sig;
}

/* Waits for the child, or until a signal says that it is no longer wanted. Returns its status. */
static int wait_for(pid_t child, const sigset_t *while_waiting)
{
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid == child)
            return pass_on(status);
        if (pid == -1 && errno == ECHILD)
            return 3;
        if (pid > 0)
            continue; /* an orphan that ended by itself */
        if (told_to_end)
            return 128 + told_to_end;
        sigsuspend(while_waiting);
    }
}

static void nothing(int sig)
{
    (void)sig;
}

int run_supervised(int (*work)(void))
{
    static const int to_hear[] = {SIGINT, SIGTERM, SIGHUP, SIGCHLD};
    sigset_t heard, before;
    sigemptyset(&heard);
    for (size_t i = 0; i < sizeof to_hear / sizeof *to_hear; i++) {
        struct sigaction action = {.sa_handler = to_hear[i] == SIGCHLD ? nothing : on_signal};
        sigaddset(&heard, to_hear[i]);
        sigaction(to_hear[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &heard, &before); /* heard only in sigsuspend: none is missed */
    sigset_t while_waiting = before;
    for (size_t i = 0; i < sizeof to_hear / sizeof *to_hear; i++)
        sigdelset(&while_waiting, to_hear[i]);

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t self = getpid(), keeper = fork();
    if (keeper == 0) {
        setsid();
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        pid_t worker = getppid() == self ? fork() : -1;
        if (worker == 0) {
            for (size_t i = 0; i < sizeof to_hear / sizeof *to_hear; i++)
                signal(to_hear[i], SIG_DFL);
            sigprocmask(SIG_SETMASK, &before, NULL);
            prctl(PR_SET_CHILD_SUBREAPER, 1);
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            exit(work());
        }
        int result = worker == -1 ? 3 : wait_for(worker, &while_waiting);
        kill_descendants();
        _exit(result);
    }
    if (keeper == -1) {
        perror("grade: fork");
        return 3;
    }
    int result = wait_for(keeper, &while_waiting);
    if (told_to_end) {
        kill(keeper, SIGTERM); /* it ends at once, and takes the rest with it */
        while (waitpid(keeper, NULL, 0) == -1 && errno == EINTR)
            ;
    }
    kill_descendants();
    return result;
}
