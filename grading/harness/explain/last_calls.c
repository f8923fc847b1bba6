#include "explain/last_calls.h"
#include "core/report.h"
#include "drive/backend.h"
#include "drive/call_log.h"
#include "drive/peer.h"
#include "explain/call_text.h"
#include "observe/resources.h"
#include "observe/sockets.h"
#include "observe/syscall_table.h"
#include "observe/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

enum {
    SHOWN = 4,          /* calls in a line */
    MAX_OTHERS = 2,     /* clients besides the one that the step was about */
    MAX_EXAMINED = 300, /* of which the latest are examined; and of the backends' calls */
    MANY = 1000,        /* the same call so often in a row: the server spins, */
    SEVERAL = 100,      /* or even so often */
    TEXT_SIZE = 700,
};

/* ---- one socket -------------------------------------------------------------------------- */

/* Is a thread blocked in a call on the connection with this port? */
static bool is_blocked_on(struct server *s, int peer_port)
{
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks);
    for (int i = 0; i < n; i++) {
        enum call_kind kind = call_kind(tasks[i].call);
        const struct connection *c = kind == CALL_READS || kind == CALL_WRITES
                                         ? connection_of(tasks[i].pid, (int)tasks[i].arg[0])
                                         : NULL;
        if (c != NULL && c->state != STATE_LISTEN && c->remote == peer_port)
            return true;
    }
    return false;
}

static const char *why_not_returned(struct server *s, const struct record *r)
{
    if (has_ended(s))
        return WIFSIGNALED(s->status) ? "here the server was killed" : "it did not return";
    return is_blocked_on(s, r->peer_port) ? "still waiting" : "it did not return";
}

/* The process that closed the descriptor before this call. */
static int closer_before(const struct record_copy *copy, int index)
{
    for (int i = index - 1; i >= 0; i--)
        if (copy->calls[i].function == CALLED_CLOSE && !copy->calls[i].after_close)
            return copy->calls[i].pid;
    return copy->calls[index].pid;
}

static bool several_processes(const struct record_copy *copy, int n)
{
    for (int i = 1; i < n; i++)
        if (copy->calls[i].pid != copy->calls[0].pid)
            return true;
    return false;
}

static void append_remark(char *text, size_t size, const struct record_copy *copy, int n, int index)
{
    const struct recorded_call *c = &copy->calls[index];
    bool by_parent = several_processes(copy, n) && c->pid == copy->record.pid;
    const struct peer *p = peer_at(copy->record.peer_port);
    if (c->after_close && c->error == EBADF && !copy->calls[index - (index > 0)].after_close)
        append_text(text, size, ": descriptor %d had been closed %s", copy->record.fd,
                    closer_before(copy, index) == c->pid ? "already"
                                                         : "by the parent, before fork()");
    else if (by_parent)
        append_text(text, size, " by the parent");
    else if (c->function == CALLED_CLOSE && c->size > 0 && p != NULL &&
             (p->end == GOT_RST || p->broken) && !p->closed)
        append_text(text, size, " with %lld bytes unread, which resets the connection",
                    (long long)c->size);
}

static bool is_error(const struct recorded_call *c, int error)
{
    return c->returned && c->result == -1 && c->error == error;
}

/* Does the server's first process still have this descriptor, although a different process has
 * closed it, or the client has left? */
static void append_if_open(char *text, size_t size, struct server *s,
                           const struct record_copy *copy, int n)
{
    const struct recorded_call *last = &copy->calls[n - 1];
    bool over = is_error(last, ECONNRESET) || is_error(last, EPIPE) ||
                is_error(last, ECONNREFUSED) ||
                (is_receiving(last) && last->returned && last->result == 0);
    bool by_child = last->function == CALLED_CLOSE && last->pid != copy->record.pid;
    char target[64];
    struct record_copy later;
    if ((!over && !by_child) || has_ended(s) ||
        read_descriptor(s->pid, copy->record.fd, target, sizeof target) <= 0 ||
        strncmp(target, "socket:", 7) != 0)
        return;
    for (uint32_t i = copy->record.serial + 1; i <= last_serial(s->call_log); i++)
        if (read_record(s->call_log, i, &later) >= 0 && later.record.fd == copy->record.fd &&
            later.record.pid == copy->record.pid)
            return;
    append_text(text, size, "; %s descriptor %d is still open", by_child ? "the parent's" : "its",
                copy->record.fd);
}

