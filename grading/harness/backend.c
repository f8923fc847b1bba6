/*
 * The three servers that a search asks, labs 6 to 8. They live in the check's own process and do
 * what the check says: answer, hold, drip, break off. What they hold they must release within a
 * second of the call's beginning, or a right server says "timed out".
 */
#include "internal.h"

#include <arpa/inet.h>
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

enum {
    MAX_LINE = 4096,
    ROOM = 2 * MAX_LINE,
    DRIPS_IN_ALL = 30, /* then it hangs up: long after a right server has given up */
    FILLERS = 4,       /* connections that fill a backlog of 0 */
};

/* Seconds between the bytes of a drip; and how long what is slow takes. */
static const double DRIP_SECONDS = 0.15, SLOW_SECONDS = 0.5;
/* Held for longer, a right server may have given up: that is the machine's fault. */
static const double HELD_SECONDS = 0.9;

struct call {
    struct source source;
    enum backend which;
    enum backend_mode manner; /* the backend's when the call came */
    char line[ROOM];          /* what has come */
    size_t size;
    bool asked, answered; /* a whole line has come; all that was to be said is said */
    char *answer;
    size_t start, end;
    double came, next; /* when it came; when its next piece is due */
    double given_up;   /* when the server hung up while the answer was held; 0: it did not */
    struct call *others;
};

static struct {
    struct source listener;
    int port;
    enum backend_mode manner;
    const char *says; /* instead of its usual answer */
    size_t says_size;
    struct call *calls; /* the latest first */
    int came;           /* calls, all in all */
    int fillers[FILLERS];
} backends[BACKENDS];

static const char *const names[] = {"user", "query", "stock"};
static bool there;

/* ---- answering --------------------------------------------------------------------------- */

static bool is_held(const struct call *c)
{
    return c->manner == HOLDS || c->manner == HOLDS_HALF;
}

static void hang_up_call(struct call *c)
{
    if (c->asked && !c->answered && is_held(c))
        c->given_up = now();
    unwatch(&c->source);
    if (c->source.fd != -1)
        close(c->source.fd);
    c->source.fd = -1;
    c->answered = true;
}

static void update(struct call *c)
{
    bool more = c->start < c->end && c->next == 0 && !is_held(c);
    watch(&c->source, EPOLLIN | (more ? EPOLLOUT : 0));
}

static void send_some(struct call *c, size_t most)
{
    size_t size = c->end - c->start < most ? c->end - c->start : most;
    ssize_t n = send(c->source.fd, c->answer + c->start, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n == -1 && errno != EAGAIN) {
        hang_up_call(c);
        return;
    }
    c->start += n > 0 ? (size_t)n : 0;
    if (c->start < c->end)
        return;
    c->answered = true;
    c->next = 0;
    if (c->manner == CLOSES_BEFORE_NEWLINE || c->manner == TRICKLES)
        hang_up_call(c);
}

/* The line and the backend's name; `more` is what its manner adds. */
static void prepare_answer(struct call *c)
{
    const char *newline = memchr(c->line, '\n', c->size);
    size_t size = newline != NULL ? (size_t)(newline - c->line) : c->size;
    c->answer = malloc(size + 3 * MAX_LINE);
    if (c->answer == NULL)
        grader_error("out of memory");
    if (backends[c->which].says != NULL) {
        memcpy(c->answer, backends[c->which].says, backends[c->which].says_size);
        c->end = backends[c->which].says_size;
    } else {
        memcpy(c->answer, c->line, size);
        c->end = size + (size_t)sprintf(c->answer + size, " %s\n", names[c->which]);
    }
    if (c->manner == ANSWERS_WITH_EXTRA)
        c->end += (size_t)sprintf(c->answer + c->end, "and more\nand still more");
    if (c->manner == CLOSES_BEFORE_NEWLINE)
        c->end--; /* all but the newline */
    if (c->manner == TRICKLES) {
        memset(c->answer, '.', DRIPS_IN_ALL);
        c->end = DRIPS_IN_ALL;
    }
}

static void begin_answer(struct call *c)
{
    prepare_answer(c);
    size_t all = c->end;
    if (c->manner == CLOSES)
        hang_up_call(c);
    else if (c->manner == TRICKLES)
        send_some(c, 1);
    else if (c->manner == IN_PIECES || c->manner == HOLDS_HALF)
        send_some(c, all / 2);
    if (is_held(c))
        return;
    if (c->manner == TRICKLES)
        c->next = now() + DRIP_SECONDS;
    else if (c->manner == SLOW)
        c->next = now() + SLOW_SECONDS;
    else if (c->manner == IN_PIECES)
        c->next = now();
    else if (c->source.fd != -1)
        send_some(c, all);
}

