/*
 * The look into a running server: what each of its threads is doing, in words. All of it is read
 * from /proc (proc(5)): task/TID/syscall says in which call a thread is blocked and with which
 * arguments, fd/N what a descriptor is, net/tcp whose connection that is.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_PROCESSES = 1200 };

/* ---- system calls by name ---------------------------------------------------------------- */

enum kind {
    OTHER,
    READS,
    WRITES,
    POLLS, /* waits for several descriptors */
    WAITS, /* for something else: its first argument is no descriptor */
};

static const struct {
    long number;
    const char *name;
    enum kind kind;
} calls[] = {
    {SYS_read, "read", READS},
    {SYS_readv, "readv", READS},
    {SYS_recvfrom, "recv", READS}, /* recv(2) is recvfrom to the kernel */
    {SYS_recvmsg, "recvmsg", READS},
    {SYS_write, "write", WRITES},
    {SYS_writev, "writev", WRITES},
    {SYS_sendto, "send", WRITES},
    {SYS_sendmsg, "sendmsg", WRITES},
    {SYS_sendfile, "sendfile", WRITES},
    {SYS_accept, "accept", OTHER},
    {SYS_accept4, "accept4", OTHER},
    {SYS_connect, "connect", OTHER},
    {SYS_close, "close", OTHER},
    {SYS_shutdown, "shutdown", OTHER},
    {SYS_epoll_pwait, "epoll_wait", POLLS},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait", POLLS},
#endif
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, "epoll_wait", POLLS},
#endif
#ifdef SYS_select
    {SYS_select, "select", POLLS},
#endif
    {SYS_pselect6, "select", POLLS},
#ifdef SYS_poll
    {SYS_poll, "poll", POLLS},
#endif
    {SYS_ppoll, "poll", POLLS},
#ifdef SYS_pause
    {SYS_pause, "pause", WAITS},
#endif
    {SYS_futex, "a lock, a condition or a join (futex)", WAITS},
    {SYS_nanosleep, "a sleep (nanosleep)", WAITS},
    {SYS_clock_nanosleep, "a sleep (nanosleep)", WAITS},
    {SYS_wait4, "waitpid", WAITS},
    {SYS_waitid, "waitid", WAITS},
    {SYS_rt_sigtimedwait, "sigwait", WAITS},
    {SYS_rt_sigsuspend, "sigsuspend", WAITS},
};

enum { CALLS = sizeof calls / sizeof *calls };

static int call_index(long number)
{
    for (int i = 0; i < CALLS; i++)
        if (calls[i].number == number)
            return i;
    return -1;
}

static enum kind kind_of(long number)
{
    int i = call_index(number);
    return i == -1 ? OTHER : calls[i].kind;
}

/* epoll has a descriptor of its own, the first argument; select and poll have not. */
static bool is_epoll(long number)
{
    int i = call_index(number);
    return i != -1 && strcmp(calls[i].name, "epoll_wait") == 0;
}

/* ---- processes and threads --------------------------------------------------------------- */

/* Reads a small file of /proc into text; -1 when the process is gone. */
static ssize_t read_proc(char *text, size_t size, const char *format, int a, int b)
{
    char path[96];
    snprintf(path, sizeof path, format, a, b);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -1;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

/* State and parent, from proc/PID/stat; state '-' when it is gone. */
static char state_of(int pid, int tid, int *parent)
{
    char text[512], state = '-';
    *parent = -1;
    if (read_proc(text, sizeof text, "/proc/%d/task/%d/stat", pid, tid) > 0) {
        const char *after_name = strrchr(text, ')');
        if (after_name != NULL)
            sscanf(after_name + 1, " %c %d", &state, parent);
    }
    return state;
}

int processes_of(struct server *s, pid_t *pids, int most)
{
    static struct {
        pid_t pid, parent;
    } all[8192];
    int total = 0, found = 0, parent;
    pids[found++] = pid_of(s);
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        grader_error("cannot read /proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && total < 8192;) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 0 && state_of(pid, pid, &parent) != '-') {
            all[total].pid = pid;
            all[total++].parent = parent;
        }
    }
    closedir(proc);
    for (int i = 0; i < found; i++)
        for (int j = 0; j < total && found < most; j++)
            if (all[j].parent == pids[i])
                pids[found++] = all[j].pid;
    return found;
}

