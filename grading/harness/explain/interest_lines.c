#include "explain/interest_lines.h"
#include "core/report.h"
#include "drive/descriptor_name.h"
#include "drive/peer.h"
#include "explain/descriptor_list.h"
#include "explain/task_names.h"
#include "observe/interest.h"
#include "observe/resources.h"
#include "observe/sockets.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_LISTS = 8, MAX_FD = 4096, MAX_TROUBLES = 3 };

/* The lists of all threads that wait in such a call. */
static struct interest_list lists[MAX_LISTS];
static pid_t waiting[MAX_LISTS];
static int list_count;

static int by_fd(const void *a, const void *b)
{
    return ((const struct interest *)a)->fd - ((const struct interest *)b)->fd;
}

static void read_lists(const struct task *tasks, int n)
{
    list_count = 0;
    for (int i = 0; i < n && list_count < MAX_LISTS; i++) {
        struct interest_list *list = &lists[list_count];
        if (!read_interest(&tasks[i], list))
            continue;
        qsort(list->all, (size_t)list->count, sizeof *list->all,
              by_fd); /* the kernel's: any order */
        waiting[list_count++] = tasks[i].tid;
    }
}

/* ---- words ------------------------------------------------------------------------------- */

static const char *const call_names[] = {
    [EPOLL] = "epoll_wait", [SELECT] = "select", [POLL] = "poll"};
static const char *const prefixes[] = {[EPOLL] = "EPOLL", [SELECT] = "", [POLL] = "POLL"};

static const struct {
    unsigned bit;
    const char *name;
} bits[] = {{EPOLLIN, "IN"},       {EPOLLOUT, "OUT"},         {EPOLLPRI, "PRI"},
            {EPOLLRDHUP, "RDHUP"}, {EPOLLONESHOT, "ONESHOT"}, {EPOLLET, "ET"}};

/* "EPOLLIN|EPOLLET"; "no events". */
static const char *event_words(enum multiplexer kind, unsigned events)
{
    static char text[120];
    *text = '\0';
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        if (events & bits[i].bit) {
            size_t length = strlen(text);
            snprintf(text + length, sizeof text - length, "%s%s%s", length > 0 ? "|" : "",
                     prefixes[kind], bits[i].name);
        }
    return *text != '\0' ? text : "no events";
}

static const char *timeout_words(const struct interest_list *list)
{
    static char text[60];
    if (list->for_ever)
        return "no timeout";
    if (list->timeout_ms == 0)
        return "timeout 0: it returns at once";
    snprintf(text, sizeof text, "timeout %.0f ms", list->timeout_ms);
    return text;
}

/* ---- the list ---------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static void add_part(char *line, const char *format, ...)
{
    enum { LINE_SIZE = 1000 };
    size_t length = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + length, LINE_SIZE - length, format, arguments);
    va_end(arguments);
}

/* The descriptors whose events, as far as they are in `mask`, are these. */
static void add_group(char *line, const struct interest_list *list, const char *name, unsigned mask,
                      unsigned events)
{
    struct descriptor_list names = {0};
    for (int i = 0; i < list->count; i++)
        if ((list->all[i].events & mask) == events)
            list_descriptor(&names, list->pid, list->all[i].fd);
    if (names.shown > 0)
        add_part(line, "%s: %s; ", name, finish_list(&names));
}

/* A group for each combination of events, in the order of their first descriptors. */
static void add_groups(char *line, const struct interest_list *list)
{
    for (int i = 0; i < list->count; i++) {
        bool seen = false;
        for (int j = 0; j < i && !seen; j++)
            seen = list->all[j].events == list->all[i].events;
        if (!seen)
            add_group(line, list, event_words(list->kind, list->all[i].events), ~0U,
                      list->all[i].events);
    }
}

static void add_list_line(const struct interest_list *list, pid_t tid)
{
    char line[1000] = "";
    if (list->kind == SELECT) {
        add_group(line, list, "readfds", EPOLLIN, EPOLLIN);
        add_group(line, list, "writefds", EPOLLOUT, EPOLLOUT);
        add_group(line, list, "exceptfds", EPOLLPRI, EPOLLPRI);
    } else {
        add_groups(line, list);
    }
    if (list->count == 0)
        add_part(line, "no descriptor; ");
    if (list_count > 1)
        evidence("%s's %s: %s%s", task_name(tid), call_names[list->kind], line,
                 timeout_words(list));
    else
        evidence("%s: %s%s", call_names[list->kind], line, timeout_words(list));
}