static void take_line(struct call *c)
{
    for (;;) {
        char waste[4096];
        bool full = c->size == sizeof c->line;
        ssize_t n = recv(c->source.fd, full ? waste : c->line + c->size,
                         full ? sizeof waste : sizeof c->line - c->size, MSG_DONTWAIT);
        if (n == -1 && errno == EAGAIN)
            break;
        if (n <= 0) {
            hang_up_call(c);
            return;
        }
        c->size += full ? 0 : (size_t)n;
    }
    if (!c->asked && memchr(c->line, '\n', c->size) != NULL) {
        c->asked = true;
        begin_answer(c);
    }
}

static void call_ready(struct source *source, uint32_t events)
{
    struct call *c = (struct call *)source;
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        take_line(c);
    if (c->source.fd != -1 && (events & EPOLLOUT))
        send_some(c, c->end - c->start);
    if (c->source.fd != -1)
        update(c);
}

static void knock(struct source *source, uint32_t events)
{
    enum backend which = USER;
    (void)events;
    while (&backends[which].listener != source)
        which++;
    for (;;) {
        int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1)
            return;
        struct call *c = calloc(1, sizeof *c);
        if (c == NULL)
            grader_error("out of memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        c->source = (struct source){.fd = fd, .ready = call_ready};
        c->which = which;
        c->manner = backends[which].manner;
        c->came = now();
        c->others = backends[which].calls;
        backends[which].calls = c;
        backends[which].came++;
        take_line(c);
        if (c->source.fd != -1)
            update(c);
    }
}

static void refuse_to_be_late(const struct call *c)
{
    double held = (c->given_up != 0 ? c->given_up : now()) - c->came;
    if (held > HELD_SECONDS)
        grader_error("this machine is too slow: a call was held for %.1f seconds, and a right "
                     "server gives up after one",
                     held);
}

/* What has been sent is there (the kernel has acknowledged it), and whoever waits for it has been
 * woken: a server that sleeps has read it. */
static bool is_read(const struct call *c)
{
    int on_the_way = 0;
    ioctl(c->source.fd, SIOCOUTQ, &on_the_way);
    return on_the_way == 0 && all_asleep(server_after(NULL));
}

/* What is due: the next byte of a drip; the next piece of an answer when the piece before has been
 * read; an answer that was slow. */
void serve_backends(void)
{
    for (int b = 0; there && b < BACKENDS; b++)
        for (struct call *c = backends[b].calls; c != NULL; c = c->others) {
            if (c->source.fd == -1 || c->next == 0 || now() < c->next ||
                (c->manner == IN_PIECES && !is_read(c)))
                continue;
            c->next = now() + (c->manner == TRICKLES ? DRIP_SECONDS : 0);
            size_t rest = c->end - c->start;
            if (c->manner == SLOW)
                refuse_to_be_late(c);
            send_some(c, c->manner == IN_PIECES && rest > 1 ? rest - 1
                         : c->manner == TRICKLES            ? 1
                                                            : rest);
            if (c->source.fd != -1)
                update(c);
        }
}

/* ---- for the check ----------------------------------------------------------------------- */

static int bound_socket(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1 ||
        bind(fd, (struct sockaddr *)address, size) == -1 ||
        getsockname(fd, (struct sockaddr *)address, &size) == -1)
        grader_error("no port to be had for a backend: %s", strerror(errno));
    return fd;
}

/* On a port of 127.0.0.1 that nobody has. Bound twice: a port that was asked for by its number
 * stays bound to a listener that is shut down (REFUSES), one that the kernel chose does not. */
static void open_backend(enum backend b)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int chosen = bound_socket(&address), fd = bound_socket(&address);
    close(chosen);
    if (listen(fd, SOMAXCONN) == -1)
        grader_error("a backend cannot listen: %s", strerror(errno));
    backends[b].port = ntohs(address.sin_port);
    backends[b].listener = (struct source){.fd = fd, .ready = knock};
    watch(&backends[b].listener, EPOLLIN);
}