static int look_at_process(pid_t pid, struct task *tasks, int most)
{
    char path[64];
    int found = 0, parent;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; found < most && (entry = readdir(directory)) != NULL;) {
        char text[256];
        struct task *task = &tasks[found];
        int tid = atoi(entry->d_name);
        if (tid <= 0)
            continue;
        *task = (struct task){.pid = pid, .tid = tid, .call = -1};
        ssize_t n = read_proc(text, sizeof text, "/proc/%d/task/%d/syscall", pid, tid);
        task->state = state_of(pid, tid, &parent);
        if (task->state == '-')
            continue;
        if (n > 0 &&
            sscanf(text, "%ld %lx %lx %lx %lx %lx %lx", &task->call, &task->arg[0], &task->arg[1],
                   &task->arg[2], &task->arg[3], &task->arg[4], &task->arg[5]) != 7)
            task->call = -1; /* "running" */
        found++;
    }
    closedir(directory);
    return found;
}

int read_tasks(struct server *s, struct task *tasks, int most)
{
    static pid_t pids[MOST_PROCESSES];
    int processes = processes_of(s, pids, MOST_PROCESSES), found = 0;
    for (int i = 0; i < processes; i++)
        found += look_at_process(pids[i], tasks + found, most - found);
    return found;
}

/* Blocked in a call, or dead but for being waited for by the server: neither will move by itself.
 */
static bool is_asleep(const struct server *s, const struct task *task)
{
    bool dead = task->state == 'Z' || task->state == 'X';
    return (task->state == 'S' && task->call != -1) || (dead && task->pid != pid_of(s));
}

static struct task seen[MAX_TASKS];

bool all_asleep(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS);
    for (int i = 0; i < n; i++)
        if (!is_asleep(s, &seen[i]))
            return false;
    return n > 0;
}

int count_threads(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS), alive = 0;
    for (int i = 0; i < n; i++)
        alive += seen[i].state != 'Z' && seen[i].state != 'X';
    return alive;
}

void share_one_cpu(struct server *s)
{
    cpu_set_t may, one;
    int cpu = 0, n = read_tasks(s, seen, MAX_TASKS);
    if (sched_getaffinity(0, sizeof may, &may) == -1)
        grader_error("sched_getaffinity: %s", strerror(errno));
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &may))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (int i = 0; i < n; i++)
        sched_setaffinity(seen[i].tid, sizeof one, &one);
}

int count_processes(struct server *s)
{
    static pid_t pids[MOST_PROCESSES];
    return processes_of(s, pids, MOST_PROCESSES);
}