/* Leaves out one that is just being made again and again, and what the parent does in lab 2: it
 * closes its descriptor while the child serves the client. */
static int select_calls(struct record_copy *copy, int n)
{
    int kept = 0;
    bool several = several_processes(copy, n);
    if (n > 1 && !copy->calls[n - 1].returned && copy->calls[n - 2].times >= MANY)
        n--;
    for (int i = 0; i < n; i++) {
        const struct recorded_call *c = &copy->calls[i];
        bool failed_later = false;
        for (int j = i + 1; j < n; j++)
            failed_later |= copy->calls[j].after_close;
        if (!several || c->function != CALLED_CLOSE || c->pid != copy->record.pid || failed_later)
            copy->calls[kept++] = *c;
    }
    return kept;
}

static void append_calls(char *text, size_t size, struct server *s, const struct record_copy *copy,
                         int n)
{
    for (int i = n > SHOWN ? n - SHOWN : 0; i < n; i++) {
        const struct recorded_call *c = &copy->calls[i];
        append_call(text, size, c, c->returned ? "" : why_not_returned(s, &copy->record));
        append_remark(text, size, copy, n, i);
        append_text(text, size, "%s", i + 1 < n ? "; " : "");
    }
    if (n > 0)
        append_if_open(text, size, s, copy, n);
}

/* Does the server call backends? */
static bool has_backends(struct server *s)
{
    struct record_copy copy;
    for (uint32_t i = first_serial(s->call_log); i <= last_serial(s->call_log); i++)
        if (read_record(s->call_log, i, &copy) >= 0 && copy.record.kind == SOCKET_RECORD &&
            backend_name_at(copy.record.peer_port) != NULL)
            return true;
    return false;
}

/* ---- what is wrong with it --------------------------------------------------------------- */

static bool is_mistake(int error)
{
    return error == EBADF || error == ENOTSOCK || error == EFAULT || error == EINVAL ||
           error == ENOTCONN || error == EDESTADDRREQ;
}

/* Do these calls show that something is wrong, whatever the step was about? */
static bool is_suspicious(struct server *s, const struct record_copy *copy, int n)
{
    for (int i = n > SHOWN ? n - SHOWN : 0; i < n; i++) {
        const struct recorded_call *c = &copy->calls[i];
        bool killed = !c->returned && is_sending_call(c) && has_ended(s) && WIFSIGNALED(s->status);
        bool failed = c->result == -1 && (is_mistake(c->error) || c->function == CALLED_EPOLL_CTL);
        /* A server may shut down a connection that the client has reset. */
        bool harmless = c->function == CALLED_SHUTDOWN && c->error == ENOTCONN;
        char open[80] = "";
        if (i == n - 1)
            append_if_open(open, sizeof open, s, copy, n);
        if (*open != '\0')
            return true;
        if (killed || (failed && !harmless) || c->times >= MANY)
            return true;
    }
    return false;
}

/* Does the client wait for the server to read, which has received less than there was? */
static bool stopped_reading(struct server *s, const struct record_copy *copy, int n)
{
    const struct connection *c =
        has_ended(s) ? NULL : find_connection(s->port, copy->record.peer_port);
    for (int i = n - 1; i >= 0; i--)
        if (is_receiving(&copy->calls[i]))
            return c != NULL && c->to_read > 0 && copy->calls[i].result == copy->calls[i].size;
    return false;
}

/* The client has left, and so it was closed. */
static bool left_and_closed(struct server *s, const struct record_copy *copy, int n)
{
    const struct peer *p = peer_at(copy->record.peer_port);
    const struct recorded_call *last = &copy->calls[n - 1], *before = &copy->calls[n - 2];
    return p != NULL && p->closed && !has_ended(s) && last->function == CALLED_CLOSE &&
           last->result == 0 && is_receiving(before) &&
           (before->result == 0 || is_error(before, ECONNRESET));
}

/* Whatever was received was answered, and now it waits for more: the threads' lines say that.
 * Answers are as long as what was received, unless there are backends. */
