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
 *
 * Unread data in sockets and pipes is in the kernel's memory. The kernel reports how much each
 * socket holds, sock_diag(7). Those of the harness are included, since a submission has one
 * network: when references are graded, all sockets together hold less than 20 MB. Pipes are
 * counted, but only if the machine has many more open files than at the start: once a user's pipes
 * have 64 MB together, each new one has two pages, pipe(7).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    INTERVAL_MS = 20,
    MAX_PIDS = 8192,
    MAX_FILES = 1 << 15,           /* memfds, or pipes, that are told apart: half as many */
    MAX_FILE_KILOBYTES = 64 << 10, /* core/sandbox.c limits the size of a file */
};

struct process {
    int pid, tid;              /* tid: a thread that has not ended */
    bool first;                /* of its sandbox */
    unsigned long descriptors; /* the size of their table */
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

/* Returns what they have resident, in swap and in page tables, in kilobytes. */
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
        p->descriptors = field(status, "\nFDSize:");
        /* Not the pages of programs and libraries: the machine has them once. */
        resident += field(status, "\nRssAnon:") + field(status, "\nRssShmem:") +
                    field(status, "\nVmSwap:") + field(status, "\nVmPTE:");
        process_count++;
    }
    if (proc != NULL)
        closedir(proc);
    return resident;
}

/* By how much one of the machine's numbers has grown: what others have freed meanwhile does not
 * count, but then there is not more of it than before. */
static unsigned long growth(unsigned long now, unsigned long *least)
{
    if (now < *least)
        *least = now;
    return now - *least;
}

static unsigned long growth_of_shmem(void)
{
    static char text[4096];
    static unsigned long least = -1ul;
    return growth(read_file("/proc/meminfo", text, sizeof text) ? field(text, "\nShmem:") : 0,
                  &least);
}

static unsigned long growth_of_open_files(void)
{
    char text[100];
    static unsigned long least = -1ul;
    return growth(
        read_file("/proc/sys/fs/file-nr", text, sizeof text) ? strtoul(text, NULL, 10) : 0, &least);
}

static unsigned long kilobytes(unsigned long pages)
{
    return pages * (unsigned long)(sysconf(_SC_PAGESIZE) / 1024);
}

/* ---- exact numbers, which take time to read ---------------------------------------------- */

/* Counts pages that several processes map once. */
static unsigned long proportional(void)
{
    static char text[4096];
    unsigned long sum = 0;
    for (int i = 0; i < process_count; i++) {
        if (read_of(processes[i].tid, "smaps_rollup", text, sizeof text)) /* it has not ended */
            sum += field(text, "\nPss:") + field(text, "\nSwapPss:");
        if (read_of(processes[i].tid, "status", text, sizeof text))
            sum += field(text, "\nVmPTE:");
    }
    return sum;
}

/* A set of files. Once it is half full, each is taken for a new one. */
static ino_t files[MAX_FILES];
static int file_count;

static void forget_files(void)
{
    if (file_count > 0)
        memset(files, 0, sizeof files);
    file_count = 0;
}

static bool is_new(ino_t file)
{
    size_t i = file * 0x9E3779B97F4A7C15 % MAX_FILES;
    for (; files[i] != 0; i = (i + 1) % MAX_FILES)
        if (files[i] == file)
            return false;
    if (file_count < MAX_FILES / 2) {
        files[i] = file;
        file_count++;
    }
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
    unsigned long segments = 0;
    if (pipe2(ends, O_CLOEXEC) == -1)
        return 0;
    pid_t child = fork();
    if (child == 0) {
        struct shm_info info;
        int sandbox = (int)syscall(SYS_pidfd_open, pid, 0);
        if (setns(sandbox, CLONE_NEWUSER | CLONE_NEWIPC) == 0 &&
            shmctl(0, SHM_INFO, (struct shmid_ds *)&info) != -1)
            segments = kilobytes(info.shm_rss);
        _exit(write(ends[1], &segments, sizeof segments) == sizeof segments ? 0 : 1);
    }
    close(ends[1]);
    if (child == -1 || read(ends[0], &segments, sizeof segments) != sizeof segments)
        segments = 0;
    close(ends[0]);
    if (child != -1)
        waitpid(child, NULL, 0);
    return segments;
}