int count_mappings(struct server *s)
{
    char path[64];
    int lines = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid_of(s));
    FILE *file = fopen(path, "re");
    if (file == NULL)
        grader_error("cannot read %s: %s", path, strerror(errno));
    for (int c; (c = getc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}

int count_descriptors(struct server *s)
{
    char path[64];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid_of(s));
    DIR *directory = opendir(path);
    if (directory == NULL)
        grader_error("cannot read %s: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        n += entry->d_name[0] != '.';
    closedir(directory);
    return n;
}

uint64_t cpu_time(struct server *s)
{
    static pid_t pids[MOST_PROCESSES];
    uint64_t sum = 0;
    int n = processes_of(s, pids, MOST_PROCESSES);
    for (int i = 0; i < n; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            sum += (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    return sum;
}

uint64_t memory_of(struct server *s)
{
    static pid_t pids[MOST_PROCESSES];
    uint64_t sum = 0;
    int n = processes_of(s, pids, MOST_PROCESSES);
    for (int i = 0; i < n; i++) {
        char text[4096];
        const char *files[] = {"/proc/%d/smaps_rollup", "/proc/%d/status"};
        const char *words[] = {"\nPss:", "\nVmPTE:"};
        for (int j = 0; j < 2; j++) {
            const char *found = NULL;
            if (read_proc(text, sizeof text, files[j], pids[i], 0) > 0)
                found = strstr(text, words[j]);
            if (found != NULL)
                sum += strtoul(found + strlen(words[j]), NULL, 10) * 1024;
        }
    }
    return sum;
}

/* ---- connections ------------------------------------------------------------------------- */

enum { SYN_SENT = 2, TIME_WAIT = 6, CLOSE_WAIT = 8, LISTENING = 10 };

struct connection {
    unsigned address;  /* the local one, as in s_addr */
    int local, remote; /* ports */
    int state;
    unsigned long to_send, to_read; /* bytes waiting in the socket */
    unsigned long inode;
};

/* All TCP sockets in the server's sight, for those few who need them; the table is read anew. */
static struct connection *connections;
static int connection_count;

static void add_connection(struct connection c)
{
    static int room;
    if (connection_count == room) {
        room = room == 0 ? 256 : 2 * room;
        connections = realloc(connections, (size_t)room * sizeof *connections);
        if (connections == NULL)
            grader_error("out of memory");
    }
    if (c.state == CLOSE_WAIT && c.to_read > 0)
        c.to_read--; /* a FIN that has come counts as a byte */
    if (c.state == LISTENING)
        c.to_send = 0; /* the longest backlog, in the kernel's answer */
    connections[connection_count++] = c;
}

/* One reply of the kernel may hold many; true while more are to come. */
static bool take_reply(const struct nlmsghdr *header, size_t size)
{
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        const struct inet_diag_msg *m = NLMSG_DATA(header);
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
            return false; /* the end, or an error */
        add_connection((struct connection){.address = m->id.idiag_src[0],
                                           .local = ntohs(m->id.idiag_sport),
                                           .remote = ntohs(m->id.idiag_dport),
                                           .state = m->idiag_state,
                                           .to_send = m->idiag_wqueue,
                                           .to_read = m->idiag_rqueue,
                                           .inode = m->idiag_inode});
    }
    return true;
}

/* Asks the kernel, as ss(8) does: sock_diag(7). The many that linger in TIME_WAIT are left out:
 * after ten thousand clients it takes seconds to read them again and again. */
static bool ask_for_connections(void)
{
    static _Alignas(struct nlmsghdr) char reply[32 * 1024];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 request;
    } ask = {.header = {.nlmsg_len = sizeof ask,
                        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                        .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
             .request = {.sdiag_family = AF_INET,
                         .sdiag_protocol = IPPROTO_TCP,
                         .idiag_states = ~(1U << TIME_WAIT)}};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    bool well = fd != -1 && send(fd, &ask, sizeof ask, 0) == sizeof ask, more = well;
    while (more) {
        ssize_t n = recv(fd, reply, sizeof reply, 0);
        well = n >= (ssize_t)sizeof(struct nlmsghdr) &&
               ((struct nlmsghdr *)reply)->nlmsg_type != NLMSG_ERROR;
        more = well && take_reply((struct nlmsghdr *)reply, (size_t)n);
    }
    if (fd != -1)
        close(fd);
    return well;
}

static void read_connections(void)
{
    connection_count = 0;
    if (ask_for_connections())
        return;
    connection_count = 0;
    FILE *file = fopen("/proc/self/net/tcp", "re");
    char line[512];
    if (file == NULL)
        grader_error("cannot read /proc/self/net/tcp: %s", strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        struct connection c;
        unsigned local, remote, state;
        if (sscanf(line, " %*d: %x:%x %*x:%x %x %lx:%lx %*x:%*x %*x %*d %*d %lu", &c.address,
                   &local, &remote, &state, &c.to_send, &c.to_read, &c.inode) != 7)
            continue;
        c.local = (int)local;
        c.remote = (int)remote;
        c.state = (int)state;
        add_connection(c);
    }
    fclose(file);
}

static const struct connection *connection_of(pid_t pid, int fd)
{
    char path[64], target[128];
    unsigned long inode;
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (sscanf(target, "socket:[%lu]", &inode) != 1)
        return NULL;
    for (int i = 0; i < connection_count; i++)
        if (connections[i].inode == inode)
            return &connections[i];
    return NULL;
}

enum listening listening_at(int port)
{
    read_connections();
    for (int i = 0; i < connection_count; i++)
        if (connections[i].state == LISTENING && connections[i].local == port)
            return connections[i].address == htonl(INADDR_LOOPBACK) ? ON_LOOPBACK : ELSEWHERE;
    return NOWHERE;
}

int socket_port_of(pid_t pid, int remote_port)
{
    read_connections();
    for (int fd = 0; fd < 64; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c != NULL && c->remote == remote_port && c->state != SYN_SENT)
            return c->local;
    }
    return -1;
}

/* ---- in words ---------------------------------------------------------------------------- */

/* "client A", "the listener", "a pipe". After read_connections(). */
static void name_descriptor(char *text, size_t size, pid_t pid, int fd)
{
    char path[64], target[256];
    const struct connection *c = connection_of(pid, fd);
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = '\0';
    if (n < 0)
        snprintf(text, size, "descriptor %d, which is not open", fd);
    else if (c != NULL && c->state == LISTENING)
        snprintf(text, size, "the listener");
    else if (c != NULL && peer_name_at(c->remote) != NULL)
        snprintf(text, size, "%s", peer_name_at(c->remote));
    else if (c != NULL && backend_name_at(c->remote) != NULL)
        snprintf(text, size, "the %s backend", backend_name_at(c->remote));
    else if (c != NULL)
        snprintf(text, size, "a connection to port %d", c->remote);
    else if (strncmp(target, "socket:", 7) == 0)
        snprintf(text, size, "a socket without a connection");
    else if (strncmp(target, "pipe:", 5) == 0)
        snprintf(text, size,
                 fd == 1   ? "its standard output"
                 : fd == 2 ? "its standard error"
                           : "a pipe");
    else if (strncmp(target, "anon_inode:[", 12) == 0)
        snprintf(text, size, "an %.*s", (int)strcspn(target + 12, "]"), target + 12);
    else
        snprintf(text, size, "%s", target);
}

/* The one client that a call is about, as its port; 0 for none. */
static int client_port(const struct task *task)
{
    enum kind kind = kind_of(task->call);
    if (kind != READS && kind != WRITES)
        return 0;
    const struct connection *c = connection_of(task->pid, (int)task->arg[0]);
    return c != NULL && c->state != LISTENING ? c->remote : 0;
}

static void say_what_it_does(char *text, size_t size, const struct task *task)
{
    char descriptor[300];
    int i = call_index(task->call);
    if (task->state == 'Z')
        snprintf(text, size, "ended, but nobody has waited for it (a zombie)");
    else if (task->state == 'T' || task->state == 't')
        snprintf(text, size, "stopped by a signal");
    else if (task->call == -1)
        snprintf(text, size, "running, not waiting in any system call");
    else if (i == -1)
        snprintf(text, size, "in system call number %ld", task->call);
    else if (calls[i].kind == WAITS || (calls[i].kind == POLLS && !is_epoll(task->call)))
        snprintf(text, size, "in %s", calls[i].name);
    else {
        int port = client_port(task);
        const char *story = port != 0 ? peer_state_at(port) : NULL;
        name_descriptor(descriptor, sizeof descriptor, task->pid, (int)task->arg[0]);
        snprintf(text, size, "in %s(%s)%s%s", calls[i].name, descriptor, story != NULL ? ", " : "",
                 story != NULL ? story : "");
    }
}

/* Bytes that wait in the server's sockets, and clients that wait to be accepted. */
static void tell_of_queues(struct server *s)
{
    static const int most_lines = 6;
    int lines = 0;
    for (int i = 0; i < connection_count; i++) {
        const struct connection *c = &connections[i];
        const char *name = peer_name_at(c->remote);
        bool some = c->to_read > 0 || c->to_send > 0;
        if (c->local != port_of(s) || !some || (name == NULL && c->state != LISTENING))
            continue;
        if (c->state != LISTENING && ++lines > most_lines) {
            evidence("... and more clients like these");
            break;
        }
        if (c->state == LISTENING && c->to_read > 0)
            evidence("%lu %s in the backlog, not accepted yet", c->to_read,
                     c->to_read == 1 ? "connection waits" : "connections wait");
        if (c->state != LISTENING && name != NULL && c->to_read > 0 && c->inode != 0)
            evidence("%s: %lu bytes have come that the server has not read", name, c->to_read);
        if (c->state != LISTENING && name != NULL && c->to_send > 0 && c->inode != 0)
            evidence("%s: %lu bytes are on their way back to it, or wait for it to read", name,
                     c->to_send);
    }
}

/* A line for each thread; what many do alike is said once. */
static void tell_of_tasks(int n)
{
    static const int most_lines = 12;
    static char what[2][700];
    int processes = 0, lines = 0;
    for (int i = 0; i < n; i++)
        processes += seen[i].pid == seen[i].tid;
    const char *unit = processes > 1 ? "process" : "thread";
    for (int i = 0, alike; i < n; i += alike) {
        say_what_it_does(what[0], sizeof what[0], &seen[i]);
        for (alike = 1; i + alike < n; alike++) {
            say_what_it_does(what[1], sizeof what[1], &seen[i + alike]);
            if (strcmp(what[0], what[1]) != 0)
                break;
        }
        if (++lines > most_lines) {
            evidence("... and %d more", n - i);
            break;
        }
        if (alike == 1)
            evidence("%s %d of %d: %s", unit, i + 1, n, what[0]);
        else
            evidence("%s %d to %d of %d, each: %s", unit, i + 1, i + alike, n, what[0]);
    }
}

void gather_evidence(struct server *s)
{
    /* A server that is dying is not dead yet: how it ended is the better evidence. */
    for (double start = now(); now() - start < 0.3 && !has_ended(s) && !all_asleep(s);)
        usleep(5000);
    if (has_ended(s)) {
        evidence("the server has ended: %s", describe_ending(s));
    } else {
        read_connections();
        tell_of_tasks(read_tasks(s, seen, MAX_TASKS));
        tell_of_queues(s);
    }
    const char *err = standard_error_of(s);
    if (*err != '\0' && !under_valgrind(s)) {
        size_t size = strlen(err), start = size > 300 ? size - 300 : 0;
        while (start > 0 && start < size && err[start - 1] != '\n')
            start++;
        evidence("its last words on standard error: %s",
                 start < size ? quoted(err + start, size - start, 0) : "a very long line");
    }
}

void add_thread_evidence(struct server *s)
{
    gather_evidence(s);
}

/* So much CPU time without ever being asleep: it will not be. */
enum { SPINS_NANOSECONDS = 500 * 1000 * 1000 };

/* ---- waiting to see something ------------------------------------------------------------ */

/* How often its threads have been put on a CPU: the third number of schedstat. */
static uint64_t times_run(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS);
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        char text[100];
        unsigned long times = 0;
        if (read_proc(text, sizeof text, "/proc/%d/task/%d/schedstat", seen[i].pid, seen[i].tid) >
            0)
            sscanf(text, "%*u %*u %lu", &times);
        sum += times;
    }
    return sum;
}

