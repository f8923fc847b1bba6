#include "drive/server_process.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/procfs.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/call_records.h"
#include "observe/resources.h"
#include "observe/tasks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_OUTPUT = 64 * OUTPUT_SIZE }; /* a server that prints more prints without end */

static struct server *latest;

/* ---- output ------------------------------------------------------------------------------ */

static void keep(struct output *o, const char *data, size_t size)
{
    if (o->keep_last && o->size + size > OUTPUT_SIZE) {
        size_t excess = o->size + size - OUTPUT_SIZE;
        memmove(o->text, o->text + excess, o->size - excess);
        o->size -= excess;
    }
    if (size > OUTPUT_SIZE - o->size)
        size = OUTPUT_SIZE - o->size;
    memcpy(o->text + o->size, data, size);
    o->size += size;
    o->text[o->size] = '\0';
}

/* Reads once; true while more may follow. */
static bool read_some(struct output *o)
{
    char piece[4096];
    ssize_t n = read(o->source.fd, piece, sizeof piece);
    if (n == -1)
        return errno == EINTR;
    if (n == 0) {
        unwatch(&o->source);
        return false;
    }
    o->total += (size_t)n;
    keep(o, piece, (size_t)n);
    if (o->total > MAX_OUTPUT && o != &o->server->log)
        fail_check(o->server, "little output: the \"listening on\" line, and one at the end",
                   "more than %d bytes on standard %s, such as %s", MAX_OUTPUT,
                   o->keep_last ? "error" : "output", quoted(o->text, o->size, 0));
    return true;
}

static void on_output(struct source *source, uint32_t events)
{
    (void)events;
    read_some((struct output *)((char *)source - offsetof(struct output, source)));
}

static void open_output(struct server *s, struct output *o, int fd, bool keep_last)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    o->server = s;
    o->keep_last = keep_last;
    o->source.fd = fd;
    o->source.on_ready = on_output;
    watch(&o->source, EPOLLIN);
}

/* ---- the process ------------------------------------------------------------------------- */

/* The last number of NSpid, proc(5); `pid` itself where the kernel lists none. */
static pid_t read_inner_pid(pid_t pid)
{
    char text[4096];
    const char *found = NULL;
    if (read_proc(text, sizeof text, "/proc/%d/status", pid, 0) > 0)
        found = strstr(text, "\nNSpid:");
    if (found == NULL)
        return pid;
    char *end = (char *)found + strlen("\nNSpid:");
    for (long n; *end != '\n' && (n = strtol(end, &end, 10)) > 0;)
        pid = (pid_t)n;
    return pid;
}

struct server *new_server(pid_t pid, int out, int err, int log)
{
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL)
        grader_error("out of memory");
    s->pid = pid;
    open_output(s, &s->out, out, false);
    open_output(s, &s->err, err, true);
    if (log != -1)
        open_output(s, &s->log, log, true);
    s->pid_in_log = read_inner_pid(pid);
    s->previous = latest;
    latest = s;
    return s;
}

struct server *latest_server(void)
{
    return latest;
}

int port_of(const struct server *s)
{
    return s->port;
}

pid_t pid_of(const struct server *s)
{
    return s->pid;
}

bool under_valgrind(const struct server *s)
{
    return s->valgrind;
}

/* The server can write to the log, too: nothing in it is trusted. */
static void read_messages(struct server *s)
{
    size_t start = s->messages_read;
    if (s->call_log == NULL || start >= MESSAGES_SIZE)
        return;
    size_t size = strnlen(s->call_log->messages + start, MESSAGES_SIZE - start);
    char *copy = size > 0 ? strndup(s->call_log->messages + start, size) : NULL;
    if (copy == NULL)
        return;
    s->messages_read += strlen(copy);
    keep(&s->err, copy, strlen(copy));
    free(copy);
}

const char *standard_error_of(struct server *s)
{
    read_messages(s);
    return s->err.text;
}

const char *valgrind_log_of(struct server *s)
{
    return s->log.text;
}

bool has_ended(struct server *s)
{
    if (!s->ended && waitpid(s->pid, &s->status, WNOHANG) == s->pid) {
        s->ended = true;
        note_server_ended(WIFSIGNALED(s->status) ? WTERMSIG(s->status) : 0);
        while (s->out.source.events != 0 && read_some(&s->out))
            ;
        while (s->err.source.events != 0 && read_some(&s->err))
            ;
        while (s->log.source.events != 0 && read_some(&s->log))
            ;
        read_messages(s);
    }
    return s->ended;
}

bool has_ended_or_ends(struct server *s)
{
    static const double MAX_SECONDS = 10;
    static const uint64_t MAX_CPU_NANOSECONDS = 300 * 1000 * 1000; /* it has something else to do */
    double start = now();
    uint64_t cpu = read_cpu_time(s->pid);
    while (!has_ended(s) && !s->frozen && now() - start < MAX_SECONDS &&
           (is_exiting(s->pid) ||
            (!all_tasks_asleep(s->pid) && read_cpu_time(s->pid) < cpu + MAX_CPU_NANOSECONDS)))
        usleep(1000);
    return s->ended;
}

const char *the_server_ended(struct server *s)
{
    static char text[100];
    note_failure(EXITED);
    snprintf(text, sizeof text, "the server ended: %s", describe_ending(s));
    return text;
}

void fail_if_ended(struct server *s, const char *expected)
{
    if (has_ended_or_ends(s))
        fail_check(s, expected, "%s", the_server_ended(s));
}

const char *describe_ending(struct server *s)
{
    static char text[64];
    if (WIFSIGNALED(s->status))
        snprintf(text, sizeof text, "killed by SIG%s", sigabbrev_np(WTERMSIG(s->status)));
    else
        snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(s->status));
    return text;
}
