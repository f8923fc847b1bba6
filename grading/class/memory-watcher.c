/*
 * warden MEGABYTES COMMAND... - runs the command, and meanwhile looks after the memory of all
 * processes in the rooms below: when they use more, they are killed, and the harness sees a server
 * that has ended. A limit for each process alone would not hold for many.
 *
 * A room is a pid namespace below ours, so a process in one has more than one number in the line
 * NSpid of /proc/PID/status, see proc(5).
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

enum { MILLISECONDS_BETWEEN_LOOKS = 20, MOST = 4096 };

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

/* The number behind a word at the beginning of a line, in kilobytes; 0 if there is none. */
static unsigned long after(const char *text, const char *word)
{
    const char *found = strstr(text, word);
    return found != NULL ? strtoul(found + strlen(word), NULL, 10) : 0;
}

static bool in_a_room(const char *status)
{
    int own, its;
    const char *found = strstr(status, "\nNSpid:");
    return found != NULL && sscanf(found + 7, "%d\t%d", &own, &its) == 2;
}

static int rooms(int *pids, unsigned long *resident)
{
    static char text[4096];
    int n = 0;
    DIR *proc = opendir("/proc");
    *resident = 0;
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL && n < MOST;) {
        int pid = atoi(entry->d_name);
        if (pid <= 0 || !read_file(pid, "status", text, sizeof text) || !in_a_room(text))
            continue;
        *resident += after(text, "\nVmRSS:");
        pids[n++] = pid;
    }
    if (proc != NULL)
        closedir(proc);
    return n;
}

/* What is shared counts once: exact, but dear, so only when the plain sum is too large. */
static unsigned long shared_out(const int *pids, int n)
{
    static char text[4096];
    unsigned long sum = 0;
    for (int i = 0; i < n; i++)
        if (read_file(pids[i], "smaps_rollup", text, sizeof text))
            sum += after(text, "\nPss:");
    return sum;
}

static void look(unsigned long most)
{
    static int pids[MOST];
    unsigned long resident;
    int n = rooms(pids, &resident);
    if (resident <= most || shared_out(pids, n) <= most)
        return;
    fprintf(stderr, "warden: more than %lu MB in use: the server is killed\n", most / 1024);
    for (int i = 0; i < n; i++)
        kill(pids[i], SIGKILL);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    unsigned long most = strtoul(argv[1], NULL, 10) * 1024;
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    for (int status; child != -1;) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
        look(most);
        nanosleep(&(struct timespec){.tv_nsec = MILLISECONDS_BETWEEN_LOOKS * 1000000}, NULL);
    }
    return 3;
}