/* ---- what it misses ---------------------------------------------------------------------- */

/* The process's descriptor of this socket, or -1. */
static int descriptor_of(pid_t pid, const struct connection *c)
{
    for (int fd = 0; fd < MAX_FD; fd++)
        if (connection_of(pid, fd) == c)
            return fd;
    return -1;
}

/* The events that any of the lists has for this socket; false when it is in none. */
static bool find_events(const struct connection *c, unsigned *events,
                        const struct interest_list **in)
{
    *in = &lists[0];
    for (int i = 0; i < list_count; i++) {
        int fd = descriptor_of(lists[i].pid, c);
        const struct interest *found = fd == -1 ? NULL : find_interest(&lists[i], fd);
        *in = &lists[i];
        if (found != NULL) {
            *events = found->events;
            return true;
        }
    }
    return false;
}

/* In an echo server, or one that answers lines: has it read what it has not answered, although
 * there is room? The numbers of bytes; false when they are not certain. */
static bool owes_output(const struct server *s, const struct connection *c, size_t *read,
                        size_t *sent)
{
    const struct peer *p = find_peer(c->remote);
    const struct connection *other = find_connection(c->remote, s->port);
    if (p == NULL || p->server != s || p->is_nc || p->closed || other == NULL || c->to_send > 0 ||
        other->to_send > 0 || p->sent < c->to_read)
        return false;
    *read = p->sent - c->to_read;
    *sent = p->received + other->to_read;
    return *read > *sent;
}

/* What the call does not report, although it has happened. True when there is such a thing. */
static bool add_missed_line(const struct server *s, const struct connection *c)
{
    unsigned events = 0;
    char name[300];
    const struct interest_list *list;
    size_t read, sent;
    bool readable = c->to_read > 0 || c->eof_unread, listens = c->state == STATE_LISTEN;
    bool owes = !listens && !readable && owes_output(s, c, &read, &sent);
    if ((!readable && !owes) || (!listens && (c->inode == 0 || peer_name_at(c->remote) == NULL)))
        return false;
    bool found = find_events(c, &events, &list);
    int fd = descriptor_of(list->pid, c);
    if (fd == -1)
        return false;
    name_descriptor(name, sizeof name, list->pid, fd);
    const char *call = call_names[list->kind], *prefix = prefixes[list->kind];
    bool none = (events & ~(unsigned)(EPOLLONESHOT | EPOLLET)) == 0;
    if (!found && list->kind == SELECT && fd >= list->nfds)
        evidence("%s is descriptor %d: select ignores it, since nfds is %d", name, fd, list->nfds);
    else if (!found)
        evidence("%s is not in %s", name,
                 list->kind == EPOLL ? "the epoll instance" : "any set of the call");
    else if (none && (events & EPOLLONESHOT))
        evidence("%s: reported once (EPOLLONESHOT), and not again until EPOLL_CTL_MOD", name);
    else if (readable && list->kind == SELECT && !(events & EPOLLIN))
        evidence("%s is not in readfds", name);
    else if (readable && !(events & EPOLLIN))
        evidence("%s: %s does not wait for %sIN there", name, call, prefix);
    else if (readable && (events & EPOLLET))
        evidence("%s: edge-triggered, so what is still unread is not reported again", name);
    else if (owes && !(events & EPOLLOUT))
        evidence("%s: the server has read %zu bytes and sent %zu; %s%s", name, read, sent,
                 list->kind == SELECT ? "it is not in writefds" : "no ",
                 list->kind == SELECT  ? ""
                 : list->kind == EPOLL ? "EPOLLOUT"
                                       : "POLLOUT");
    else
        return false;
    return true;
}

static int add_missed_lines(const struct server *s)
{
    int count, lines = 0;
    const struct connection *connections = all_connections(&count);
    for (int i = 0; i < count && list_count > 0 && lines < MAX_TROUBLES; i++)
        if (connections[i].local == s->port)
            lines += add_missed_line(s, &connections[i]);
    return lines;
}

