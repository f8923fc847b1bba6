/*
 * memory-watcher MEGABYTES COMMAND... - runs the command, and limits the memory that all processes
 * in inner sandboxes use together: if they use more, it kills them, and the harness sees that the
 * server has ended. A limit per process would not be enough, since a server may have many.
 *
 * An inner sandbox is a pid namespace below ours, so the NSpid line in /proc/PID/status of a
 * process in it has more than one number, see proc(5).
 */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_MS = 20, MAX_PIDS = 4096 };

static bool read_file(int pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    size_t n = fread(text, 1, size - 1, file);
    fclose(file);
    text[n] = '\0';
    return n > 0;
}

/* The value of a field, in kilobytes; 0 if there is none. */
static unsigned long field(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found != NULL ? strtoul(found + strlen(name), NULL, 10) : 0;
}

static bool in_inner_sandbox(const char *status)
{
    int outer_pid, inner_pid;
    const char *found = strstr(status, "\nNSpid:");
    return found != NULL && sscanf(found + 7, "%d\t%d", &outer_pid, &inner_pid) == 2;
}

static int sandboxed_processes(int *pids, unsigned long *resident)
{
    static char text[4096];
    int n = 0;
    DIR *proc = opendir("/proc");
    *resident = 0;
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL && n < MAX_PIDS;) {
        int pid = atoi(entry->d_name);
        if (pid <= 0 || !read_file(pid, "status", text, sizeof text) || !in_inner_sandbox(text))
            continue;
        *resident += field(text, "\nVmRSS:");
        pids[n++] = pid;
    }
    if (proc != NULL)
        closedir(proc);
    return n;
}

/* Counts shared pages once: exact, but slow, so it is used only when the sum of VmRSS is too large.
 */
static unsigned long proportional(const int *pids, int n)
{
    static char text[4096];
    unsigned long sum = 0;
    for (int i = 0; i < n; i++)
        if (read_file(pids[i], "smaps_rollup", text, sizeof text))
            sum += field(text, "\nPss:");
    return sum;
}

static void enforce_limit(unsigned long limit)
{
    static int pids[MAX_PIDS];
    unsigned long resident;
    int n = sandboxed_processes(pids, &resident);
    if (resident <= limit || proportional(pids, n) <= limit)
        return;
    fprintf(stderr, "memory-watcher: over %lu MB in use: killed the server\n", limit / 1024);
    for (int i = 0; i < n; i++)
        kill(pids[i], SIGKILL);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    unsigned long limit = strtoul(argv[1], NULL, 10) * 1024;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    for (int status; child != -1;) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
        enforce_limit(limit);
        nanosleep(&(struct timespec){.tv_nsec = INTERVAL_MS * 1000000}, NULL);
    }
    return 3;
}
