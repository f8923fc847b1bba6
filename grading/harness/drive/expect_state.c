#include "drive/expect_state.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/report.h"
#include "drive/descriptor_name.h"
#include "drive/server_state.h"
#include "drive/wait_loop.h"
#include "observe/resources.h"
#include "observe/sockets.h"
#include "observe/syscall_table.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>

bool workers_block;

/* Also returns when the server is spinning: idle_is_free reports that. */
void wait_asleep(struct server *s)
{
    enum { MAX_NAPS = 10 }; /* in a row: then it is a server that polls */
    struct wait w = begin_wait(s);
    for (int naps = 0; naps < MAX_NAPS && !all_asleep_at_once(s) && continue_wait(&w);
         naps = all_asleep(s) ? naps + 1 : 0)
        if (is_spinning(&w))
            break;
    if (has_ended(s))
        fail_check(s, "the server still running", "%s", the_server_ended(s));
    if (all_asleep(s))
        note_asleep(s);
    process_pending();
}

/* Reading /proc/PID/fd holds a reference to each file for a moment. If the server closes one just
 * then, it stays open that long, and stays in the epoll set: an event may arrive for what the
 * server has freed. So descriptors are inspected only while the server sleeps, or if it never does.
 */
static bool may_inspect_descriptors(struct server *s, const struct wait *w)
{
    return all_asleep(s) || is_spinning(w);
}

/* ---- where threads wait ------------------------------------------------------------------ */

/* The client that a call reads from or writes to, as its port; 0 for none. */
static int client_port(const struct task *task)
{
    const struct connection *c = connection_of(task->pid, (int)task->arg[0]);
    return c != NULL && c->state != STATE_LISTEN ? c->remote : 0;
}

/* select, poll and epoll_wait name no client: whoever waits in them may wait for every client whose
 * socket it has. */
static bool is_reading_from(const struct task *task, struct peer *client)
{
    enum call_kind kind = call_kind(task->call);
    return task->state == 'S' &&
           ((kind == CALL_READS && client_port(task) == client->port) ||
            (kind == CALL_POLLS && has_connection_to(task->pid, client->port)));
}

/* The process with a thread that reads from this client, or -1. */
static pid_t process_reading_from(struct server *s, struct peer *client)
{
    const struct task *tasks;
    read_connection(s->port, client->port);
    int n = read_all_tasks(s->pid, &tasks);
    for (int i = n - 1; i >= 0; i--) /* children first */
        if (is_reading_from(&tasks[i], client))
            return tasks[i].pid;
    return -1;
}

static const double MAX_READING_SECONDS = 3;

/* A server that waits in some other way is not the concern here, so the check continues after some
 * seconds. */
void wait_reading_from(struct server *s, struct peer *client)
{
    struct wait w = begin_wait(s);
    while (!(may_inspect_descriptors(s, &w) && process_reading_from(s, client) != -1) &&
           continue_wait(&w) && now() - w.since < MAX_READING_SECONDS)
        ;
}

/* Have they been acknowledged, or has the connection ended? */
static bool all_bytes_arrived(struct server *s, struct peer *client)
{
    const struct connection *c = read_connection(client->port, s->port);
    return c == NULL || c->to_send == 0;
}

/* Of a server that is stopped only the first process is: a child may have read some bytes. */
void wait_to_be_read(struct server *s, struct peer *client, size_t size)
{
    struct wait w = begin_wait(s);
    while (unread_from(s, client) < size && !all_bytes_arrived(s, client) && continue_wait(&w) &&
           now() - w.since < MAX_READING_SECONDS)
        ;
}

pid_t process_serving(struct server *s, struct peer *client)
{
    struct wait w = begin_wait(s);
    set_client_of_step(client);
    char expected[100];
    do {
        pid_t pid = may_inspect_descriptors(s, &w) ? process_reading_from(s, client) : -1;
        if (pid != -1)
            return pid;
    } while (continue_wait(&w));
    snprintf(expected, sizeof expected, "a process waiting in recv for %s", client->name);
    fail_check(s, expected, "none; %s", w.why);
}

static bool all_waiting_in(struct server *s, const char *call)
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks);
    for (int i = 0; i < n; i++) {
        const char *name = call_name(tasks[i].call);
        if (!is_asleep(&tasks[i], s->pid) || name == NULL || strcmp(name, call) != 0)
            return false;
    }
    return n > 0;
}