static bool is_unremarkable(struct server *s, const struct record_copy *copy, int n)
{
    int64_t owed = 0;
    bool whole = n < CALLS_KEPT && is_receiving(&copy->calls[0]), answered = false;
    if (n == 0 || stopped_reading(s, copy, n))
        return false;
    if (n == 1 && is_receiving(&copy->calls[0]) && !copy->calls[0].returned)
        return (copy->calls[0].flags & (MSG_WAITALL | MSG_PEEK)) == 0;
    if (n > 2 && left_and_closed(s, copy, n))
        n -= 2;
    for (int i = 0; i < n; i++) {
        const struct recorded_call *c = &copy->calls[i];
        bool receives = is_receiving(c), last = i == n - 1;
        if ((!receives && !is_sending_call(c)) || c->flags & (MSG_WAITALL | MSG_PEEK) ||
            c->times > 1)
            return false;
        if (!c->returned && receives && last)
            break;
        if (!c->returned || c->result <= 0 || (!receives && c->result != c->size))
            return false;
        owed += receives ? c->result : -c->result;
        answered = !receives;
    }
    return n > 0 && answered && (owed == 0 || !whole || has_backends(s));
}

/* ---- clients and backends ---------------------------------------------------------------- */

static void add_line(struct server *s, const char *name, const struct record_copy *copy, int n)
{
    char text[TEXT_SIZE] = "";
    append_calls(text, sizeof text, s, copy, n);
    evidence("the server's last calls %s: %s", name, n > 0 ? text : "none since it was accepted");
}

static void add_client(struct server *s, const struct peer *p, const struct record_copy *copy,
                       int n)
{
    char name[40];
    snprintf(name, sizeof name, "for %s", p->name);
    add_line(s, name, copy, n);
}

/* A client's latest record; returns the number of its calls, or -1. */
static int find_client(struct server *s, const struct peer *p, struct record_copy *copy)
{
    const struct call_log *log = s->call_log;
    for (uint32_t i = last_serial(log); i >= first_serial(log) && i > 0; i--) {
        int n = read_record(log, i, copy);
        if (n >= 0 && copy->record.kind == SOCKET_RECORD && copy->record.local_port == s->port &&
            copy->record.peer_port == p->port)
            return select_calls(copy, n);
    }
    return -1;
}

static void add_other_clients(struct server *s, const struct peer *done)
{
    const struct call_log *log = s->call_log;
    struct record_copy copy;
    struct recorded_call shown = {0};
    int lines = 0, examined = 0;
    for (uint32_t i = last_serial(log); i >= first_serial(log) && i > 0 && lines < MAX_OTHERS;
         i--) {
        int n = read_record(log, i, &copy);
        if (n <= 0 || copy.record.kind != SOCKET_RECORD || copy.record.local_port != s->port)
            continue;
        const struct peer *p = peer_at(copy.record.peer_port);
        n = select_calls(&copy, n);
        if (++examined > MAX_EXAMINED)
            return;
        if (p == NULL || p == done || n == 0 || !is_suspicious(s, &copy, n))
            continue;
        if (lines > 0 && copy.calls[n - 1].function == shown.function &&
            copy.calls[n - 1].error == shown.error)
            continue; /* the same again */
        add_client(s, p, &copy, n);
        shown = copy.calls[n - 1];
        lines++;
    }
}

/* Was the call given up because of an error, before an answer had arrived? */
static bool gave_up(const struct record_copy *copy, int n)
{
    return n > 1 && copy->calls[n - 1].function == CALLED_CLOSE && copy->calls[n - 2].result == -1;
}

/* The latest call of a backend if it failed, or the latest whose descriptor stays open. */
static void add_backend(struct server *s)
{
    const struct call_log *log = s->call_log;
    struct record_copy copy;
    char name[60];
    int examined = 0;
    for (uint32_t i = last_serial(log); i >= first_serial(log) && i > 0; i--) {
        int n = read_record(log, i, &copy);
        const char *backend = n <= 0 || copy.record.kind != SOCKET_RECORD
                                  ? NULL
                                  : backend_name_at(copy.record.peer_port);
        if (backend == NULL)
            continue;
        if (++examined > MAX_EXAMINED)
            return;
        char open[80] = "";
        append_if_open(open, sizeof open, s, &copy, n);
        if (*open == '\0' && (examined > 1 || (!gave_up(&copy, n) && !is_suspicious(s, &copy, n))))
            continue;
        snprintf(name, sizeof name, "for the %s backend", backend);
        add_line(s, name, &copy, n);
        return;
    }
}

/* ---- loops ------------------------------------------------------------------------------- */

