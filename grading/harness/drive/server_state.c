#include "drive/server_state.h"
#include "core/clock.h"
#include "core/procfs.h"
#include "core/report.h"
#include "drive/wait_loop.h"
#include "observe/resources.h"
#include "observe/sockets.h"
#include "observe/syscall_table.h"
#include "observe/tasks.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

int count_threads(struct server *s)
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks), alive = 0;
    for (int i = 0; i < n; i++)
        alive += !is_dead(&tasks[i]);
    return alive;
}

int count_processes(struct server *s)
{
    static pid_t pids[MAX_PROCESSES_READ];
    return read_processes(s->pid, pids, MAX_PROCESSES_READ);
}

/* Of a server that is about to end there is nothing to count: the check fails when it has ended. */
static int count_of_running(struct server *s, int (*read_count)(pid_t), const char *what)
{
    struct wait w = begin_wait(s);
    for (;;) {
        int n = read_count(s->pid), error = errno;
        if (n > 0)
            return n;
        if (continue_wait(&w))
            continue;
        if (has_ended(s))
            fail_check(s, "a running server", "%s", w.why);
        if (refuses_inspection(s->pid))
            fail_check(s, "a server that can be inspected", "%s", REFUSES_INSPECTION);
        if (n == -1)
            grader_error("cannot read the server's %s: %s", what, strerror(error));
        return n;
    }
}

int count_descriptors(struct server *s)
{
    return count_of_running(s, read_descriptor_count, "descriptors");
}

bool is_orphan(struct server *s, pid_t pid)
{
    pid_t parent, pids[MAX_PROCESSES_READ];
    int n = read_processes(s->pid, pids, MAX_PROCESSES_READ);
    if (read_task_state(pid, pid, &parent) == '-')
        return false;
    for (int i = 0; i < n; i++)
        if (pids[i] == parent)
            return false;
    return true;
}

bool orphan_exits(pid_t pid)
{
    enum { MAX_SECONDS = 20 };
    pid_t parent;
    for (double since = now(); now() - since < MAX_SECONDS;) {
        char state = read_task_state(pid, pid, &parent);
        if (state == '-' || state == 'Z' || state == 'X')
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

int count_guard_mappings(struct server *s)
{
    count_mappings(s); /* fails if the server has ended */
    return read_guard_count(s->pid, false);
}

int count_guards(struct server *s)
{
    count_mappings(s);
    return read_guard_count(s->pid, true);
}

int count_mappings(struct server *s)
{
    return count_of_running(s, read_mapping_count, "mappings");
}

uint64_t cpu_time(struct server *s)
{
    return read_cpu_time(s->pid);
}

uint64_t memory_of(struct server *s)
{
    return read_memory(s->pid);
}

bool all_asleep(struct server *s)
{
    return all_tasks_asleep(s->pid);
}

uint64_t times_run(struct server *s)
{
    return read_times_run(s->pid);
}

/* A thread that was asleep twice, and on no CPU since before the first time, slept throughout. */
bool all_asleep_at_once(struct server *s)
{
    uint64_t before = times_run(s);
    return all_asleep(s) && all_asleep(s) && times_run(s) == before;
}

static bool is_polling(const struct task *task)
{
    return call_kind(task->call) == CALL_POLLS;
}

static bool is_writing(const struct task *task)
{
    char target[8] = "";
    if (task->call == SYS_splice)
        return read_descriptor(task->pid, (int)task->arg[2], target, sizeof target) > 0 &&
               strncmp(target, "socket:", strlen("socket:")) == 0;
    return call_kind(task->call) == CALL_WRITES;
}

static bool any_thread(struct server *s, bool (*is)(const struct task *))
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks);
    for (int i = 0; i < n; i++)
        if (is(&tasks[i]))
            return true;
    return false;
}

bool waits_in_multiplexer(struct server *s)
{
    return any_thread(s, is_polling);
}

bool is_sending(struct server *s)
{
    return any_thread(s, is_writing);
}

bool holds_connection_of(struct server *s, struct peer *client)
{
    const struct connection *c = read_connection(s->port, client->port);
    return c != NULL && c->inode != 0; /* in the backlog it has no inode yet */
}

struct sent sent_to(struct server *s, struct peer *client)
{
    set_client_of_step(client);
    read_connections();
    const struct connection *servers = find_connection(s->port, client->port);
    const struct connection *clients = find_connection(client->port, s->port);
    if (servers == NULL || clients == NULL) {
        fail_if_ended(s, "an open connection");
        fail_check(s, "an open connection", "the server had closed the connection to %s",
                   client->name);
    }
    return (struct sent){.least = clients->to_read, .most = clients->to_read + servers->to_send};
}

size_t unread_from(struct server *s, struct peer *client)
{
    const struct connection *c = read_connection(s->port, client->port);
    return c != NULL ? c->to_read : 0;
}

void share_one_cpu(struct server *s)
{
    const struct task *tasks;
    cpu_set_t allowed, one;
    int cpu = 0, n = read_all_tasks(s->pid, &tasks);
    if (sched_getaffinity(0, sizeof allowed, &allowed) == -1)
        grader_error("sched_getaffinity: %s", strerror(errno));
    while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &allowed))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    for (int i = 0; i < n; i++)
        sched_setaffinity(tasks[i].tid, sizeof one, &one);
}