/* They are looked at one after the other: the first may be woken before the last is seen to sleep.
 * Who sleeps at two looks, and was put on no CPU since before the first, slept all the while. */
static bool all_asleep_at_once(struct server *s)
{
    uint64_t before = times_run(s);
    return all_asleep(s) && all_asleep(s) && times_run(s) == before;
}

/* Or until it is clear that it never sleeps: that is for idle_is_free to find fault with. */
void wait_asleep(struct server *s)
{
    enum { MOST_NAPS = 10 }; /* in a row: then it is one that polls */
    struct wait p = begin_wait(s);
    for (int naps = 0; naps < MOST_NAPS && !all_asleep_at_once(s) && continue_wait(&p);
         naps = all_asleep(s) ? naps + 1 : 0)
        if (p.cpu_at_start != UINT64_MAX && cpu_time(s) > p.cpu_at_start + SPINS_NANOSECONDS)
            break;
    if (has_ended(s))
        fail_check(s, "the server asleep in a system call, for nothing happens", "%s", p.why);
    process_pending();
}

/* Who reads /proc/PID/fd takes hold of each file for a moment. If the server closes one just then,
 * it stays open that long, and stays in epoll's set: an event may come for what the server has
 * freed. So nobody looks before the server sleeps. For one that never does nobody waits. */
