#include "explain/evidence.h"
#include "core/clock.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/crash_record.h"
#include "drive/descriptor_name.h"
#include "drive/peer.h"
#include "explain/last_calls.h"
#include "explain/places.h"
#include "explain/spin_lines.h"
#include "explain/state_lines.h"
#include "explain/task_names.h"
#include "observe/coroutines.h"
#include "observe/sockets.h"
#include "observe/stack.h"
#include "observe/syscall_table.h"
#include "observe/tasks.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is known of the client that a call reads from or writes to, or NULL. */
static const char *client_state(const struct task *task)
{
    enum call_kind kind = call_kind(task->call);
    if (kind != CALL_READS && kind != CALL_WRITES)
        return NULL;
    const struct connection *c = connection_of(task->pid, (int)task->arg[0]);
    return c != NULL && c->state != STATE_LISTEN ? peer_state_at(c->remote) : NULL;
}

static void describe_task(char *text, size_t size, const struct task *task)
{
    char descriptor[300];
    const char *call = call_name(task->call);
    enum call_kind kind = call_kind(task->call);
    const char *lock = describe_lock(task);
    if (task->state == 'Z')
        snprintf(text, size, "ended, but not waited for (a zombie)");
    else if (task->state == 'T' || task->state == 't')
        snprintf(text, size, "stopped by a signal");
    else if (task->call == -1)
        snprintf(text, size, "running, not waiting in any system call");
    else if (call == NULL)
        snprintf(text, size, "in system call number %ld", task->call);
    else if (lock != NULL)
        snprintf(text, size, "in futex: %s", lock);
    else if (kind == CALL_WAITS || (kind == CALL_POLLS && !is_epoll_wait(task->call)))
        snprintf(text, size, "in %s", call);
    else {
        const char *state = client_state(task);
        name_descriptor(descriptor, sizeof descriptor, task->pid, (int)task->arg[0]);
        snprintf(text, size, "in %s(%s)%s%s", call, descriptor, state != NULL ? ", " : "",
                 state != NULL ? state : "");
    }
}

/* The same, with the source line. */
static void describe_task_and_place(char *text, size_t size, const struct task *tasks, int i)
{
    const char *place = place_of_task(i);
    describe_task(text, size, &tasks[i]);
    if (*place != '\0')
        snprintf(text + strlen(text), size - strlen(text), ": %s", place);
}

/* A line for each thread; neighbours that do the same share one. */
static void add_task_lines(struct server *s)
{
    enum { MAX_LINES = 12 };
    static char what[2][700 + MAX_PLACE];
    const struct task *tasks;
    int n = read_named_tasks(s->pid, &tasks), processes = 0, lines = 0;
    for (int i = 0; i < n; i++)
        processes += tasks[i].pid == tasks[i].tid;
    find_places(s, tasks, n);
    const char *unit = processes > 1 ? "process" : "thread";
    const char *units = processes > 1 ? "processes" : "threads";
    for (int i = 0, alike; i < n; i += alike) {
        describe_task_and_place(what[0], sizeof what[0], tasks, i);
        for (alike = 1; i + alike < n; alike++) {
            describe_task_and_place(what[1], sizeof what[1], tasks, i + alike);
            if (strcmp(what[0], what[1]) != 0)
                break;
        }
        if (++lines > MAX_LINES) {
            evidence("... and %d more", n - i);
            break;
        }
        if (alike == 1)
            evidence("%s %d of %d: %s", unit, i + 1, n, what[0]);
        else
            evidence("%s %d to %d of %d, each: %s", units, i + 1, i + alike, n, what[0]);
    }
}

/* A line for each place where coroutines are suspended, with their number. */
static void add_coroutine_lines(struct server *s)
{
    enum { MAX_LINES = 6, MAX_NAMES = 4 };
    static bool included[MAX_COROUTINES];
    const struct task *tasks;
    int n = read_all_tasks(s->pid, &tasks), lines = 0;
    n = find_coroutine_places(s, tasks, n);
    memset(included, 0, sizeof included);
    for (int i = 0; i < n && lines < MAX_LINES; i++) {
        const char *place = place_of_coroutine(i);
        char names[200] = "";
        int alike = 0, named = 0;
        for (int j = i; j < n; j++)
            if (!included[j] && strcmp(place_of_coroutine(j), place) == 0) {
                const char *client = client_of_coroutine(j);
                included[j] = true;
                alike++;
                if (client != NULL && named < MAX_NAMES)
                    snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                             named > 0 ? ", " : "", client);
                named += client != NULL;
            }
        bool all_named = named == alike && named <= MAX_NAMES;
        bool none_named = named == 0;
        const char *begin = all_named || none_named ? " (" : "", *end = *begin != '\0' ? ")" : "";
        if (none_named)
            snprintf(names, sizeof names, "%s could not be determined",
                     alike == 1 ? "its client" : "their clients");
        else if (!all_named)
            *names = '\0';
        if (alike == 0 || *place == '\0')
            continue;
        lines++;
        if (alike == 1)
            evidence("a coroutine%s%s%s: suspended in %s", begin, names, end, place);
        else
            evidence("%d coroutines%s%s%s, each: suspended in %s", alike, begin, names, end, place);
    }
}