/* ---- what is ready all the time ---------------------------------------------------------- */

/* Why a level-triggered wait for this socket returns at once, or NULL. */
static const char *why_socket_is_ready(const struct connection *c, unsigned events)
{
    static char text[80];
    if ((events & EPOLLIN) && c->to_read > 0) {
        snprintf(text, sizeof text, "EPOLLIN, and %lu %s", c->to_read,
                 c->state == STATE_LISTEN ? "in the backlog" : "bytes unread");
        return text;
    }
    if ((events & EPOLLIN) && c->state == STATE_CLOSE_WAIT)
        return "EPOLLIN, at end-of-file";
    if ((events & EPOLLOUT) && c->to_send == 0 &&
        (c->state == STATE_ESTABLISHED || c->state == STATE_CLOSE_WAIT))
        return "EPOLLOUT, with room to send";
    return NULL;
}

static const char *why_ready(pid_t pid, const struct interest *i)
{
    const struct connection *c = connection_of(pid, i->fd);
    if (i->events & EPOLLET)
        return NULL;
    if (c != NULL)
        return why_socket_is_ready(c, i->events);
    if ((i->events & EPOLLIN) && read_descriptor_number(pid, i->fd, "eventfd-count:") > 0)
        return "EPOLLIN, and its count has not been read";
    if ((i->events & EPOLLIN) && read_descriptor_number(pid, i->fd, "ticks:") > 0)
        return "EPOLLIN: it has expired, and has not been read";
    return NULL;
}

enum { MAX_READY = 64 };

struct ready {
    int fd;
    char why[80];
};

/* In all epoll instances of this process. */
static int find_ready(pid_t pid, struct ready *ready)
{
    static struct interest_list list;
    int n = 0;
    read_connections();
    for (int epoll_fd = 3; epoll_fd < MAX_FD / 4; epoll_fd++) {
        char target[64];
        read_descriptor(pid, epoll_fd, target, sizeof target);
        if (strcmp(target, "anon_inode:[eventpoll]") != 0 ||
            !read_epoll_interest(pid, epoll_fd, &list))
            continue;
        for (int i = 0; i < list.count && n < MAX_READY; i++) {
            const char *why = why_ready(pid, &list.all[i]);
            if (why == NULL)
                continue;
            ready[n].fd = list.all[i].fd;
            snprintf(ready[n++].why, sizeof ready->why, "%s", why);
        }
    }
    return n;
}

/* What is ready at several moments is what makes a loop spin: nothing makes it less ready. */
static void add_ready_lines(pid_t pid)
{
    enum { TIMES = 4, MICROSECONDS = 3000 };
    static struct ready first[MAX_READY], again[MAX_READY];
    int lines = 0, n = find_ready(pid, first);
    for (int time = 1; time < TIMES && n > 0; time++) {
        usleep(MICROSECONDS);
        int m = find_ready(pid, again), kept = 0;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < m; j++)
                if (first[i].fd == again[j].fd && strcmp(first[i].why, again[j].why) == 0) {
                    first[kept++] = first[i];
                    break;
                }
        n = kept;
    }
    for (int i = 0; i < n && lines < MAX_TROUBLES; i++, lines++) {
        char name[300];
        name_descriptor(name, sizeof name, pid, first[i].fd);
        evidence("always ready: %s (%s)", name, first[i].why);
    }
}

/* ---- all of it --------------------------------------------------------------------------- */

static bool was_told_to_stop(struct server *s)
{
    return s->signal_sent != 0 || strstr(standard_error_of(s), "FAULTS: SIGTERM") != NULL;
}

void add_interest_lines(struct server *s, const struct task *tasks, int n)
{
    int count;
    all_connections(&count);
    if (count > MAX_INTEREST || under_valgrind(s))
        return;
    read_lists(tasks, n);
    if (add_missed_lines(s) > 0 || was_told_to_stop(s))
        for (int i = 0; i < list_count; i++)
            add_list_line(&lists[i], waiting[i]);
    if (!s->frozen && !was_told_to_stop(s))
        add_ready_lines(s->pid);
}