static bool may_look(struct server *s, const struct wait *p)
{
    return all_asleep(s) ||
           (p->cpu_at_start != UINT64_MAX && cpu_time(s) > p->cpu_at_start + SPINS_NANOSECONDS);
}

static bool holds(pid_t pid, int remote_port)
{
    for (int fd = 0; fd < 1024; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c != NULL && c->remote == remote_port && c->state != LISTENING)
            return true;
    }
    return false;
}

/* select, poll and epoll name no client: who waits in them waits for those whose sockets it has. */
static bool is_in(const struct task *task, enum kind kind, struct peer *client)
{
    enum kind its = kind_of(task->call);
    return task->state == 'S' && ((its == kind && client_port(task) == peer_port(client)) ||
                                  (its == POLLS && holds(task->pid, peer_port(client))));
}

/* The process with a thread that is seen in such a call, or -1. */
static pid_t process_in(struct server *s, enum kind kind, struct peer *client)
{
    read_connections();
    int n = read_tasks(s, seen, MAX_TASKS);
    for (int i = n - 1; i >= 0; i--) /* children first */
        if (is_in(&seen[i], kind, client))
            return seen[i].pid;
    return -1;
}

/* Until it is seen; a server that waits in a way of its own is not the matter here, so after some
 * seconds the check goes on all the same. */
