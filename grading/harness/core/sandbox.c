/*
 * A server in its sandbox can neither see nor signal nor trace the harness; the harness sees the
 * server, because it is in the parent of each namespace.
 *
 * bwrap(1) creates the sandbox and keeps a process in it, so that it lasts. It is the first process
 * there, which no other in the sandbox can kill: if it has ended, somebody outside killed it. A
 * helper joins it
 * (setns(2)) and starts the server there as our own child (CLONE_PARENT), so waitpid() and pids
 * work as they do without a sandbox. When this process ends, bwrap ends too, and with it every
 * process in the sandbox: when the first process of a pid namespace ends, the kernel kills the
 * others.
 */
#include "core/sandbox.h"
#include "core/procfs.h"
#include "core/report.h"

#include <dirent.h>
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_PROCESSES = 400,   /* and threads; a lab with one for each client has at most 200 clients */
    MAX_CPU_SECONDS = 300, /* of one process; the harness gives up long before */
    MAX_FILE_SIZE = 1 << 26,
    MAX_SANDBOXES = 100, /* of one check */
};

static const char *arguments_file;
static const char *const *visible_files;
static pid_t first_processes[MAX_SANDBOXES];
static int sandboxes;
static long processes_killed_before; /* by the kernel, for lack of memory */
static ssize_t exceeded_before;      /* the size of the memory watcher's file */

bool sandbox_is_used(void)
{
    return arguments_file != NULL;
}

static void limit(int resource, rlim_t most)
{
    struct rlimit given;
    if (getrlimit(resource, &given) == 0 &&
        (given.rlim_max == RLIM_INFINITY || given.rlim_max > most))
        setrlimit(resource, &(struct rlimit){most, most});
}

/* The number of processes is limited in the server only, which is alone with its own in its user
 * namespace. If bwrap had this limit, it would hold for the namespace above as well, where the
 * harness and all servers are: two of 200 processes each would then be one too many. */
static void set_limits(void)
{
    limit(RLIMIT_NPROC, MAX_PROCESSES);
    limit(RLIMIT_CPU, MAX_CPU_SECONDS);
    limit(RLIMIT_FSIZE, MAX_FILE_SIZE);
}

/* If the machine runs out of memory, the kernel should kill this first. A server cannot write to
 * its /proc. */
static void be_killed_first(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd != -1 && write(fd, "1000", 4) != 4)
        perror("harness: oom_score_adj");
    if (fd != -1)
        close(fd);
}

/* bwrap's arguments, in a pipe. The file itself must not be open in the sandbox: through
 * /proc/PID/fd a server could write to it, and so change the next sandbox. */
static int open_arguments(void)
{
    char text[16384];
    int ends[2], file = open(arguments_file, O_RDONLY | O_CLOEXEC);
    ssize_t size = file != -1 ? read(file, text, sizeof text) : -1;
    bool ok = size > 0 && size < (ssize_t)sizeof text && pipe(ends) == 0 &&
              write(ends[1], text, (size_t)size) == size;
    close(file);
    if (!ok)
        return -1;
    close(ends[1]);
    return ends[0];
}

/* Reaps orphans, ignores all signals that the server could send it, and ends with the harness. */
static const char first_process[] = "trap '' {1..16} 18 {20..64} 2>/dev/null; echo ready; "
                                    "exec >/dev/null 2>&1; while :; do read -r; done";

/* `in` is a pipe into which nothing is written. */
static _Noreturn void become_bwrap(pid_t parent, int in, int out)
{
    char arguments_fd[16], info_fd[16];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    setpgid(0, 0);
    be_killed_first();
    /* The server can inspect what bwrap has open: none of our descriptors may be there. */
    if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == -1)
        _exit(127);
    int arguments = open_arguments();
    if (arguments == -1 || dup2(in, 0) == -1 || dup2(out, 1) == -1 || dup2(out, 2) == -1)
        _exit(127);
    /* bwrap closes its --info-fd, so it must not be the standard output itself. */
    snprintf(info_fd, sizeof info_fd, "%d", dup(out));
    snprintf(arguments_fd, sizeof arguments_fd, "%d", arguments);
    signal(SIGPIPE, SIG_DFL);
    enum { MAX_ARGUMENTS = 32 };
    const char *argv[MAX_ARGUMENTS] = {"bwrap", "--args", arguments_fd};
    int n = 3;
    for (const char *const *file = visible_files; *file != NULL; file++) {
        argv[n++] = "--ro-bind";
        argv[n++] = *file;
        argv[n++] = *file;
    }
    const char *const rest[] = {"--remount-ro", "/",  "--info-fd",  info_fd, "--as-pid-1", "--",
                                "/bin/bash",    "-c", first_process};
    memcpy(argv + n, rest, sizeof rest);
    execvp(argv[0], (char *const *)argv);
    _exit(127);
}

