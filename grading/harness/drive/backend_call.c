#include "drive/backend_call.h"
#include "core/clock.h"
#include "core/report.h"
#include "core/timeline.h"
#include "drive/server_process.h"
#include "drive/wait_loop.h"
#include "observe/resources.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TRICKLED_BYTES = 30 }; /* then it closes: long after a correct server has given up */

static const double TRICKLE_SECONDS = 0.15, SLOW_SECONDS = 0.5;
/* If an answer was held for longer, a correct server may have given up. */
static const double MAX_HELD_SECONDS = 0.9;
/* A server that is asleep for longer while it has something to do is not held up by the machine. */
static const double MAX_ASLEEP_SECONDS = 0.5;
/* How often the server's socket is looked up while nothing will tell that it is closed. */
static const double LOOK_SECONDS = 0.05;

bool may_be_given_up(double began)
{
    return now() - began > MAX_HELD_SECONDS;
}

bool is_open(const struct call *c)
{
    return c->source.fd != -1;
}

bool is_held(const struct call *c)
{
    return c->mode == HOLDS || c->mode == HOLDS_HALF || c->mode == HOLDS_THEN_CLOSES;
}

/* For how long the server was asleep, at work, or stopped by the check. In the rest of the time it
 * waited for a CPU, or this process did. */
static double accounted_seconds(void)
{
    const struct server *s = latest_server();
    double frozen = s->frozen_seconds + (s->frozen ? now() - s->frozen_since : 0);
    return asleep_while_waiting() + (double)read_cpu_time(s->pid) / 1e9 + frozen;
}

static void close_call(struct call *c)
{
    if (c->complete && !c->done && is_held(c))
        c->given_up = now();
    if (c->complete && !c->done)
        note_backend(c->backend, c->port, "is given up", NULL, 0);
    c->closed = now();
    c->asleep_then = asleep_while_waiting();
    if (c->closed - c->began > MAX_HELD_SECONDS)
        c->accounted_then = accounted_seconds();
    unwatch(&c->source);
    if (is_open(c))
        close(c->source.fd);
    c->source.fd = -1;
    c->done = true;
}

static void update_call(struct call *c)
{
    bool more = c->start < c->end && c->next == 0 && !is_held(c);
    if (is_open(c)) /* the FIN of a half-close would be reported for ever; a reset still is */
        watch(&c->source, (c->half_closed ? EPOLLERR : EPOLLIN) | (more ? EPOLLOUT : 0));
}

static void send_some(struct call *c, size_t most)
{
    size_t size = c->end - c->start < most ? c->end - c->start : most;
    /* MSG_MORE, then close: the answer and FIN arrive together, in one segment. */
    int more = c->mode == ANSWERS_AND_CLOSES ? MSG_MORE : 0;
    ssize_t n = send(c->source.fd, c->answer + c->start, size, MSG_NOSIGNAL | MSG_DONTWAIT | more);
    if (n == -1 && errno != EAGAIN) {
        close_call(c);
        return;
    }
    c->start += n > 0 ? (size_t)n : 0;
    if (c->start < c->end)
        return;
    note_backend(c->backend, c->port, "answers", NULL, 0);
    c->done = c->answered = true;
    c->next = 0;
    if (c->mode == CLOSES_BEFORE_NEWLINE || c->mode == TRICKLES || c->mode == ANSWERS_AND_CLOSES)
        close_call(c);
}

/* The received line and the backend's name, or a fixed text; changed as the mode requires. */
static void prepare_answer(struct call *c)
{
    const char *newline = memchr(c->line, '\n', c->size);
    size_t size = newline != NULL ? (size_t)(newline - c->line) : c->size;
    c->answer = malloc(size + 3 * CALL_MAX_LINE);
    if (c->answer == NULL)
        grader_error("out of memory");
    if (c->fixed->text != NULL) {
        memcpy(c->answer, c->fixed->text, c->fixed->size);
        c->end = c->fixed->size;
    } else {
        memcpy(c->answer, c->line, size);
        c->end = size + (size_t)sprintf(c->answer + size, " %s\n", c->backend);
    }
    if (c->mode == ANSWERS_WITH_EXTRA)
        c->end += (size_t)sprintf(c->answer + c->end, "and more\nand still more");
    if (c->mode == CLOSES_BEFORE_NEWLINE)
        c->end--;
    if (c->mode == TRICKLES) {
        memset(c->answer, '.', TRICKLED_BYTES);
        c->end = TRICKLED_BYTES;
    }
}