void expect_waiting_in(struct server *s, const char *call)
{
    struct wait w = begin_wait(s);
    char expected[100];
    for (; !all_waiting_in(s, call); is_spinning(&w)) /* if it is, the wait is over sooner */
        if (!continue_wait(&w)) {
            snprintf(expected, sizeof expected, "the server waiting in %s, and nowhere else", call);
            if (has_ended(s))
                fail_check(s, expected, "%s", w.why);
            if (all_asleep(s))
                fail_check(s, expected, "it waits elsewhere; %s", w.why);
            note_failure(SPINNING);
            set_hint(
                "The server spins. Either the call that should wait returns at once, every time: "
                "is "
                "its timeout 0, does it fail, or is a descriptor ready that nothing handles? Or a "
                "different call fails, and is repeated at once: the evidence names it.",
                "make run                    # and in a second terminal:\n"
                "sleep 9 | nc 127.0.0.1 9000 &         # silent\n"
                "yes | nc 127.0.0.1 9000 | sleep 9 & sleep 1   # does not read");
            set_hint_if(SPINNING, OWN_HINT);
            fail_check(s, expected, "it does not wait at all; %s", w.why);
        }
    process_pending();
}

/* A signalfd, an eventfd, a pipe: no client keeps it waiting. */
static bool reads_other_than_tcp(const struct task *task)
{
    if (call_kind(task->call) != CALL_READS)
        return false;
    read_connections();
    return connection_of(task->pid, (int)task->arg[0]) == NULL;
}

/* Does the first thread wait in poll or accept, or for a signal or another thread, while others
 * wait in epoll_wait for the clients, or are on their way there? */
static bool is_main_beside_workers(struct server *s, const struct task *task,
                                   const struct task *tasks, int n)
{
    const char *name = call_name(task->call);
    if (workers_block || task->tid != s->pid || name == NULL ||
        (call_kind(task->call) != CALL_POLLS && strncmp(name, "accept", strlen("accept")) != 0 &&
         !reads_other_than_tcp(task)))
        return false;
    for (int i = 0; i < n; i++)
        if (tasks[i].tid != s->pid &&
            (is_epoll_wait(tasks[i].call) || !is_asleep(&tasks[i], s->pid)))
            return true;
    return false;
}

/* Is it blocked where it can serve no client? A lock is held for a moment only, and is allowed. */
static bool sleeps_elsewhere(struct server *s, const struct task *task)
{
    bool serves_clients = !workers_block || task->tid == s->pid;
    return serves_clients && task->state == 'S' && task->call != -1 && !is_epoll_wait(task->call) &&
           call_kind(task->call) != CALL_WAITS;
}

void expect_loops_waiting(struct server *s)
{
    static const char expected[] = "the thread that serves the clients waits in epoll_wait only";
    struct wait w = begin_wait(s);
    for (;;) {
        const struct task *tasks;
        bool asleep = true;
        int n = read_all_tasks(s->pid, &tasks);
        for (int i = 0; i < n; i++) {
            if (sleeps_elsewhere(s, &tasks[i]) && !is_main_beside_workers(s, &tasks[i], tasks, n))
                fail_check(s, expected, "it is blocked in a different call");
            asleep &= is_asleep(&tasks[i], s->pid);
        }
        if ((asleep && n > 0) || is_spinning(&w))
            return;
        if (!continue_wait(&w))
            fail_check(s, expected, "it does not; %s", w.why);
    }
}

/* ---- processes and descriptors ----------------------------------------------------------- */

void expect_own_sockets_only(struct server *s, struct peer *client)
{
    pid_t pid = process_serving(s, client);
    char expected[100], name[300];
    snprintf(expected, sizeof expected, "no socket in %s's process except %s's", client->name,
             client->name);
    read_connections();
    for (int fd = 0; fd < 1024; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c == NULL || c->remote == client->port)
            continue;
        name_descriptor(name, sizeof name, pid, fd);
        fail_check(s, expected, "descriptor %d is also open there: %s", fd, name);
    }
}

static int living_children(struct server *s)
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks), living = 0;
    for (int i = 0; i < n; i++)
        living += tasks[i].pid != s->pid && !is_dead(&tasks[i]);
    return living;
}

void wait_children_ended(struct server *s)
{
    struct wait w = begin_wait(s);
    while (living_children(s) > 0)
        if (!continue_wait(&w) && living_children(s) > 0)
            fail_check(s, "each child ends when its client has left", "%d are still running; %s",
                       living_children(s), w.why);
}