/* What no process maps; what some process maps as well may be included. */
static unsigned long unmapped(unsigned long everything)
{
    unsigned long sum = 0;
    if (everything == 0)
        return 0;
    forget_files();
    for (int i = 0; i < process_count; i++) {
        sum += open_files(processes[i].tid, everything);
        if (processes[i].first)
            sum += temporary_files(processes[i].pid) + shared_segments(processes[i].pid);
    }
    return sum < everything ? sum : everything;
}

/* An estimate, from a few descriptors of each process: to look at all of them would take the server
 * less time than us. A pipe that a child has inherited, at the same number, counts once. */
static unsigned long held_by_pipes(void)
{
    enum { SAMPLES = 16, PAGES = 2, ENDS = 2 };
    unsigned long sum = 0;
    forget_files();
    for (int i = 0; i < process_count; i++) {
        unsigned long size = processes[i].descriptors, found = 0;
        for (unsigned long sample = 0; sample < SAMPLES; sample++) {
            char path[64];
            struct stat file;
            snprintf(path, sizeof path, "/proc/%d/fd/%lu", processes[i].tid,
                     size * sample / SAMPLES);
            /* EACCES: the process does not let itself be inspected. */
            if (stat(path, &file) == -1 ? errno == EACCES
                                        : S_ISFIFO(file.st_mode) && is_new(file.st_ino))
                found++;
        }
        sum += kilobytes(size * found * PAGES / (SAMPLES * ENDS));
    }
    return sum;
}

/* ---- sockets ----------------------------------------------------------------------------- */

/* What the socket's message says that it holds, in bytes. */
static unsigned long held_by(const struct nlmsghdr *message, size_t header, unsigned short which)
{
    const struct rtattr *attribute =
        (const struct rtattr *)((const char *)NLMSG_DATA(message) + NLMSG_ALIGN(header));
    long left = (long)message->nlmsg_len - (long)NLMSG_SPACE(header);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        unsigned memory[SK_MEMINFO_VARS] = {0};
        if (attribute->rta_type != which)
            continue;
        size_t size = RTA_PAYLOAD(attribute);
        memcpy(memory, RTA_DATA(attribute), size < sizeof memory ? size : sizeof memory);
        unsigned sent = memory[SK_MEMINFO_WMEM_ALLOC]; /* TCP has its queue in the other one */
        if (sent < memory[SK_MEMINFO_WMEM_QUEUED])
            sent = memory[SK_MEMINFO_WMEM_QUEUED];
        return 0ul + memory[SK_MEMINFO_RMEM_ALLOC] + memory[SK_MEMINFO_BACKLOG] + sent;
    }
    return 0;
}

/* Sends the request, and returns what all sockets in the answer hold, in kilobytes: 0 if the kernel
 * does not report it. In a socket's message, `which` follows the header. */