static void begin_answer(struct call *c)
{
    prepare_answer(c);
    size_t all = c->end;
    if (c->mode == CLOSES)
        close_call(c);
    else if (c->mode == TRICKLES)
        send_some(c, 1);
    else if (c->mode == IN_PIECES || c->mode == HOLDS_HALF)
        send_some(c, all / 2);
    if (is_held(c))
        return;
    if (c->mode == TRICKLES)
        c->next = now() + TRICKLE_SECONDS;
    else if (c->mode == SLOW)
        c->next = now() + SLOW_SECONDS;
    else if (c->mode == IN_PIECES)
        c->next = now();
    else if (is_open(c))
        send_some(c, all);
}

static struct tcp_info read_tcp_info(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info;
}

/* When the last data arrived: we may be late to look. */
static double arrival_time(int fd)
{
    return now() - read_tcp_info(fd).tcpi_last_data_recv / 1e3;
}

/* When the connection arrived, of which only the kernel may know yet. The time of the last data
 * that was sent is that, as long as there is none. */
static double connection_time(int fd)
{
    return now() - read_tcp_info(fd).tcpi_last_data_sent / 1e3;
}

static int unacknowledged_bytes(const struct call *c)
{
    int n = 0;
    ioctl(c->source.fd, SIOCOUTQ, &n);
    return n;
}

static int local_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &size) == 0 ? ntohs(address.sin_port) : 0;
}

/* The server has sent FIN: by close(), or only by shutdown()? */
static bool socket_is_closed(const struct call *c)
{
    const struct connection *servers = read_connection(c->port, local_port(c->source.fd));
    return servers == NULL || servers->inode == 0;
}

static void end_by_server(struct call *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->source.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0 || unacknowledged_bytes(c) > 0)
        c->answered = false; /* it was closed with the answer unread, or on its way */
    close_call(c);
}

void notice_close(struct call *c)
{
    if (!is_open(c) || !c->half_closed)
        return;
    c->looked = now();
    if (socket_is_closed(c))
        end_by_server(c);
}

/* Reads all that there is; what does not fit in a line is discarded. */
static void receive_line(struct call *c)
{
    char discarded[4096];
    ssize_t n;
    do {
        bool full = c->size == sizeof c->line;
        n = recv(c->source.fd, full ? discarded : c->line + c->size,
                 full ? sizeof discarded : sizeof c->line - c->size, MSG_DONTWAIT);
        c->size += n <= 0 || full ? 0 : (size_t)n;
    } while (n > 0);
    bool reset = n == -1 && errno != EAGAIN;
    if (n == -1 && errno == ECONNRESET)
        c->answered = false; /* it was closed with the answer unread */
    bool now_complete = !c->complete && memchr(c->line, '\n', c->size) != NULL;
    c->half_closed = n == 0 && (c->complete || now_complete) && !socket_is_closed(c);
    bool closed = reset || (n == 0 && !c->half_closed);
    if (now_complete) {
        c->complete = true;
        note_backend(c->backend, c->port, "is asked", c->line, strcspn(c->line, "\n"));
        c->arrived = arrival_time(c->source.fd);
        c->read = now();
        if (!closed)
            begin_answer(c);
    }
    if (closed && is_open(c))
        end_by_server(c);
}

/* Of the seconds since the call was accepted, those that are not accounted for. */
static double seconds_lost(const struct call *c)
{
    return is_open(c) ? now() - c->accepted - (accounted_seconds() - c->accounted)
                      : c->closed - c->accepted - (c->accounted_then - c->accounted);
}