static void wait_in(struct server *s, enum kind kind, struct peer *client)
{
    static const double most_seconds = 3;
    struct wait p = begin_wait(s);
    while (!(may_look(s, &p) && process_in(s, kind, client) != -1) && continue_wait(&p) &&
           now() - p.since < most_seconds)
        ;
}

/* Is every thread asleep in a call of this name? */
static bool all_in(struct server *s, const char *call)
{
    int n = read_tasks(s, seen, MAX_TASKS);
    for (int i = 0; i < n; i++) {
        int number = call_index(seen[i].call);
        if (!is_asleep(s, &seen[i]) || number == -1 || strcmp(calls[number].name, call) != 0)
            return false;
    }
    return n > 0;
}

void expect_waiting_in(struct server *s, const char *call)
{
    struct wait p = begin_wait(s);
    char expected[100];
    while (!all_in(s, call))
        if (!continue_wait(&p)) {
            snprintf(expected, sizeof expected, "the server waiting in %s, and nowhere else", call);
            if (has_ended(s) || all_asleep(s))
                fail_check(s, expected, "it waits elsewhere: %s", p.why);
            set_hint("The loop goes round and round: the call that should wait comes back at "
                     "once, each time. Who is ready, and why is nothing done about it?",
                     "make run                    # and in a second terminal:\n"
                     "sleep 5 | nc 127.0.0.1 9000 &\n"
                     "timeout 1 strace -p $(pgrep -nf 'server 9000') 2>&1 | tail -n 20");
            fail_check(s, expected, "it does not wait at all: %s", p.why);
        }
    process_pending();
}

bool workers_block;

/* Does it sleep where it can serve nobody? A lock may take a moment, and is not meant. */
static bool sleeps_elsewhere(struct server *s, const struct task *task)
{
    bool serves = !workers_block || task->tid == pid_of(s);
    return serves && task->state == 'S' && task->call != -1 && !is_epoll(task->call) &&
           kind_of(task->call) != WAITS;
}

void expect_loops_waiting(struct server *s)
{
    static const char expected[] = "the thread that serves the clients waits in epoll_wait only";
    struct wait p = begin_wait(s);
    for (;;) {
        bool all = true;
        int n = read_tasks(s, seen, MAX_TASKS);
        for (int i = 0; i < n; i++) {
            if (sleeps_elsewhere(s, &seen[i]))
                fail_check(s, expected, "it sleeps in another call");
            all &= is_asleep(s, &seen[i]);
        }
        if ((all && n > 0) ||
            (p.cpu_at_start != UINT64_MAX && cpu_time(s) > p.cpu_at_start + SPINS_NANOSECONDS))
            return;
        if (!continue_wait(&p))
            fail_check(s, expected, "it does not: %s", p.why);
    }
}