static unsigned long held_by_all(const void *request, size_t size, size_t header,
                                 unsigned short which)
{
    static _Alignas(struct nlmsghdr) char answer[32 << 10];
    struct {
        struct nlmsghdr header;
        char request[sizeof(struct inet_diag_req_v2)]; /* the largest */
    } question = {.header = {.nlmsg_len = (unsigned)NLMSG_LENGTH(size),
                             .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                             .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
    unsigned long bytes = 0;
    memcpy(question.request, request, size);
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    bool more = fd != -1 && send(fd, &question, question.header.nlmsg_len, 0) != -1;
    while (more) {
        ssize_t n = recv(fd, answer, sizeof answer, 0);
        const struct nlmsghdr *message = (const struct nlmsghdr *)answer;
        for (more = n > 0; more && NLMSG_OK(message, n); message = NLMSG_NEXT(message, n))
            if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
                more = false;
            else
                bytes += held_by(message, header, which);
    }
    if (fd != -1)
        close(fd);
    return bytes / 1024;
}

static unsigned long held_by_local_sockets(void)
{
    const struct unix_diag_req local = {
        .sdiag_family = AF_UNIX, .udiag_states = -1u, .udiag_show = UDIAG_SHOW_MEMINFO};
    const struct netlink_diag_req netlink = {.sdiag_family = AF_NETLINK,
                                             .sdiag_protocol = NDIAG_PROTO_ALL,
                                             .ndiag_show = NDIAG_SHOW_MEMINFO};
    return held_by_all(&local, sizeof local, sizeof(struct unix_diag_msg), UNIX_DIAG_MEMINFO) +
           held_by_all(&netlink, sizeof netlink, sizeof(struct netlink_diag_msg),
                       NETLINK_DIAG_MEMINFO);
}

static unsigned long held_by_internet_sockets(unsigned char protocol)
{
    struct inet_diag_req_v2 request = {.sdiag_family = AF_INET,
                                       .sdiag_protocol = protocol,
                                       .idiag_ext = 1 << (INET_DIAG_SKMEMINFO - 1),
                                       .idiag_states = -1u};
    unsigned long sum =
        held_by_all(&request, sizeof request, sizeof(struct inet_diag_msg), INET_DIAG_SKMEMINFO);
    request.sdiag_family = AF_INET6;
    return sum +
           held_by_all(&request, sizeof request, sizeof(struct inet_diag_msg), INET_DIAG_SKMEMINFO);
}

/* What all sockets of this protocol on the machine hold, in kilobytes. */
static unsigned long held_on_machine(const char *sockstat, const char *protocol)
{
    const char *line = strstr(sockstat, protocol);
    return line != NULL ? kilobytes(field(line, " mem ")) : 0;
}

/* To find a submission's internet sockets, the kernel looks through a table of all of the
 * machine's, which takes milliseconds: so only if they can be more than a part of the limit. */
static unsigned long held_by_sockets(unsigned long limit)
{
    enum { PART = 4 };
    static char sockstat[1024];
    unsigned long sum = held_by_local_sockets();
    if (!read_file("/proc/net/sockstat", sockstat, sizeof sockstat))
        return sum;
    if (held_on_machine(sockstat, "TCP:") > limit / PART)
        sum += held_by_internet_sockets(IPPROTO_TCP);
    if (held_on_machine(sockstat, "UDP:") > limit / PART)
        sum += held_by_internet_sockets(IPPROTO_UDP);
    return sum;
}

/* ---- the limit --------------------------------------------------------------------------- */

/* What their pipes hold at most, in kilobytes: two pages for two descriptors. */
static unsigned long possibly_in_pipes(void)
{
    unsigned long descriptors = 0, files = growth_of_open_files();
    for (int i = 0; i < process_count; i++)
        descriptors += processes[i].descriptors;
    return kilobytes(descriptors < files ? descriptors : files);
}

static bool is_exceeded(unsigned long limit)
{
    static int looks, quiet;
    static unsigned long sockets;
    enum { INTERVALS_BETWEEN = 10 };
    unsigned long resident = read_processes(), shmem = growth_of_shmem(),
                  pipes = possibly_in_pipes();
    if (process_count == 0)
        return false;
    if (looks++ % INTERVALS_BETWEEN == 0 || resident + shmem + pipes + sockets > limit)
        sockets = held_by_sockets(limit);
    if (resident + shmem + pipes + sockets <= limit)
        return false;
    unsigned long certain = (resident + sockets <= limit ? resident : proportional()) + sockets;
    if (certain > limit)
        return true;
    if (certain + shmem + pipes <= limit)
        return false;
    certain += held_by_pipes();
    if (certain > limit)
        return true;
    /* It may be a different submission's, for long: so not each time. */
    if (certain + shmem <= limit || quiet-- > 0)
        return false;
    quiet = INTERVALS_BETWEEN;
    return certain + unmapped(shmem) > limit;
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
    growth_of_open_files();
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