/* That a server was asleep says nothing about a wrong number. */
static const char *unless_asleep(const struct wait *w)
{
    static char text[200];
    bool asleep = strncmp(w->why, "the server had been asleep", 26) == 0;
    snprintf(text, sizeof text, "; %s", w->why);
    return asleep ? "" : text;
}

static void expect_count(struct server *s, int (*count)(struct server *), const char *one,
                         const char *many, int n, const char *why)
{
    struct wait w = begin_wait(s);
    char expected[200];
    for (int have; (have = count(s)) != n;)
        if (!continue_wait(&w)) {
            snprintf(expected, sizeof expected, "%d %s: %s", n, n == 1 ? one : many, why);
            fail_check(s, expected, "%d %s%s", have, have == 1 ? one : many, unless_asleep(&w));
        }
}

void expect_threads(struct server *s, int n, const char *why)
{
    expect_count(s, count_threads, "thread", "threads", n, why);
}

void expect_processes(struct server *s, int n, const char *why)
{
    expect_count(s, count_processes, "process", "processes", n, why);
}

void expect_mappings(struct server *s, int then, const char *when, int most_more,
                     const char *expected)
{
    struct wait w = begin_wait(s);
    for (int more; (more = count_mappings(s) - then) > most_more;)
        if (!continue_wait(&w))
            fail_check(s, expected, "%d more memory mappings than %s%s", more, when,
                       unless_asleep(&w));
}

enum { MAX_NAMES = 8, MAX_RUNS = 6 };

struct named_descriptors {
    char name[300], numbers[100]; /* such as "4, 6 to 9" */
    int count, runs;
    int first, last;   /* of the last run */
    size_t run_starts; /* in `numbers` */
};

static void add_number(struct named_descriptors *named, int fd)
{
    if (named->count++ == 0 || fd != named->last + 1) {
        named->first = fd;
        named->run_starts = strlen(named->numbers);
        named->runs++;
    }
    named->last = fd;
    char *run = named->numbers + named->run_starts;
    size_t size = sizeof named->numbers - named->run_starts;
    const char *comma = named->runs > 1 ? ", " : "";
    if (named->runs > MAX_RUNS)
        return;
    if (fd == named->first)
        snprintf(run, size, "%s%d", comma, fd);
    else
        snprintf(run, size, "%s%d %s %d", comma, named->first,
                 fd == named->first + 1 ? "and" : "to", fd);
}

/* A line for each name. What every process has open, 0 to 2, is left out. */
static void add_descriptor_evidence(struct server *s)
{
    enum { FIRST = 3, MAX_DESCRIPTORS_READ = 4096 };
    static struct named_descriptors all[MAX_NAMES];
    int names = 0, more = 0;
    read_connections();
    for (int fd = FIRST; fd < MAX_DESCRIPTORS_READ; fd++) {
        char target[8], name[300];
        int i = 0;
        if (read_descriptor(s->pid, fd, target, sizeof target) <= 0)
            continue;
        name_descriptor(name, sizeof name, s->pid, fd);
        while (i < names && strcmp(all[i].name, name) != 0)
            i++;
        if (i == MAX_NAMES) {
            more++;
            continue;
        }
        if (i == names)
            strcpy(all[names++].name, name);
        add_number(&all[i], fd);
    }
    for (int i = 0; i < names; i++)
        if (all[i].runs > MAX_RUNS)
            evidence("%d descriptors, such as %s: %s", all[i].count, all[i].numbers, all[i].name);
        else
            evidence("%s %s: %s", all[i].count == 1 ? "descriptor" : "descriptors", all[i].numbers,
                     all[i].name);
    if (more > 0)
        evidence("... and %d more descriptors", more);
}

void expect_descriptors(struct server *s, int most, const char *why)
{
    struct wait w = begin_wait(s);
    for (int n; !may_inspect_descriptors(s, &w) || (n = count_descriptors(s)) > most;)
        if (!continue_wait(&w) && (n = count_descriptors(s)) > most) {
            char expected[200];
            snprintf(expected, sizeof expected, "%d open descriptors: %s", most, why);
            add_descriptor_evidence(s);
            fail_check(s, expected, "%d open descriptors%s", n, unless_asleep(&w));
        } else if (w.over) {
            return;
        }
}