static void forget_calls(enum backend b)
{
    for (struct call *c = backends[b].calls, *next; c != NULL; c = next) {
        next = c->others;
        if (c->source.fd != -1)
            hang_up_call(c);
        free(c->answer);
        free(c);
    }
    backends[b].calls = NULL;
    backends[b].came = 0;
}

const char *const *backend_arguments(void)
{
    static char ports[BACKENDS][8];
    static const char *argv[BACKENDS + 2] = {"0"};
    for (int b = 0; b < BACKENDS; b++) {
        if (!there)
            open_backend((enum backend)b);
        else
            forget_calls((enum backend)b);
        snprintf(ports[b], sizeof ports[b], "%d", backends[b].port);
        argv[b + 1] = ports[b];
    }
    there = true;
    for (int b = 0; b < BACKENDS; b++)
        if (backends[b].manner != ANSWERS)
            set_backend((enum backend)b, ANSWERS);
    return argv;
}

const char *backend_name_at(int port)
{
    for (int b = 0; there && b < BACKENDS; b++)
        if (backends[b].port == port)
            return names[b];
    return NULL;
}

bool is_filler(int port)
{
    for (int b = 0; b < BACKENDS; b++)
        for (int i = 0; i < FILLERS && backends[b].manner == DOES_NOT_ACCEPT; i++) {
            struct sockaddr_in address;
            socklen_t size = sizeof address;
            if (getsockname(backends[b].fillers[i], (struct sockaddr *)&address, &size) == 0 &&
                ntohs(address.sin_port) == port)
                return true;
        }
    return false;
}

/* A listener whose backlog is full answers no SYN: connect waits. See listen(2). */
static void fill_backlog(enum backend b)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)backends[b].port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unwatch(&backends[b].listener);
    listen(backends[b].listener.fd, 0);
    for (int i = 0; i < FILLERS; i++) {
        /* The first takes the only place: that must be done before anybody else knocks. */
        int flags = i == 0 ? 0 : SOCK_NONBLOCK;
        backends[b].fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        if (connect(backends[b].fillers[i], (struct sockaddr *)&address, sizeof address) == -1 &&
            i == 0)
            grader_error("a backend's backlog cannot be filled: %s", strerror(errno));
    }
}

void set_backend(enum backend b, enum backend_mode manner)
{
    static const char *const words[] = {
        [ANSWERS] = "answers each line with the line and its name",
        [ANSWERS_WITH_EXTRA] = "answers, and says more behind the newline",
        [IN_PIECES] = "answers in pieces, the newline alone",
        [SLOW] = "answers after half a second",
        [HOLDS] = "holds its answers",
        [HOLDS_HALF] = "says half of its answer and holds the rest",
        [TRICKLES] = "drips: a byte now and then, and never a newline",
        [CLOSES] = "closes when it has been asked",
        [CLOSES_BEFORE_NEWLINE] = "says its answer but for the newline, and closes",
        [REFUSES] = "does not listen",
        [DOES_NOT_ACCEPT] = "lets nobody in: its backlog is full",
    };
    enum backend_mode before = backends[b].manner;
    if (before == DOES_NOT_ACCEPT && manner != before)
        for (int i = 0; i < FILLERS; i++)
            close(backends[b].fillers[i]);
    if ((before == REFUSES || before == DOES_NOT_ACCEPT) && manner != before) {
        listen(backends[b].listener.fd, SOMAXCONN);
        watch(&backends[b].listener, EPOLLIN);
    }
    if (manner == REFUSES && before != REFUSES) {
        unwatch(&backends[b].listener);
        shutdown(backends[b].listener.fd, SHUT_RDWR);
    } else if (manner == DOES_NOT_ACCEPT && before != DOES_NOT_ACCEPT) {
        fill_backlog(b);
    }
    backends[b].manner = manner;
    backends[b].says = NULL;
    asked("the %s backend %s", names[b], words[manner]);
}

void set_answer(enum backend b, const void *text, size_t size)
{
    backends[b].says = text;
    backends[b].says_size = size;
    bool newline = size > 0 && ((const char *)text)[size - 1] == '\n';
    asked("the %s backend answers %s%s: %zu bytes%s", names[b], quoted(text, size, 0),
          size > 72 ? " and so on" : "", size, newline ? "" : ", and no newline");
}

int calls_at(enum backend b)
{
    return backends[b].came;
}