void wait_connecting(struct server *s, enum backend b)
{
    struct wait p = begin_wait(s);
    char expected[80];
    for (;;) {
        read_connections();
        for (int i = 0; i < connection_count; i++)
            if (connections[i].state == SYN_SENT && connections[i].remote == backend_port(b) &&
                !is_filler(connections[i].local))
                return;
        if (!continue_wait(&p)) {
            snprintf(expected, sizeof expected, "a connection to the %s backend on its way",
                     backend_name_at(backend_port(b)));
            fail_check(s, expected, "none: %s", p.why);
        }
    }
}

void wait_reading_from(struct server *s, struct peer *client)
{
    wait_in(s, READS, client);
}

bool waits_in_multiplexer(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS);
    for (int i = 0; i < n; i++)
        if (kind_of(seen[i].call) == POLLS)
            return true;
    return false;
}

bool is_sending(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS);
    for (int i = 0; i < n; i++)
        if (kind_of(seen[i].call) == WRITES)
            return true;
    return false;
}

/* The server's end of this client's connection, or the client's own; NULL if there is none. After
 * read_connections(). */
static const struct connection *end_of(struct server *s, struct peer *client, bool servers)
{
    int local = servers ? port_of(s) : peer_port(client);
    int remote = servers ? peer_port(client) : port_of(s);
    for (int i = 0; i < connection_count; i++)
        if (connections[i].local == local && connections[i].remote == remote &&
            connections[i].state != LISTENING)
            return &connections[i];
    return NULL;
}

bool holds_connection_of(struct server *s, struct peer *client)
{
    read_connections();
    const struct connection *c = end_of(s, client, true);
    return c != NULL && c->inode != 0; /* in the backlog it has no inode yet */
}

void wait_to_be_read(struct server *s, struct peer *client, size_t size)
{
    static const double most_seconds = 3;
    struct wait p = begin_wait(s);
    const struct connection *c;
    do {
        read_connections();
        c = end_of(s, client, true);
    } while ((c == NULL || c->to_read < size) && continue_wait(&p) &&
             now() - p.since < most_seconds);
}

struct sent sent_to(struct server *s, struct peer *client)
{
    read_connections();
    const struct connection *servers = end_of(s, client, true), *its = end_of(s, client, false);
    if (servers == NULL || its == NULL)
        fail_check(s, "an open connection", "the server had closed it to %s", peer_name(client));
    return (struct sent){.least = its->to_read, .most = its->to_read + servers->to_send};
}

pid_t process_serving(struct server *s, struct peer *client)
{
    struct wait p = begin_wait(s);
    char expected[100];
    do {
        pid_t pid = may_look(s, &p) ? process_in(s, READS, client) : -1;
        if (pid != -1)
            return pid;
    } while (continue_wait(&p));
    snprintf(expected, sizeof expected, "a process that waits in recv for %s", peer_name(client));
    fail_check(s, expected, "none: %s", p.why);
}

void expect_own_sockets_only(struct server *s, struct peer *client)
{
    pid_t pid = process_serving(s, client);
    char expected[100], name[300];
    snprintf(expected, sizeof expected, "no socket in %s's process but its own", peer_name(client));
    read_connections();
    for (int fd = 0; fd < 1024; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c == NULL || c->remote == peer_port(client))
            continue;
        name_descriptor(name, sizeof name, pid, fd);
        fail_check(s, expected, "descriptor %d is open there as well: %s", fd, name);
    }
}

static int living_children(struct server *s)
{
    int n = read_tasks(s, seen, MAX_TASKS), living = 0;
    for (int i = 0; i < n; i++)
        living += seen[i].pid != pid_of(s) && seen[i].state != 'Z' && seen[i].state != 'X';
    return living;
}

void wait_children_ended(struct server *s)
{
    struct wait p = begin_wait(s);
    while (living_children(s) > 0)
        if (!continue_wait(&p) && living_children(s) > 0)
            fail_check(s, "each child ends when its client has left", "%d go on: %s",
                       living_children(s), p.why);
}