void excuse_late_answer(const struct call *c)
{
    if (c->complete && c->read - c->arrived > MAX_HELD_SECONDS)
        machine_too_slow("the %s backend read a request %.1f seconds after "
                         "it had arrived, and a correct server gives up after one",
                         c->backend, c->read - c->arrived);
    double pending = (is_open(c) ? now() : c->closed) - c->began;
    if (c->mode == SLOW && c->next != 0 && pending > MAX_HELD_SECONDS)
        machine_too_slow("the %s backend did not answer for %.1f seconds, "
                         "and a correct server gives up after one",
                         c->backend, pending);
    /* A held answer is released, or the check fails, long before a correct server gives up. A
     * server that has ended has no CPU time any more, and did not end because it was slow. */
    if (c->mode != TRICKLES && c->mode != SLOW && !c->answered && pending > MAX_HELD_SECONDS &&
        !has_ended(latest_server()) && seconds_lost(c) > MAX_HELD_SECONDS / 2)
        machine_too_slow("a call to the %s backend took %.1f seconds, and in %.1f of them the "
                         "server waited for a CPU; a correct server gives up after one",
                         c->backend, pending, seconds_lost(c));
}

static void on_call(struct source *source, uint32_t events)
{
    struct call *c = (struct call *)((char *)source - offsetof(struct call, source));
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive_line(c);
    if (is_open(c) && (events & EPOLLOUT))
        send_some(c, c->end - c->start);
    update_call(c);
}

static int peer_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    return getpeername(fd, (struct sockaddr *)&address, &size) == 0 ? ntohs(address.sin_port) : 0;
}

struct call *new_call(int fd, const char *backend, enum backend_mode mode,
                      const struct fixed_answer *fixed)
{
    struct call *c = calloc(1, sizeof *c);
    if (c == NULL)
        grader_error("out of memory");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    c->source = (struct source){.fd = fd, .on_ready = on_call};
    c->backend = backend;
    c->port = peer_port(fd);
    c->mode = mode;
    c->fixed = fixed;
    c->began = connection_time(fd);
    c->accepted = now();
    c->asleep = asleep_while_waiting();
    c->accounted = accounted_seconds();
    receive_line(c);
    update_call(c);
    return c;
}

void free_call(struct call *c)
{
    if (is_open(c))
        close_call(c);
    free(c->answer);
    free(c);
}

void check_held_time(const struct call *c)
{
    double held = (is_open(c) ? now() : c->closed) - c->began;
    double asleep = (is_open(c) ? asleep_while_waiting() : c->asleep_then) - c->asleep;
    if (held <= MAX_HELD_SECONDS)
        return;
    /* On a slow machine, a server that has something to do is not asleep: it waits for a CPU. */
    if (c->mode != SLOW && asleep > MAX_ASLEEP_SECONDS)
        fail_check(latest_server(), "a server that does at once what it has been asked",
                   "a call was held for %.1f seconds; the server had been asleep for %.1f of them, "
                   "while something was expected of it",
                   held, asleep);
    machine_too_slow("a call was held for %.1f seconds, and a correct "
                     "server gives up after one",
                     held);
}

bool expired_unsent(const struct call *c, double since)
{
    return !is_open(c) && !c->complete && c->closed - since > MAX_HELD_SECONDS &&
           c->asleep_then - c->asleep <= MAX_ASLEEP_SECONDS;
}

/* The kernel has acknowledged what was sent, and so has woken whoever waits for it: a server that
 * is asleep now has read it. */
static bool is_read(const struct call *c)
{
    return unacknowledged_bytes(c) == 0 && all_tasks_asleep(latest_server()->pid);
}

void send_due_piece(struct call *c)
{
    if (c->half_closed && now() - c->looked > LOOK_SECONDS)
        notice_close(c);
    if (!is_open(c) || c->next == 0 || now() < c->next || (c->mode == IN_PIECES && !is_read(c)))
        return;
    c->next = now() + (c->mode == TRICKLES ? TRICKLE_SECONDS : 0);
    size_t rest = c->end - c->start;
    if (c->mode == SLOW)
        check_held_time(c);
    send_some(c, c->mode == IN_PIECES && rest > 1 ? rest - 1 : c->mode == TRICKLES ? 1 : rest);
    update_call(c);
}

void release_call(struct call *c, bool in_time)
{
    if (in_time)
        check_held_time(c);
    c->mode = c->mode == HOLDS_THEN_CLOSES ? ANSWERS_AND_CLOSES : ANSWERS;
    send_some(c, c->end - c->start);
    update_call(c);
}