/* Calls that wait for an answer. */
static int held_at(enum backend b)
{
    int n = 0;
    for (struct call *c = backends[b].calls; c != NULL; c = c->others)
        n += c->asked && !c->answered;
    return n;
}

/* Calls that have asked, all in all. */
static int asked_at(enum backend b)
{
    int n = 0;
    for (struct call *c = backends[b].calls; c != NULL; c = c->others)
        n += c->asked;
    return n;
}

static void wait_until(int (*count)(enum backend b), struct server *s, enum backend b, int n)
{
    set_calls_held(true);
    struct wait p = begin_wait(s);
    set_calls_held(false);
    char expected[120];
    while (count(b) < n)
        if (!continue_wait(&p) && count(b) < n) {
            snprintf(expected, sizeof expected, "%d %s at the %s backend at once", n,
                     n == 1 ? "call" : "calls", names[b]);
            fail_check(s, expected, "%d: %s", count(b), p.why);
        }
    asked("%d %s at the %s backend, and %s", n, n == 1 ? "call is" : "calls are", names[b],
          n == 1 ? "waits for its answer" : "wait for their answers");
}

void wait_for_calls(struct server *s, enum backend b, int n)
{
    wait_until(held_at, s, b, n);
}

void wait_for_calls_made(struct server *s, enum backend b, int n)
{
    wait_until(asked_at, s, b, n);
}

int backend_port(enum backend b)
{
    return backends[b].port;
}

static void release_call(struct call *c, bool in_time)
{
    if (in_time)
        refuse_to_be_late(c);
    c->manner = ANSWERS;
    send_some(c, c->end - c->start);
    if (c->source.fd != -1)
        update(c);
}

void release(enum backend b, const char *words)
{
    size_t size = strlen(words);
    char expected[120];
    bool hung_up = false;
    for (struct call *c = backends[b].calls; c != NULL; c = c->others) {
        if (!c->asked || c->size <= size || memcmp(c->line, words, size) != 0 ||
            c->line[size] != '\n')
            continue;
        if (c->source.fd != -1 && !c->answered) {
            asked("the %s backend answers %s", names[b], quoted(words, size, 0));
            release_call(c, true);
            return;
        }
        hung_up |= c->source.fd == -1;
    }
    snprintf(expected, sizeof expected, "a call to the %s backend that asks %s and waits", names[b],
             quoted(words, size, 0));
    fail_check(server_after(NULL), expected,
               hung_up ? "the server hung up before the answer" : "no such call");
}

static int release_held(enum backend b, bool in_time)
{
    int n = 0;
    for (struct call *c = backends[b].calls; c != NULL; c = c->others)
        if (c->given_up != 0 && in_time) {
            refuse_to_be_late(c);
        } else if (c->source.fd != -1 && !c->asked && is_held(c)) {
            c->manner = ANSWERS; /* it has come, and its line is still on its way */
        } else if (c->asked && !c->answered && c->source.fd != -1) {
            release_call(c, in_time);
            n++;
        }
    asked("the %s backend answers %d %s", names[b], n, n == 1 ? "call" : "calls");
    return n;
}

int release_all(enum backend b)
{
    return release_held(b, true);
}

int release_late(enum backend b)
{
    return release_held(b, false);
}

static int open_at(enum backend b)
{
    int n = 0;
    for (struct call *c = backends[b].calls; c != NULL; c = c->others)
        n += c->source.fd != -1;
    return n;
}

void expect_searches_finished(struct server *s)
{
    struct wait p = begin_wait(s);
    for (;;) {
        /* In this order: who sleeps in a call has knocked already, and process_pending() lets it
         * in. */
        bool asleep = all_asleep(s);
        process_pending();
        int open = open_at(USER) + open_at(QUERY) + open_at(STOCK);
        if (asleep && open == 0)
            return;
        if (!continue_wait(&p) && open > 0)
            fail_check(s, "no connection to a backend is left open", "%d: %s", open, p.why);
        if (p.over)
            return;
    }
}

void expect_no_calls_open(struct server *s, enum backend b)
{
    struct wait p = begin_wait(s);
    char expected[120];
    for (;;) {
        int open = open_at(b);
        if (open == 0)
            return;
        if (!continue_wait(&p)) {
            snprintf(expected, sizeof expected, "no connection to the %s backend is left open",
                     names[b]);
            fail_check(s, expected, "%d: %s", open, p.why);
        }
    }
}
