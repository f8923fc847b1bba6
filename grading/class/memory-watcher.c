/*
 * memory-watcher MEGABYTES NOTE COMMAND... - runs the command, and limits the memory that all
 * processes in inner sandboxes use together: if they use more, it kills them, and says so in the
 * file NOTE, so that the harness knows who has killed the server. A limit per process would not be
 * enough, since a server may have many.
 *
 * An inner sandbox is a pid namespace below ours, so the NSpid line in /proc/PID/status of a
 * process in it has more than one number, see proc(5).
 *
 * Memory that no process maps (a memfd, a segment of System V, files in a tmpfs) is in nobody's
 * VmRSS, but all of the machine's is counted in Shmem, see /proc/meminfo. Only if that has grown is
 * it of interest whose it is: to look at each descriptor takes time, and for a moment keeps open
 * what the server closes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    INTERVAL_MS = 20,
    MAX_PIDS = 8192,
    MAX_FILES = 16384,             /* memfds that are told apart */
    MAX_FILE_KILOBYTES = 64 << 10, /* core/sandbox.c limits the size of a file */
};

struct process {
    int pid, tid; /* tid: a thread that has not ended */
    bool first;   /* of its sandbox */
};

static struct process processes[MAX_PIDS];
static int process_count;
static dev_t memfd_device; /* of all files in memory that have no directory */

/* ---- reading /proc ----------------------------------------------------------------------- */

static bool read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static bool read_of(int pid, const char *name, char *text, size_t size)
{
    char path[100];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return read_file(path, text, size);
}

/* The value of a field, in kilobytes; 0 if there is none. */
static unsigned long field(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found != NULL ? strtoul(found + strlen(name), NULL, 10) : 0;
}

static bool in_inner_sandbox(const char *status, bool *first)
{
    const char *found = strstr(status, "\nNSpid:"), *end;
    if (found == NULL)
        return false;
    found += strlen("\nNSpid:");
    end = found + strcspn(found, "\n");
    int numbers = 0, pid = 0, size;
    while (found < end && sscanf(found, "%d%n", &pid, &size) == 1) {
        numbers++;
        found += size;
    }
    *first = pid == 1;
    return numbers > 1;
}

/* If the main thread has ended, only the others still have the memory. /proc/TID exists for each.
 */
static int thread_with_memory(int pid, char *status, size_t size)
{
    char path[64];
    int found = pid;
    if (strstr(status, "\nVmRSS:") != NULL)
        return pid;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        int tid = atoi(entry->d_name);
        if (tid > 0 && tid != pid && read_of(tid, "status", status, size) &&
            strstr(status, "\nVmRSS:") != NULL) {
            found = tid;
            break;
        }
    }
    if (tasks != NULL)
        closedir(tasks);
    return found;
}

/* Returns the sum of what they have resident, in kilobytes. */
static unsigned long read_processes(void)
{
    static char status[4096];
    unsigned long resident = 0;
    DIR *proc = opendir("/proc");
    process_count = 0;
    for (struct dirent *entry;
         proc != NULL && (entry = readdir(proc)) != NULL && process_count < MAX_PIDS;) {
        struct process *p = &processes[process_count];
        int pid = atoi(entry->d_name);
        if (pid <= 0 || !read_of(pid, "status", status, sizeof status) ||
            !in_inner_sandbox(status, &p->first))
            continue;
        p->pid = pid;
        p->tid = thread_with_memory(pid, status, sizeof status);
        /* Not the pages of programs and libraries: the machine has them once. */
        resident += field(status, "\nRssAnon:") + field(status, "\nRssShmem:");
        process_count++;
    }
    if (proc != NULL)
        closedir(proc);
    return resident;
}

/* By how much the machine's memory of this kind has grown: what others have freed meanwhile does
 * not count, but then there is not more of it than before. */
static unsigned long growth_of_shmem(void)
{
    static char text[4096];
    static unsigned long least = -1ul;
    unsigned long now = read_file("/proc/meminfo", text, sizeof text) ? field(text, "\nShmem:") : 0;
    if (now < least)
        least = now;
    return now - least;
}

/* ---- exact numbers, which take time to read ---------------------------------------------- */

/* Counts pages that several processes map once. */
static unsigned long proportional(void)
{
    static char text[4096];
    unsigned long sum = 0;
    for (int i = 0; i < process_count; i++)
        if (read_of(processes[i].tid, "smaps_rollup", text, sizeof text)) /* it has not ended */
            sum += field(text, "\nPss:");
    return sum;
}

static ino_t files[MAX_FILES];
static int file_count;

static bool is_new(ino_t file)
{
    for (int i = 0; i < file_count; i++)
        if (files[i] == file)
            return false;
    if (file_count < MAX_FILES)
        files[file_count++] = file;
    return true;
}

/* A memfd may also be on its way through a socket, where its size cannot be seen. */
static unsigned long in_flight(int pid, int fd)
{
    char name[32], text[1024];
    snprintf(name, sizeof name, "fdinfo/%d", fd);
    return read_of(pid, name, text, sizeof text) ? field(text, "\nscm_fds:") * MAX_FILE_KILOBYTES
                                                 : 0;
}