/* Waits until count(s) is n. */
static void expect_count(struct server *s, int (*count)(struct server *), const char *what, int n,
                         const char *why)
{
    struct wait p = begin_wait(s);
    char expected[200];
    for (int have; (have = count(s)) != n;)
        if (!continue_wait(&p)) {
            snprintf(expected, sizeof expected, "%d %s: %s", n, what, why);
            fail_check(s, expected, "%d: %s", have, p.why);
        }
}

void expect_threads(struct server *s, int n, const char *why)
{
    expect_count(s, count_threads, n == 1 ? "thread" : "threads", n, why);
}

void expect_processes(struct server *s, int n, const char *why)
{
    expect_count(s, count_processes, n == 1 ? "process" : "processes", n, why);
}

void expect_descriptors(struct server *s, int most, const char *why)
{
    struct wait p = begin_wait(s);
    for (int n; !may_look(s, &p) || (n = count_descriptors(s)) > most;)
        if (!continue_wait(&p) && (n = count_descriptors(s)) > most) {
            char text[200];
            char path[64], name[300];
            snprintf(text, sizeof text, "%d open descriptors: %s", most, why);
            read_connections();
            snprintf(path, sizeof path, "/proc/%d/fd", (int)pid_of(s));
            for (int fd = 0, told = 0; fd < 4096 && told < 8; fd++) {
                char link[96], target[8];
                snprintf(link, sizeof link, "%s/%d", path, fd);
                if (readlink(link, target, sizeof target) <= 0)
                    continue;
                name_descriptor(name, sizeof name, pid_of(s), fd);
                evidence("descriptor %d: %s", fd, name);
                told++;
            }
            fail_check(s, text, "%d open descriptors: %s", n, p.why);
        } else if (p.over) {
            return;
        }
}

/* A stretch, and how long to wait for one. A right server does nothing at all, but the kernel may
 * hand it a little more of what is queued, now and then; a loop has no quiet stretch ever. */
static const double STRETCH_SECONDS = 0.2, MOST_STRETCH_SECONDS = 4, MOST_WHEN_HELD_SECONDS = 0.7;

/* Waits for such a stretch. NULL when there was one, else what there was instead. */
static const char *unrest(struct server *s, uint64_t echo)
{
    static char text[160];
    const double most = calls_are_held() ? MOST_WHEN_HELD_SECONDS : MOST_STRETCH_SECONDS;
    uint64_t before = cpu_time(s), runs_before = times_run(s), all_used = 0, all_runs = 0;
    double begin = now(), start = begin, looked; /* between the looks, however long they take */
    do {
        struct wait p = begin_wait(s);
        continue_wait(&p);
        looked = now();
        if (has_ended(s)) {
            snprintf(text, sizeof text, "the server ended: %s", describe_ending(s));
            return text;
        }
        uint64_t used = cpu_time(s) - before, runs = times_run(s) - runs_before;
        /* Asleep as well: who is ready to run, and gets no CPU for a while, is not at rest. */
        if (used <= 10 * echo && runs <= 1 && all_asleep(s))
            continue;
        start = now();
        before += used;
        runs_before += runs;
        /* When a process or a thread has ended, what it used is gone from the sum. */
        all_used += used < UINT64_MAX / 2 ? used : 0;
        all_runs += runs < UINT64_MAX / 2 ? runs : 0;
        if (start - begin > most) {
            snprintf(text, sizeof text,
                     "it goes on and on: in %.1f s it woke %llu times and used %.2f ms of CPU time",
                     start - begin, (unsigned long long)all_runs, (double)all_used / 1e6);
            return text;
        }
    } while (looked - start < STRETCH_SECONDS);
    return NULL;
}

bool is_idle(struct server *s, uint64_t echo)
{
    return unrest(s, echo) == NULL;
}

void expect_idle(struct server *s, uint64_t echo, const char *when)
{
    char expected[200];
    const char *instead = unrest(s, echo);
    if (instead == NULL)
        return;
    snprintf(expected, sizeof expected,
             "the server asleep %s: %.1f s in which it wakes at most once and uses at most %.2f ms "
             "of CPU time",
             when, STRETCH_SECONDS, (double)echo * 10 / 1e6);
    fail_check(s, expected, "%s", instead);
}
