/*
 * A room: namespaces of its own for a server that nobody trusts. It can neither see nor signal nor
 * trace the harness, but the harness sees it: the harness is in the parent of each namespace.
 *
 * bwrap(1) makes the room and keeps a process in it, so that it lasts. A helper joins it (setns(2))
 * and starts the server there as our own child (CLONE_PARENT), so waitpid() and pids are what they
 * are without a room. When this process ends, so does bwrap, and with it all that is in the room,
 * whatever it called: the first process of a pid namespace takes the rest along.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCESSES = 400,      /* threads as well; 200 clients are the most in a lab with one for each */
    SECONDS_OF_CPU = 300, /* of one process; the harness gives up long before */
    LARGEST_FILE = 1 << 26, /* bytes */
};

const char *sandbox_arguments;

static void limit(int what, rlim_t most)
{
    struct rlimit given;
    if (getrlimit(what, &given) == 0 && (given.rlim_max == RLIM_INFINITY || given.rlim_max > most))
        setrlimit(what, &(struct rlimit){most, most});
}

/* What is set here holds for the room as a whole: the user namespace that bwrap makes takes the
 * limit of processes along, whoever is in it later. */
static void limit_the_room(void)
{
    limit(RLIMIT_NPROC, PROCESSES);
    limit(RLIMIT_CPU, SECONDS_OF_CPU);
    limit(RLIMIT_FSIZE, LARGEST_FILE);
    /* If the machine runs out of memory all the same, the kernel shall look here first. */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd != -1 && write(fd, "1000", 4) != 4)
        perror("harness: oom_score_adj");
    if (fd != -1)
        close(fd);
}

/* bwrap's arguments in a pipe. The file itself must not be open in the room: through /proc/PID/fd a
 * server could write to it, and so furnish the next room. */
static int arguments_in_a_pipe(void)
{
    char text[16384];
    int ends[2], file = open(sandbox_arguments, O_RDONLY | O_CLOEXEC);
    ssize_t size = file != -1 ? read(file, text, sizeof text) : -1;
    bool whole = size > 0 && size < (ssize_t)sizeof text && pipe(ends) == 0 &&
                 write(ends[1], text, (size_t)size) == size;
    close(file);
    if (!whole)
        return -1;
    close(ends[1]);
    return ends[0];
}

static _Noreturn void become_room(pid_t parent, int out)
{
    char number[16], info[16];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    limit_the_room();
    /* The server may look into what bwrap has open: nothing of ours shall be there. */
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == -1)
        _exit(127);
    int nothing = open("/dev/null", O_RDWR), arguments = arguments_in_a_pipe();
    if (arguments == -1 || dup2(nothing, 0) == -1 || dup2(out, 1) == -1 || dup2(out, 2) == -1)
        _exit(127);
    close(nothing);
    /* bwrap closes it when it has told, so it must be another than the standard output. */
    snprintf(info, sizeof info, "%d", dup(out));
    snprintf(number, sizeof number, "%d", arguments);
    signal(SIGPIPE, SIG_DFL);
    execlp("bwrap", "bwrap", "--args", number, "--ro-bind", server_program, server_program,
           "--ro-bind", faults_library, faults_library, "--remount-ro", "/", "--info-fd", info,
           "--", "/bin/sh", "-c", "echo ready; exec sleep infinity >/dev/null 2>&1", NULL);
    _exit(127);
}

/* Starts bwrap; returns a process that is in the room. */
static pid_t open_room(void)
{
    int out[2], pid;
    char text[512] = "";
    size_t size = 0;
    pid_t parent = getpid();
    if (pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    pid_t bwrap = fork();
    if (bwrap == 0)
        become_room(parent, out[1]);
    if (bwrap == -1)
        grader_error("fork: %s", strerror(errno));
    close(out[1]);
    while (size < sizeof text - 1 && strstr(text, "ready\n") == NULL) {
        ssize_t n = read(out[0], text + size, sizeof text - 1 - size);
        if (n == 0 || (n == -1 && errno != EINTR))
            break;
        size += n > 0 ? (size_t)n : 0;
        text[size] = '\0';
    }
    close(out[0]);
    const char *found = strstr(text, "\"child-pid\":");
    if (found == NULL || strstr(text, "ready\n") == NULL || sscanf(found + 12, "%d", &pid) != 1)
        grader_error("no room for the server: %s", text);
    return pid;
}

/* In a helper that does nothing else: joins the room, starts the child there, says its pid. In the
 * child it returns. */
static void join_room(pid_t inside, int out)
{
    limit_the_room();
    int room = (int)syscall(SYS_pidfd_open, inside, 0);
    if (room == -1 ||
        setns(room, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC) == -1) {
        dprintf(2, "harness: cannot join the room: %s\n", strerror(errno));
        _exit(127);
    }
    close(room);
    pid_t child = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        setsid(); /* sched(7), autogroup: hundreds of processes then get no more time than one */
        return;
    }
    if (child == -1 || write(out, &child, sizeof child) != sizeof child)
        _exit(127);
    _exit(0);
}

pid_t fork_into_sandbox(void)
{
    int out[2];
    pid_t child = -1, inside = open_room();
    if (pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    pid_t helper = fork();
    if (helper == 0) {
        join_room(inside, out[1]);
        return 0;
    }
    close(out[1]);
    while (read(out[0], &child, sizeof child) == -1 && errno == EINTR)
        ;
    close(out[0]);
    while (helper != -1 && waitpid(helper, NULL, 0) == -1 && errno == EINTR)
        ;
    if (child == -1)
        grader_error("cannot start the server in its room");
    return child;
}