/* Files that the process has open. If it does not let itself be inspected (PR_SET_DUMPABLE),
 * everything may be its own. */
static unsigned long open_files(int pid, unsigned long everything)
{
    char path[64];
    unsigned long sum = 0;
    struct stat file;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *descriptors = opendir(path);
    if (descriptors == NULL)
        return access(path, F_OK) == 0 ? everything : 0;
    for (struct dirent *entry; (entry = readdir(descriptors)) != NULL;) {
        if (fstatat(dirfd(descriptors), entry->d_name, &file, 0) == -1)
            continue;
        if (S_ISSOCK(file.st_mode))
            sum += in_flight(pid, atoi(entry->d_name));
        else if (file.st_dev == memfd_device && is_new(file.st_ino))
            sum += (unsigned long)file.st_blocks / 2;
    }
    closedir(descriptors);
    return sum;
}

/* The temporary directories of a sandbox; an old bubblewrap cannot limit their size. */
static unsigned long temporary_files(int pid)
{
    static const char *const directories[] = {"tmp", "dev/shm"};
    unsigned long sum = 0;
    for (int i = 0; i < 2; i++) {
        char path[64];
        struct statvfs fs;
        snprintf(path, sizeof path, "/proc/%d/root/%s", pid, directories[i]);
        if (statvfs(path, &fs) == 0)
            sum += (fs.f_blocks - fs.f_bfree) * (fs.f_frsize / 1024);
    }
    return sum;
}

/* The segments of System V in the sandbox of this process, which only a process that joins it can
 * see: a child, since it cannot return. */
static unsigned long shared_segments(int pid)
{
    int ends[2];
    unsigned long kilobytes = 0;
    if (pipe2(ends, O_CLOEXEC) == -1)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        struct shm_info info;
        int sandbox = (int)syscall(SYS_pidfd_open, pid, 0);
        if (setns(sandbox, CLONE_NEWUSER | CLONE_NEWIPC) == 0 &&
            shmctl(0, SHM_INFO, (struct shmid_ds *)&info) != -1)
            kilobytes = info.shm_rss * (unsigned long)(sysconf(_SC_PAGESIZE) / 1024);
        _exit(write(ends[1], &kilobytes, sizeof kilobytes) == sizeof kilobytes ? 0 : 1);
    }
    close(ends[1]);
    if (child == -1 || read(ends[0], &kilobytes, sizeof kilobytes) != sizeof kilobytes)
        kilobytes = 0;
    close(ends[0]);
    if (child != -1)
        waitpid(child, NULL, 0);
    return kilobytes;
}

/* What no process maps; what some process maps as well may be included. */
static unsigned long unmapped(unsigned long everything)
{
    unsigned long sum = 0;
    file_count = 0;
    for (int i = 0; i < process_count; i++) {
        sum += open_files(processes[i].tid, everything);
        if (processes[i].first)
            sum += temporary_files(processes[i].pid) + shared_segments(processes[i].pid);
    }
    return sum < everything ? sum : everything;
}

/* ---- the limit --------------------------------------------------------------------------- */

static bool is_exceeded(unsigned long limit)
{
    static int quiet;
    enum { INTERVALS_BETWEEN = 10 };
    unsigned long resident = read_processes(), shmem = growth_of_shmem();
    if (process_count == 0 || resident + shmem <= limit)
        return false;
    unsigned long mapped = resident <= limit ? resident : proportional();
    if (mapped > limit)
        return true;
    /* It may be a different submission's, for long: so not each time. */
    if (mapped + shmem <= limit || quiet-- > 0)
        return false;
    quiet = INTERVALS_BETWEEN;
    return mapped + unmapped(shmem) > limit;
}

static void kill_all(const char *note, unsigned long limit)
{
    int fd = open(note, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd != -1) {
        dprintf(fd, "more than %lu MB of memory were in use\n", limit / 1024);
        close(fd);
    }
    for (int i = 0; i < process_count; i++)
        kill(processes[i].pid, SIGKILL);
    fprintf(stderr, "memory-watcher: more than %lu MB in use: killed the server\n", limit / 1024);
}

static void find_memfd_device(void)
{
    struct stat file;
    int fd = memfd_create("device", MFD_CLOEXEC);
    if (fd != -1 && fstat(fd, &file) == 0)
        memfd_device = file.st_dev;
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    unsigned long limit = strtoul(argv[1], NULL, 10) * 1024;
    find_memfd_device();
    growth_of_shmem(); /* from now on */
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[3], argv + 3);
        _exit(127);
    }
    for (int status; child != -1;) {
        if (waitpid(child, &status, WNOHANG) == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
        if (is_exceeded(limit))
            kill_all(argv[2], limit);
        nanosleep(&(struct timespec){.tv_nsec = INTERVAL_MS * 1000000}, NULL);
    }
    return 3;
}
