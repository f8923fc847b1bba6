#include "explain/interest_lines.h"
#include "core/report.h"
#include "drive/backend.h"
#include "drive/descriptor_name.h"
#include "drive/peer_receive.h"
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

enum { MAX_LISTS = 8, MAX_FD = 4096, MAX_EPOLL_FD = 64, MAX_TROUBLES = 3 };

/* The lists of all threads that wait in such a call, and of epoll instances for which none waits.
 */
static struct interest_list lists[MAX_LISTS];
static pid_t waiting[MAX_LISTS]; /* the thread, or 0 */
static int list_count;

static int by_fd(const void *a, const void *b)
{
    return ((const struct interest *)a)->fd - ((const struct interest *)b)->fd;
}

static bool is_listed(pid_t pid, int epoll_fd)
{
    for (int i = 0; i < list_count; i++)
        if (lists[i].kind == EPOLL && lists[i].pid == pid && lists[i].epoll_fd == epoll_fd)
            return true;
    return false;
}

static void read_lists(pid_t root, const struct task *tasks, int n)
{
    list_count = 0;
    for (int i = 0; i < n && list_count < MAX_LISTS; i++)
        if (read_interest(&tasks[i], &lists[list_count]))
            waiting[list_count++] = tasks[i].tid;
    for (int fd = 3; fd < MAX_EPOLL_FD && list_count < MAX_LISTS; fd++)
        if (is_epoll_instance(root, fd) && !is_listed(root, fd) &&
            read_epoll_interest(root, fd, &lists[list_count]))
            waiting[list_count++] = 0;
    for (int i = 0; i < list_count; i++) /* the kernel's are in any order */
        qsort(lists[i].all, (size_t)lists[i].count, sizeof *lists[i].all, by_fd);
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
    const struct peer *p = peer_at(c->remote);
    const struct connection *other = find_connection(c->remote, s->port);
    bool searches = calls_at(USER) + calls_at(QUERY) + calls_at(STOCK) > 0;
    if (searches || p == NULL || p->server != s || p->is_nc || p->closed || other == NULL ||
        c->to_send > 0 || other->to_send > 0 || p->sent < c->to_read)
        return false;
    *read = p->sent - c->to_read;
    *sent = p->received + other->to_read;
    return *read > *sent;
}

/* Has it read a part of what this client has sent, and dealt with that? If not, it has not come as
 * far as to wait for the rest. */
static bool waits_for_the_rest(const struct connection *c)
{
    const struct peer *p = peer_at(c->remote);
    return p != NULL && p->sent > c->to_read && report->failure != NOT_SENT;
}

/* Little may be what the server keeps on purpose; much is what the socket had no room for. */
static void add_owed_line(enum multiplexer kind, const char *name, size_t read, size_t sent)
{
    enum { MUCH = 1024 };
    static const char *const without[] = {[EPOLL] = "; there is no EPOLLOUT for it",
                                          [SELECT] = "; it is not in writefds",
                                          [POLL] = "; there is no POLLOUT for it"};
    evidence("%s: the server has read %zu bytes and sent %zu%s", name, read, sent,
             read - sent >= MUCH ? without[kind] : "");
}

/* To look for a socket among the descriptors takes a while if there are many. */
enum { MAX_EXAMINED = 20 };
static int examined;

/* What the call does not report, although it has happened. True when there is such a thing. */
static bool add_missed_line(const struct server *s, const struct connection *c)
{
    unsigned events = 0;
    char name[300];
    const struct interest_list *list;
    size_t read = 0, sent = 0;
    bool readable = c->to_read > 0 || c->eof_unread, listens = c->state == STATE_LISTEN;
    bool owes = !listens && !readable && owes_output(s, c, &read, &sent);
    if ((!readable && !owes) || (!listens && (c->inode == 0 || peer_name_at(c->remote) == NULL)))
        return false;
    if (examined++ >= MAX_EXAMINED)
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
    else if (found && readable && waiting[list - lists] == 0)
        evidence("%s: no thread is in epoll_wait for it", name);
    else if (!found)
        evidence("%s is not in %s", name,
                 list->kind == EPOLL ? "any epoll instance" : "any set of the call");
    else if (none && (events & EPOLLONESHOT))
        evidence("%s: reported once (EPOLLONESHOT), and not again until EPOLL_CTL_MOD", name);
    else if (readable && list->kind == SELECT && !(events & EPOLLIN))
        evidence("%s is not in readfds", name);
    else if (readable && !(events & EPOLLIN))
        evidence("%s: %s does not wait for %sIN there", name, call, prefix);
    else if (readable && (events & EPOLLET) && (listens || waits_for_the_rest(c)))
        evidence("%s: edge-triggered, so what %s is not reported again", name,
                 listens ? "is in the backlog" : "is still unread");
    else if (owes && !(events & EPOLLOUT))
        add_owed_line(list->kind, name, read, sent);
    else
        return false;
    return true;
}

/* The client that the check waits for comes first. */
static int add_missed_lines(const struct server *s)
{
    int count, lines = 0;
    const struct peer *p = receiving_peer();
    const struct connection *connections = all_connections(&count);
    const struct connection *awaited = p == NULL ? NULL : find_connection(s->port, p->port);
    examined = 0;
    if (list_count == 0)
        return 0;
    if (awaited != NULL)
        lines += add_missed_line(s, awaited);
    for (int i = 0; i < count && lines < MAX_TROUBLES; i++)
        if (connections[i].local == s->port && &connections[i] != awaited)
            lines += add_missed_line(s, &connections[i]);
    return lines;
}

/* ---- all of it --------------------------------------------------------------------------- */

/* It should have woken up: for the signal, or to send something. */
static bool should_wake(struct server *s)
{
    const struct peer *p = receiving_peer();
    return s->signal_sent != 0 || strstr(standard_error_of(s), "FAULTS: SIGTERM") != NULL ||
           (p != NULL && !receiving_wrong_bytes() && p->end == STILL_OPEN);
}

static int count_own_connections(const struct server *s)
{
    int count, own = 0;
    const struct connection *connections = all_connections(&count);
    for (int i = 0; i < count; i++)
        own += connections[i].local == s->port;
    return own;
}

void add_interest_lines(struct server *s, const struct task *tasks, int n)
{
    if (count_own_connections(s) > MAX_INTEREST || under_valgrind(s) || !all_tasks_asleep(s->pid))
        return;
    read_lists(s->pid, tasks, n);
    if (add_missed_lines(s) > 0 || should_wake(s))
        for (int i = 0; i < list_count && waiting[i] != 0; i++)
            add_list_line(&lists[i], waiting[i]);
}
