#include "observe/resources.h"
#include "core/procfs.h"
#include "core/timeline.h"
#include "observe/process_memory.h"
#include "observe/tasks.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

uint64_t read_cpu_time(pid_t root)
{
    static pid_t pids[MAX_PROCESSES_READ];
    uint64_t sum = 0;
    int n = read_processes(root, pids, MAX_PROCESSES_READ);
    for (int i = 0; i < n; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    return sum;
}

/* The sum of the nth number of its tasks' schedstat, from 0. */
static uint64_t sum_schedstat(pid_t root, int n)
{
    const struct task *tasks;
    int count = read_all_tasks(root, &tasks);
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        char text[100];
        unsigned long numbers[3] = {0};
        if (read_proc(text, sizeof text, "/proc/%d/task/%d/schedstat", tasks[i].pid, tasks[i].tid) >
            0)
            sscanf(text, "%lu %lu %lu", &numbers[0], &numbers[1], &numbers[2]);
        sum += numbers[n];
    }
    return sum;
}

uint64_t read_times_run(pid_t root)
{
    return sum_schedstat(root, 2);
}

uint64_t read_run_delay(pid_t root)
{
    return sum_schedstat(root, 1);
}

/* The number after `words` in a file of /proc/PID, kilobytes, as bytes. */
static uint64_t read_kilobytes(const char *format, pid_t pid, const char *words)
{
    char text[4096];
    const char *found = NULL;
    if (read_proc(text, sizeof text, format, pid, 0) > 0)
        found = strstr(text, words);
    return found == NULL ? 0 : strtoul(found + strlen(words), NULL, 10) * 1024;
}

/* The recording of its calls that is mapped into a server is not the server's memory. */
static uint64_t memory_of_recorder(pid_t pid)
{
    char line[4096 + 100], path[4096];
    unsigned long kilobytes, sum = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    FILE *file = is_recording() ? fopen(path, "re") : NULL;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%*x-%*x %*s %*s %*s %*s %4095s", path) == 1)
            found = is_timeline_file(path);
        else if (found && sscanf(line, "Pss: %lu", &kilobytes) == 1)
            sum += kilobytes;
    }
    if (file != NULL)
        fclose(file);
    return (uint64_t)sum * 1024;
}

uint64_t read_memory(pid_t root)
{
    static pid_t pids[MAX_PROCESSES_READ];
    uint64_t sum = 0;
    int n = read_processes(root, pids, MAX_PROCESSES_READ);
    for (int i = 0; i < n; i++)
        sum += read_kilobytes("/proc/%d/smaps_rollup", pids[i], "\nPss:") +
               read_kilobytes("/proc/%d/status", pids[i], "\nVmPTE:") - memory_of_recorder(pids[i]);
    return sum;
}

static FILE *open_maps(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    return fopen(path, "re");
}

struct mapping {
    uintptr_t start, end;
    char access[5];
    unsigned long inode;
};

static bool read_mapping(FILE *maps, struct mapping *m)
{
    char line[4096 + 100]; /* with the longest path */
    return fgets(line, sizeof line, maps) != NULL &&
           sscanf(line, "%lx-%lx %4s %*s %*s %lu", &m->start, &m->end, m->access, &m->inode) == 4;
}

/* glibc's malloc has up to eight arenas for each CPU, so how many is up to the machine. Each takes
 * 64 MiB of addresses, from a multiple of that: what is in use, then what is still inaccessible. */
enum { ARENA_SIZE = 64 << 20 };

/* Does `m`, which comes after the mapping `before`, belong to an arena? */
static bool is_of_arena(const struct mapping *m, const struct mapping *before)
{
    if (m->inode != 0)
        return false;
    if (strcmp(m->access, "rw-p") == 0)
        return m->start % ARENA_SIZE == 0 && m->end - m->start <= ARENA_SIZE;
    return strcmp(m->access, "---p") == 0 && m->start == before->end &&
           is_of_arena(before, before) &&
           m->end >= before->start + ARENA_SIZE; /* a guard page may follow it */
}

int read_mapping_count(pid_t pid)
{
    struct mapping m, before = {0};
    int n = 0;
    FILE *file = open_maps(pid);
    if (file == NULL)
        return -1;
    for (; read_mapping(file, &m); before = m)
        n += !is_of_arena(&m, &before);
    fclose(file);
    return n;
}

enum { PAGES_AT_ONCE = 64, MAX_SCANNED = 64 << 20 };

/* Page by page, where process_vm_readv(2) is forbidden. */
static size_t readable_pages_one_by_one(pid_t pid, const char *start, size_t count,
                                        size_t page_size)
{
    size_t n = 0;
    for (char byte; n < count; n++)
        if (!read_process_memory(pid, (unsigned long)(start + n * page_size), &byte, 1))
            break;
    return n;
}

/* How many of these pages, from the first on, can be read; process_vm_readv(2) stops at one that
 * cannot. */
static size_t readable_pages(pid_t pid, char *start, size_t count, size_t page_size)
{
    struct iovec remote[PAGES_AT_ONCE];
    char bytes[PAGES_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        remote[i] = (struct iovec){start + i * page_size, 1};
    ssize_t n = process_vm_readv(pid, &(struct iovec){bytes, count}, 1, remote, count, 0);
    if (n == -1 && (errno == EPERM || errno == ENOSYS))
        return readable_pages_one_by_one(pid, start, count, page_size);
    return n == -1 ? 0 : (size_t)n;
}

/* Stretches of readable pages in this mapping that begin behind a page that is not. */
static int guards_within(pid_t pid, uintptr_t start, uintptr_t end)
{
    size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
    bool guarded = false;
    int n = 0;
    for (uintptr_t page = start; page < end;) {
        size_t count = (end - page) / page_size;
        if (count > PAGES_AT_ONCE)
            count = PAGES_AT_ONCE;
        size_t readable = readable_pages(pid, (char *)page, count, page_size);
        if (readable > 0)
            n += guarded;
        guarded = readable < count;
        page += (readable + guarded) * page_size;
    }
    return n;
}

int read_guard_count(pid_t pid, bool also_within_mappings)
{
    struct mapping m;
    int n = 0;
    FILE *file = open_maps(pid);
    if (file == NULL)
        return -1;
    while (read_mapping(file, &m)) {
        n += strcmp(m.access, "---p") == 0;
        if (also_within_mappings && strcmp(m.access, "rw-p") == 0 && m.inode == 0 &&
            m.end - m.start <= MAX_SCANNED)
            n += guards_within(pid, m.start, m.end);
    }
    fclose(file);
    return n;
}

int read_descriptor_count(pid_t pid)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return -1;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

ssize_t read_descriptor(pid_t pid, int fd, char *target, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t n = readlink(path, target, size - 1);
    target[n > 0 ? n : 0] = '\0';
    return n;
}