/* Killed processes of the whole machine: proc(5), /proc/vmstat. */
static long processes_killed(void)
{
    static char text[16384];
    const char *found = NULL;
    if (read_proc(text, sizeof text, "/proc/vmstat", 0, 0) > 0)
        found = strstr(text, "\noom_kill ");
    return found != NULL ? atol(found + strlen("\noom_kill ")) : 0;
}

/* The memory watcher adds a line to its file when it kills what is in the sandboxes. Returns the
 * file's size, and its first line. */
static ssize_t read_exceeded(char *line, size_t size)
{
    char path[4096];
    const char *slash = strrchr(arguments_file, '/');
    struct stat file = {0};
    snprintf(path, sizeof path, "%.*smemory-exceeded",
             slash != NULL ? (int)(slash - arguments_file) + 1 : 0, arguments_file);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    if (fgets(line, (int)size, f) == NULL)
        *line = '\0';
    line[strcspn(line, "\n")] = '\0';
    fstat(fileno(f), &file);
    fclose(f);
    return file.st_size;
}

/* Processes and threads in sandboxes: those of a pid namespace below ours. */
static int count_sandboxed(void)
{
    char text[4096];
    int total = 0, first, second;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
        int pid = atoi(entry->d_name);
        if (pid <= 0 || read_proc(text, sizeof text, "/proc/%d/status", pid, 0) <= 0)
            continue;
        const char *pids = strstr(text, "\nNSpid:"), *threads = strstr(text, "\nThreads:");
        if (pids != NULL && threads != NULL && sscanf(pids + 7, "%d\t%d", &first, &second) == 2)
            total += atoi(threads + 9);
    }
    if (proc != NULL)
        closedir(proc);
    return total;
}

/* A server of this check, or one that it has left behind, may have taken what the next one needs.
 */
static _Noreturn void cannot_start(const char *what, const char *why)
{
    int n = count_sandboxed();
    if (n >= MAX_PROCESSES)
        fail_check(NULL, "a server of at most 400 processes and threads",
                   "%d of them; another server cannot be started", n);
    grader_error("%s%s", what, why);
}

/* Starts bwrap; returns the first process of the sandbox. */
static pid_t open_sandbox(void)
{
    int in[2], out[2], pid;
    char text[512] = "";
    size_t size = 0;
    pid_t parent = getpid();
    if (sandboxes == 0) {
        processes_killed_before = processes_killed();
        exceeded_before = read_exceeded(text, sizeof text);
        *text = '\0';
    }
    if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    pid_t bwrap = fork();
    if (bwrap == 0)
        become_bwrap(parent, in[0], out[1]);
    if (bwrap == -1)
        cannot_start("fork: ", strerror(errno));
    close(in[0]); /* in[1] stays open */
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
        cannot_start("cannot create a sandbox for the server: ", text);
    if (sandboxes < MAX_SANDBOXES)
        first_processes[sandboxes++] = pid;
    return pid;
}

/* The kernel kills the others of a namespace when the first has given up its memory. */
static bool has_memory(pid_t pid)
{
    char text[100];
    return read_proc(text, sizeof text, "/proc/%d/statm", pid, 0) > 0 && atoi(text) > 0;
}

/* Before a check fails: if what the server did wrong was to be killed, by something outside its
 * sandbox or because the machine ran out of memory, this is the machine's failure. */
static void excuse_server(void)
{
    char line[200];
    if (sandboxes == 0)
        return;
    bool exceeded = read_exceeded(line, sizeof line) != exceeded_before;
    if (exceeded)
        evidence("the server and its processes were killed: %s", line);
    for (int i = 0; i < sandboxes && !exceeded; i++)
        if (!has_memory(first_processes[i]))
            grader_error("the server's sandbox was killed, and not from within");
    if (!exceeded && processes_killed() > processes_killed_before)
        grader_error("this machine ran out of memory, and the kernel killed processes");
}

void use_sandbox(const char *arguments, const char *const *files)
{
    arguments_file = arguments;
    visible_files = files;
    add_excuse(excuse_server);
}

/* In a helper process: joins the sandbox, starts the child there, and writes its pid to `out`.
 * Returns in the child. */
static void join_sandbox(pid_t inside, int out)
{
    be_killed_first();
    int sandbox = (int)syscall(SYS_pidfd_open, inside, 0);
    if (sandbox == -1 ||
        setns(sandbox, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC) == -1) {
        dprintf(2, "harness: cannot enter the sandbox: %s\n", strerror(errno));
        _exit(127);
    }
    close(sandbox);
    set_limits();
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
    pid_t child = -1, inside = open_sandbox();
    if (pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    pid_t helper = fork();
    if (helper == 0) {
        join_sandbox(inside, out[1]);
        return 0;
    }
    close(out[1]);
    while (read(out[0], &child, sizeof child) == -1 && errno == EINTR)
        ;
    close(out[0]);
    while (helper != -1 && waitpid(helper, NULL, 0) == -1 && errno == EINTR)
        ;
    if (child == -1)
        cannot_start("cannot start the server in its sandbox", "");
    return child;
}
