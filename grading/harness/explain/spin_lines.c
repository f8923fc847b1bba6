#include "explain/spin_lines.h"
#include "core/report.h"
#include "drive/descriptor_name.h"
#include "observe/interest.h"
#include "observe/resources.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_READY = 64, MAX_EPOLL_FD = 64, MAX_LINES = 3 };

struct ready {
    int fd;
    bool for_output, is_closed;
    char why[80], name[300];
};

/* As each of the three names the interest in input and in output. */
static const char *const input[] = {[EPOLL] = "EPOLLIN", [SELECT] = "readfds", [POLL] = "POLLIN"};
static const char *const output[] = {
    [EPOLL] = "EPOLLOUT", [SELECT] = "writefds", [POLL] = "POLLOUT"};

#define BECAUSE(...) (snprintf(ready->why, sizeof ready->why, __VA_ARGS__), true)

/* Does a level-triggered wait for this socket return at once? */
static bool is_socket_ready(const struct connection *c, unsigned events, enum multiplexer kind,
                            struct ready *ready)
{
    if ((events & EPOLLIN) && c->to_read > 0)
        return BECAUSE("%s, and %lu %s", input[kind], c->to_read,
                       c->state == STATE_LISTEN ? "in the backlog" : "bytes unread");
    if ((events & EPOLLIN) && c->state == STATE_CLOSE_WAIT)
        return BECAUSE("%s, at end-of-file", input[kind]);
    ready->for_output = (events & EPOLLOUT) && c->to_send == 0 &&
                        (c->state == STATE_ESTABLISHED || c->state == STATE_CLOSE_WAIT);
    return ready->for_output && BECAUSE("%s, with room to send", output[kind]);
}

static bool is_ready(const struct interest_list *list, const struct interest *i,
                     struct ready *ready)
{
    pid_t pid = list->pid;
    char target[64];
    const struct connection *c = connection_of(pid, i->fd);
    *ready = (struct ready){.fd = i->fd};
    if (i->events & EPOLLET)
        return false;
    if (c != NULL)
        return is_socket_ready(c, i->events, list->kind, ready);
    if (read_descriptor(pid, i->fd, target, sizeof target) < 0)
        return ready->is_closed = list->kind == SELECT;
    if (strncmp(target, "socket:", 7) == 0)
        return BECAUSE("%s", list->kind == EPOLL ? "EPOLLHUP, whatever the interest"
                                                 : "its connection has ended");
    if ((i->events & EPOLLIN) && read_descriptor_number(pid, i->fd, "eventfd-count:") > 0)
        return BECAUSE("%s, and its count has not been read", input[list->kind]);
    return (i->events & EPOLLIN) && read_descriptor_number(pid, i->fd, "ticks:") > 0 &&
           BECAUSE("%s: it has expired, and has not been read", input[list->kind]);
}

static int add_ready(const struct interest_list *list, struct ready *ready, int n)
{
    for (int i = 0; i < list->count && n < MAX_READY; i++)
        if (is_ready(list, &list->all[i], &ready[n])) {
            name_descriptor(ready[n].name, sizeof ready->name, list->pid, ready[n].fd);
            n++;
        }
    return n;
}

/* In all epoll instances of this process; if it has none, in select or poll. */
static int find_ready(pid_t pid, struct ready *ready)
{
    static struct interest_list list;
    int n = 0;
    bool uses_epoll = false;
    for (int fd = 3; fd < MAX_EPOLL_FD; fd++) {
        if (!is_epoll_instance(pid, fd))
            continue;
        uses_epoll = true;
        read_connections();
        if (read_epoll_interest(pid, fd, &list))
            n = add_ready(&list, ready, n);
    }
    if (uses_epoll || !catch_interest(pid, &list))
        return n;
    read_connections();
    return add_ready(&list, ready, n);
}

static bool is_still_ready(const struct ready *ready, const struct ready *again, int n)
{
    for (int i = 0; i < n; i++)
        if (ready->fd == again[i].fd && strcmp(ready->why, again[i].why) == 0)
            return true;
    return false;
}

/* What is ready at several moments, while the server uses CPU time, is what makes a loop spin.
 * Input that is unread, for so long, may be that of a server which is only slow; room to send that
 * nothing uses, twice, is not. */
static int find_always_ready(pid_t pid, struct ready *ready)
{
    enum { TIMES = 5, TIMES_FOR_OUTPUT = 2, MICROSECONDS = 4000 };
    static struct ready again[MAX_READY];
    uint64_t cpu = read_cpu_time(pid);
    int n = find_ready(pid, ready);
    for (int time = 1; time < TIMES && n > 0; time++) {
        usleep(MICROSECONDS);
        int m = find_ready(pid, again), kept = 0;
        for (int i = 0; i < n; i++)
            if (is_still_ready(&ready[i], again, m) ||
                (time >= TIMES_FOR_OUTPUT && ready[i].for_output))
                ready[kept++] = ready[i];
        n = kept;
    }
    return read_cpu_time(pid) > cpu ? n : 0;
}

/* A descriptor for which select fails, or -1. */
static int find_closed(const struct ready *ready, int n)
{
    for (int i = 0; i < n; i++)
        if (ready[i].is_closed)
            return ready[i].fd;
    return -1;
}

void add_spin_lines(struct server *s)
{
    static struct ready ready[MAX_READY];
    if (has_ended(s) || s->frozen || under_valgrind(s) || all_tasks_asleep(s->pid))
        return;
    int n = find_always_ready(s->pid, ready);
    int closed = find_closed(ready, n);
    for (int tries = 0; tries < 5 && n == 0 && closed == -1; tries++)
        closed = find_closed(ready, find_ready(s->pid, ready));
    if (closed != -1) { /* then select reports no other */
        evidence("select fails with EBADF: descriptor %d in its sets is not open", closed);
        return;
    }
    for (int i = 0; i < n && i < MAX_LINES; i++)
        evidence("always ready: %s (%s)", ready[i].name, ready[i].why);
}