/* The record that an event of epoll_wait is about, or select's or poll's first descriptor; 0: it is
 * not a socket. */
static uint32_t record_of_event(const struct call_log *log, const struct recorded_call *c)
{
    struct record_copy copy;
    if (c->function != CALLED_EPOLL_WAIT)
        return (uint32_t)c->detail;
    for (uint32_t i = last_serial(log); i >= first_serial(log) && i > 0; i--)
        if (read_record(log, i, &copy) >= 0 && copy.record.in_epoll &&
            copy.record.epoll_data == c->detail)
            return i;
    return 0;
}

static void name_record(char *name, size_t size, struct server *s, const struct record *r)
{
    const struct peer *p = r->local_port == s->port ? peer_at(r->peer_port) : NULL;
    const char *backend = backend_name_at(r->peer_port);
    if (r->kind == LISTENER_RECORD)
        snprintf(name, size, "the listening socket");
    else if (p != NULL)
        snprintf(name, size, "%s", p->name);
    else if (backend != NULL)
        snprintf(name, size, "the %s backend", backend);
    else
        snprintf(name, size, "a socket");
}

/* A loop that waits, without end, for something that is there already. A client that sends a
 * hundred times wakes it as often, but each time there are calls on the client's socket. A loop
 * that other threads wake by an eventfd sleeps in between. */
static bool add_spinning_loop(struct server *s, const struct recorded_call *c)
{
    struct record_copy copy;
    char text[TEXT_SIZE] = "", name[80] = "a descriptor that is not a socket";
    uint32_t serial = record_of_event(s->call_log, c);
    append_call(text, sizeof text, c, "");
    if (c->times < MANY && (c->result <= 0 || serial == 0))
        return false;
    if (c->result == 0 && c->size == 0) {
        evidence("the server's loop: %s: it does not wait", text);
        return true;
    }
    if (c->result == -1)
        evidence("the server's loop: %s", text);
    if (c->result <= 0)
        return c->result == -1;
    if (serial != 0 && read_record(s->call_log, serial, &copy) >= 0) {
        if (copy.record.made > c->times)
            return false;
        name_record(name, sizeof name, s, &copy.record);
    } else if (has_ended(s) || all_tasks_asleep(s->pid)) {
        return false;
    }
    if (c->function == CALLED_SELECT)
        evidence("the server's loop: %s: %s is %s", text, name, events_text(c));
    else
        evidence("the server's loop: %s: %s for %s", text, events_text(c), name);
    return true;
}

/* Returns whether one spins. */
static bool add_loops(struct server *s)
{
    const struct call_log *log = s->call_log;
    struct record_copy copy;
    for (uint32_t i = first_serial(log); i <= last_serial(log); i++) {
        int n = read_record(log, i, &copy);
        bool spins = false;
        for (int j = n - 1; j >= 0 && copy.record.kind == WAITING_RECORD && !spins; j--)
            spins = copy.calls[j].times >= SEVERAL && add_spinning_loop(s, &copy.calls[j]);
        if (spins)
            return true;
    }
    return false;
}

static void add_listener(struct server *s)
{
    const struct call_log *log = s->call_log;
    struct record_copy copy;
    for (uint32_t i = first_serial(log); i <= last_serial(log); i++) {
        int n = read_record(log, i, &copy);
        if (n <= 0 || copy.record.kind != LISTENER_RECORD)
            continue;
        const struct recorded_call *c = &copy.calls[n - 1];
        if (!c->returned && n > 1)
            c = &copy.calls[n - 2];
        if (c->function == CALLED_ACCEPT && c->result == -1 &&
            (c->times >= MANY || c->error == EMFILE || c->error == ENFILE))
            add_line(s, "on the listening socket", &copy, n);
        return;
    }
}

void add_last_calls(struct server *s)
{
    struct record_copy copy;
    const struct peer *p = client_of_step();
    bool suspicious = false;
    if (s->call_log == NULL || last_serial(s->call_log) == 0)
        return;
    if (p != NULL && p->server == s) {
        int n = find_client(s, p, &copy);
        if (n >= 0 && !is_unremarkable(s, &copy, n))
            add_client(s, p, &copy, n);
        suspicious = n > 0 && is_suspicious(s, &copy, n);
    }
    if (!suspicious)
        add_other_clients(s, p);
    add_listener(s);
    if (!add_loops(s))
        add_backend(s);
}