static void add_backlog_line(const struct connection *listener)
{
    if (listener->to_read > 0)
        evidence("%lu %s in the backlog, not accepted yet", listener->to_read,
                 listener->to_read == 1 ? "connection waits" : "connections wait");
}

static void add_unread_line(const char *name, unsigned long bytes)
{
    evidence("%s: %lu %s been read by the server", name, bytes,
             bytes == 1 ? "byte has arrived but has not" : "bytes have arrived but have not");
}

/* Bytes that wait in the server's sockets, and clients that wait to be accepted. */
static void add_queue_lines(struct server *s)
{
    enum { MAX_LINES = 6 };
    int lines = 0, count;
    const struct connection *connections = all_connections(&count);
    for (int i = 0; i < count; i++) {
        const struct connection *c = &connections[i];
        if (c->local != s->port)
            continue;
        if (c->state == STATE_LISTEN) {
            add_backlog_line(c);
            continue;
        }
        const char *name = peer_name_at(c->remote);
        /* To a client that reads, what has been sent has arrived, acknowledged or not. */
        const struct peer *p = peer_at(c->remote);
        bool has_to_read = p != NULL && c->to_send > 0 && p->not_reading && !p->closed;
        if (name == NULL || c->inode == 0 || (c->to_read == 0 && !has_to_read))
            continue;
        if (++lines > MAX_LINES) {
            evidence("... and more such clients");
            break;
        }
        if (c->to_read > 0)
            add_unread_line(name, c->to_read);
        if (has_to_read)
            evidence("%s does not read; %lu %s for it in the server's socket", name, c->to_send,
                     c->to_send == 1 ? "byte waits" : "bytes wait");
    }
}

/* The last lines of its standard error, unless valgrind wrote them. */
static void add_standard_error(struct server *s)
{
    enum { MAX_SIZE = 300 };
    const char *err = standard_error_of(s);
    if (*err == '\0' || under_valgrind(s))
        return;
    size_t size = strlen(err), start = size > MAX_SIZE ? size - MAX_SIZE : 0;
    while (start > 0 && start < size && err[start - 1] != '\n')
        start++;
    if (start == size)
        evidence("standard error: a very long line");
    bool cut = start > 0;
    int times = 1;
    for (size_t length; start < size; start += length) {
        length = strcspn(err + start, "\n");
        length += err[start + length] == '\n';
        const char *next = err + start + length;
        if (strncmp(err + start, next, length) == 0) {
            times++;
            continue;
        }
        if (times == 1)
            evidence("standard error: %s", quoted(err + start, length, 0));
        else
            evidence("standard error: %s (%s%d times)", quoted(err + start, length, 0),
                     cut ? "at least " : "", times);
        times = 1;
    }
}

static void add_ending_line(struct server *s)
{
    int signal = 0;
    const char *place = place_of_crash(s, 0, &signal);
    bool known = *place != '\0' && WIFSIGNALED(s->status) && WTERMSIG(s->status) == signal;
    bool told_already = strstr(report->received, "the server ended: ") != NULL;
    if (known || !told_already)
        evidence("the server has ended: %s%s%s", describe_ending(s), known ? " in " : "",
                 known ? place : "");
}

/* Other processes of the server that crashed. */
static void add_crash_lines(struct server *s)
{
    for (int i = 1, signal; i < MAX_CRASHES; i++) {
        const char *place = place_of_crash(s, i, &signal);
        if (*place != '\0')
            evidence("a child process of the server was killed by SIG%s in %s",
                     sigabbrev_np(signal), place);
    }
}

void add_thread_evidence(struct server *s)
{
    add_spin_lines(s);
    /* If the server is about to end, how it ended is the better evidence. */
    if (has_ended_or_ends(s)) {
        add_ending_line(s);
    } else {
        read_connections();
        add_task_lines(s);
        if (ptrace_error != 0)
            evidence("the source line of a running thread cannot be shown here: ptrace: %s",
                     strerror(ptrace_error));
        add_coroutine_lines(s);
        add_queue_lines(s);
    }
    add_crash_lines(s);
    add_state_lines(s);
    add_last_calls(s);
    add_standard_error(s);
}
