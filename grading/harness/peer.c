/* The clients of a check: sockets of its own, and the real nc. */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct bytes {
    char *data;
    size_t start, end, room;
};

enum its_end { NOT_YET, FIN, RST };

struct peer {
    struct source in;  /* its socket, or nc's standard output */
    struct source out; /* nc's standard input; a socket's writes are with `in` */
    struct server *server;
    bool is_nc, deaf;
    pid_t nc;
    char name[24];
    int port;
    struct bytes inbox, outbox;
    size_t said, heard; /* bytes, all in all */
    enum its_end end;   /* what the server did */
    bool broken;        /* the server is gone, and sending failed */
    bool finished, gone;
    struct peer *next;
};

static struct peer *first, **last = &first;
static int peer_count;

void restart_peer_names(void)
{
    peer_count = 0;
}

const char *peer_name(const struct peer *p)
{
    return p->name;
}

int peer_port(const struct peer *p)
{
    return p->port;
}

static struct peer *peer_at(int port)
{
    struct peer *found = NULL; /* the latest: the kernel may give a number twice */
    for (struct peer *p = first; p != NULL; p = p->next)
        if (p->port == port)
            found = p;
    return found;
}

const char *peer_name_at(int port)
{
    struct peer *p = peer_at(port);
    return p == NULL ? NULL : p->name;
}

const char *peer_state_at(int port)
{
    static char text[160];
    struct peer *p = peer_at(port);
    if (p == NULL)
        return NULL;
    int n = p->said == 0 ? snprintf(text, sizeof text, "which has said nothing")
                         : snprintf(text, sizeof text, "which has said %zu bytes and heard %zu",
                                    p->said, p->heard);
    snprintf(text + n, sizeof text - (size_t)n, "%s%s",
             p->deaf && !p->gone ? " and does not read" : "",
             p->gone       ? " and is gone"
             : p->finished ? " and has finished saying (FIN)"
                           : "");
    return text;
}

/* ---- bytes ------------------------------------------------------------------------------- */

static char *room_for(struct bytes *b, size_t size)
{
    if (b->room - b->end < size) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->room - b->end < size) {
        b->room = 2 * b->room + size;
        b->data = realloc(b->data, b->room);
        if (b->data == NULL)
            grader_error("out of memory");
    }
    return b->data + b->end;
}

static size_t waiting(const struct bytes *b)
{
    return b->end - b->start;
}

const char *quoted(const void *data, size_t size, size_t around)
{
    static const size_t before = 24, most = 72;
    const unsigned char *bytes = data;
    size_t from = 0, to = size;
    if (size > most) {
        from = around > before ? around - before : 0;
        to = from + most < size ? from + most : size;
    }
    char *text = malloc(4 * (to - from) + 16), *end = text; /* lives as long as the check */
    if (text == NULL)
        grader_error("out of memory");
    end += sprintf(end, "%s\"", from > 0 ? "..." : "");
    for (size_t i = from; i < to; i++) {
        static const char plain[] = "\n\r\t\"\\", letters[] = "nrt\"\\";
        const char *special = bytes[i] != '\0' ? strchr(plain, bytes[i]) : NULL;
        if (special != NULL)
            end += sprintf(end, "\\%c", letters[special - plain]);
        else if (bytes[i] < ' ' || bytes[i] > '~')
            end += sprintf(end, "\\x%02x", bytes[i]);
        else
            *end++ = (char)bytes[i];
    }
    sprintf(end, "\"%s", to < size ? "..." : "");
    return text;
}

void fill_text(char *text, size_t offset, size_t size)
{
    char word[24];
    for (size_t i = 0; i < size; i++) {
        size_t at = offset + i;
        if (i == 0 || at % 8 == 0)
            snprintf(word, sizeof word, "%07zu%c", at / 8 % 10000000, at % 64 >= 56 ? '\n' : ' ');
        text[i] = word[at % 8];
    }
}

char *long_text(size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        grader_error("out of memory");
    fill_text(text, 0, size);
    text[size] = '\0';
    return text;
}

/* ---- moving bytes ------------------------------------------------------------------------ */

static void update(struct peer *p)
{
    uint32_t reading = p->end == NOT_YET && !p->deaf && !p->gone ? EPOLLIN : 0;
    uint32_t writing = waiting(&p->outbox) > 0 && !p->broken && !p->gone ? EPOLLOUT : 0;
    watch(&p->in, p->is_nc ? reading : reading | writing);
    if (p->is_nc)
        watch(&p->out, writing);
}

static void send_some(struct peer *p)
{
    while (waiting(&p->outbox) > 0 && !p->broken) {
        ssize_t n = write(p->is_nc ? p->out.fd : p->in.fd, p->outbox.data + p->outbox.start,
                          waiting(&p->outbox));
        if (n == -1 && errno == EAGAIN)
            break;
        if (n == -1) {
            p->broken = true;
            break;
        }
        p->outbox.start += (size_t)n;
        p->said += (size_t)n;
    }
    if (p->finished && !p->is_nc && waiting(&p->outbox) == 0)
        shutdown(p->in.fd, SHUT_WR); /* again does no harm */
}

static void receive_some(struct peer *p)
{
    enum { PIECE = 64 * 1024 };
    for (int i = 0; i < 16 && p->end == NOT_YET; i++) { /* the others have their turn as well */
        char *room = room_for(&p->inbox, PIECE);
        ssize_t n = read(p->in.fd, room, PIECE);
        if (n == -1 && errno == EAGAIN)
            return;
        if (n <= 0) {
            p->end = n == 0 ? FIN : RST;
            return;
        }
        p->inbox.end += (size_t)n;
        p->heard += (size_t)n;
    }
}

static void peer_ready(struct peer *p, uint32_t events)
{
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        send_some(p);
    if (!p->deaf && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        receive_some(p);
    update(p);
}

static void in_ready(struct source *source, uint32_t events)
{
    struct peer *p = (struct peer *)((char *)source - offsetof(struct peer, in));
    peer_ready(p, events);
}

static void out_ready(struct source *source, uint32_t events)
{
    struct peer *p = (struct peer *)((char *)source - offsetof(struct peer, out));
    (void)events;
    send_some(p);
    update(p);
}

/* ---- coming ------------------------------------------------------------------------------ */

static struct peer *new_peer(struct server *s)
{
    struct peer *p = calloc(1, sizeof *p);
    if (p == NULL)
        grader_error("out of memory");
    p->server = s;
    p->in = (struct source){.fd = -1, .ready = in_ready};
    p->out = (struct source){.fd = -1, .ready = out_ready};
    if (peer_count < 26)
        snprintf(p->name, sizeof p->name, "client %c", 'A' + peer_count);
    else
        snprintf(p->name, sizeof p->name, "client %d", peer_count + 1);
    peer_count++;
    *last = p;
    last = &p->next;
    return p;
}

/* Most often nobody listens any more: then how the server ended says more than the error. */
static _Noreturn void fail_to_connect(struct server *s)
{
    static const char expected[] = "a connection for each client that comes";
    const char *error = strerror(errno);
    struct wait patience = begin_wait(s);
    while (continue_wait(&patience) && now() - patience.since < 0.3)
        ;
    if (has_ended(s))
        fail_check(s, expected, "none (%s): the server had ended, %s", error, describe_ending(s));
    fail_check(s, expected, "connect: %s", error);
}

static struct peer *connect_with(struct server *s, bool small)
{
    struct peer *p = new_peer(s);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port_of(s)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    asked("%s connects", p->name);
    p->in.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->in.fd == -1)
        grader_error("socket: %s", strerror(errno));
    /* Small segments as well: a window smaller than a segment makes TCP wait for timers. */
    if (small && (setsockopt(p->in.fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)) == -1 ||
                  setsockopt(p->in.fd, IPPROTO_TCP, TCP_MAXSEG, &(int){536}, sizeof(int)) == -1))
        grader_error("setsockopt: %s", strerror(errno));
    /* Not connect until it returns 0: a second connect says EISCONN when the first is through. */
    struct wait patience = begin_wait(s);
    bool over = false;
    while (connect(p->in.fd, (struct sockaddr *)&address, size) == -1 && errno != EISCONN) {
        if (errno == EADDRNOTAVAIL)
            grader_error("no port to be had for a client: %s", strerror(errno));
        if (errno != EINPROGRESS && errno != EALREADY)
            fail_to_connect(s);
        if (over)
            fail_check(s, "a connection for each client that comes", "none: %s", patience.why);
        watch(&p->in, EPOLLOUT);
        over = !continue_wait(&patience);
    }
    if (getsockname(p->in.fd, (struct sockaddr *)&address, &size) == -1)
        grader_error("getsockname: %s", strerror(errno));
    p->port = ntohs(address.sin_port);
    update(p);
    return p;
}

struct peer *connect_to(struct server *s)
{
    return connect_with(s, false);
}

struct peer *connect_small(struct server *s)
{
    return connect_with(s, true);
}

void connect_many(struct server *s, struct peer **clients, int count)
{
    char before[sizeof report->asked];
    strcpy(before, report->asked);
    for (int i = 0; i < count; i++) {
        struct peer *p = connect_to(s);
        if (clients != NULL)
            clients[i] = p;
    }
    strcpy(report->asked, before); /* one line for all */
    if (count > 0)
        asked("%d clients connect, the last is client %d", count, peer_count);
}

struct peer *connect_with_nc(struct server *s)
{
    int in[2], out[2];
    char port[16];
    struct peer *p = new_peer(s);
    asked("%s is nc -N 127.0.0.1 %d", p->name, port_of(s));
    p->is_nc = true;
    if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    snprintf(port, sizeof port, "%d", port_of(s));
    pid_t parent = getpid();
    p->nc = fork();
    if (p->nc == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (getppid() == parent && dup2(in[0], 0) != -1 && dup2(out[1], 1) != -1 &&
            dup2(nothing, 2) != -1)
            execlp("nc", "nc", "-N", "127.0.0.1", port, (char *)NULL);
        _exit(127);
    }
    if (p->nc == -1)
        grader_error("fork: %s", strerror(errno));
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    p->out.fd = in[1];
    p->in.fd = out[0];
    update(p);
    struct wait patience = begin_wait(s);
    /* It takes a moment to begin; where it stands is seen in its socket, not on the screen. */
    while ((p->port = socket_port_of(p->nc, port_of(s))) == -1) {
        siginfo_t info = {0};
        bool over = !continue_wait(&patience) && patience.since + 20 < now();
        waitid(P_PID, (id_t)p->nc, &info, WEXITED | WNOHANG | WNOWAIT);
        if (info.si_pid == p->nc && info.si_code == CLD_EXITED && info.si_status == 127)
            grader_error("nc cannot be run (Debian package netcat-openbsd)");
        if (info.si_pid == p->nc)
            fail_check(s, "a connection for nc", "nc ended at once, with status %d",
                       info.si_status);
        if (over)
            fail_check(s, "a connection for nc", "none: %s", patience.why);
    }
    return p;
}

/* ---- saying ------------------------------------------------------------------------------ */

void say_bytes(struct peer *p, const void *data, size_t size)
{
    asked("%s says %s%s", p->name, quoted(data, size, 0), size > 72 ? " and so on" : "");
    if (size > 72)
        asked("... %zu bytes in all", size);
    size_t before = p->said;
    memcpy(room_for(&p->outbox, size), data, size);
    p->outbox.end += size;
    send_some(p);
    update(p);
    struct wait patience = begin_wait(p->server);
    while (waiting(&p->outbox) > 0) {
        char expected[120];
        snprintf(expected, sizeof expected, "the server reads all that %s says, %zu bytes", p->name,
                 size);
        if (p->broken)
            fail_check(p->server, expected, "it closed the connection when %zu bytes were said",
                       p->said - before);
        if (!continue_wait(&patience) && waiting(&p->outbox) > 0 && !p->broken)
            fail_check(p->server, expected, "it took in %zu bytes: %s", p->said - before,
                       patience.why);
    }
    if (p->broken)
        fail_check(p->server, "an open connection", "the server had closed it to %s", p->name);
}

void say(struct peer *p, const char *text)
{
    say_bytes(p, text, strlen(text));
}

static size_t say_what_fits_quietly(struct peer *p, const void *data, size_t size)
{
    size_t before = p->said;
    memcpy(room_for(&p->outbox, size), data, size);
    p->outbox.end += size;
    send_some(p);
    p->outbox.end = p->outbox.start; /* the rest is not said */
    return p->said - before;
}

/* How many bytes a line of long text lacks after so many. */
static size_t rest_of_line(size_t said)
{
    enum { LINE = 64 };
    return (LINE - said % LINE) % LINE;
}

size_t say_what_fits(struct peer *p, const void *data, size_t size)
{
    size_t said = say_what_fits_quietly(p, data, size), rest = rest_of_line(said);
    asked("%s says as much as fits, %zu bytes", p->name, said);
    memcpy(room_for(&p->outbox, rest), (const char *)data + said, rest);
    p->outbox.end += rest;
    update(p);
    return said + rest;
}

void try_to_say(struct peer *p, const char *text)
{
    asked("%s says %s, if it can", p->name, quoted(text, strlen(text), 0));
    say_what_fits_quietly(p, text, strlen(text));
}

size_t say_until_blocked(struct peer *p)
{
    enum { PIECE = 64 * 1024, MOST = 64 * 1024 * 1024 };
    size_t before = p->said;
    double full_since = now();
    struct wait patience = begin_wait(p->server);
    while (p->said - before < MOST && !p->broken) {
        size_t so_far = p->said;
        fill_text(room_for(&p->outbox, PIECE), p->said - before, PIECE);
        p->outbox.end += PIECE;
        send_some(p);
        p->outbox.end = p->outbox.start; /* what did not fit is made anew */
        if (p->said != so_far) {
            full_since = now();
            patience = begin_wait(p->server);
            continue;
        }
        /* No room for a while, and nobody awake to make some; or nobody who ever will. */
        if ((now() - full_since > 0.1 && all_asleep(p->server)) || !continue_wait(&patience))
            break;
    }
    /* A server may speak in lines: the rest of this one follows as soon as there is room. */
    size_t rest = p->broken ? 0 : rest_of_line(p->said - before);
    fill_text(room_for(&p->outbox, rest), p->said - before, rest);
    p->outbox.end += rest;
    update(p);
    asked("%s says more and more and does not read: %zu bytes until there is no room", p->name,
          p->said - before);
    return p->said - before + rest;
}

void stop_reading(struct peer *p)
{
    asked("%s does not read", p->name);
    p->deaf = true;
    update(p);
}

void resume_reading(struct peer *p)
{
    asked("%s reads", p->name);
    p->deaf = false;
    update(p);
}

/* ---- hearing ----------------------------------------------------------------------------- */

size_t heard(const struct peer *p)
{
    return waiting(&p->inbox);
}

void hear_bytes(struct peer *p, const void *data, size_t size)
{
    const char *wanted = data;
    size_t same = 0;
    char expected[400];
    struct wait patience = begin_wait(p->server);
    for (;;) {
        const char *got = p->inbox.data + p->inbox.start;
        size_t n = waiting(&p->inbox) < size ? waiting(&p->inbox) : size;
        while (same < n && got[same] == wanted[same])
            same++;
        if (same == size)
            break;
        if (size <= 72)
            snprintf(expected, sizeof expected, "%s back to %s", quoted(wanted, size, 0), p->name);
        else
            snprintf(expected, sizeof expected, "%zu bytes back to %s; around byte %zu: %s", size,
                     p->name, same + 1, quoted(wanted, size, same));
        if (same < n && size <= 72)
            fail_check(p->server, expected, "%s, which differs from byte %zu on",
                       quoted(got, waiting(&p->inbox), same), same + 1);
        if (same < n)
            fail_check(p->server, expected, "something else from byte %zu on: %s", same + 1,
                       quoted(got, waiting(&p->inbox), same));
        const char *end = p->end == FIN   ? "the end of the connection (FIN)"
                          : p->end == RST ? "a reset of the connection (RST)"
                                          : NULL;
        if (end == NULL && continue_wait(&patience))
            continue;
        if (waiting(&p->inbox) > n || (p->end != NOT_YET && end == NULL))
            continue; /* it came with the last look */
        const char *nothing = end != NULL ? "" : "nothing: ";
        if (end == NULL)
            end = patience.why;
        if (n == 0)
            fail_check(p->server, expected, "%s%s", *nothing == '\0' ? "nothing, then " : nothing,
                       end);
        fail_check(p->server, expected, "only the first %zu bytes: %s, then %s%s", n,
                   quoted(got, n, n - 1), nothing, end);
    }
    asked("%s hears %s", p->name, size <= 72 ? quoted(data, size, 0) : "all of it");
    p->inbox.start += size;
}

void hear_long_text(struct peer *p, size_t size)
{
    enum { PIECE = 64 * 1024 };
    static char text[PIECE];
    char before[sizeof report->asked];
    strcpy(before, report->asked);
    for (size_t heard = 0, part; heard < size; heard += part) {
        part = size - heard < PIECE ? size - heard : PIECE;
        fill_text(text, heard, part);
        hear_bytes(p, text, part);
    }
    strcpy(report->asked, before); /* one line for all */
    asked("%s hears all %zu bytes", p->name, size);
}

void hear(struct peer *p, const char *text)
{
    hear_bytes(p, text, strlen(text));
}

void say_and_hear(struct peer *p, const char *text, int times)
{
    char before[sizeof report->asked];
    strcpy(before, report->asked);
    for (int i = 0; i < times; i++) {
        say(p, text);
        hear(p, text);
    }
    strcpy(report->asked, before); /* one line for all */
    asked("%s says %s and hears it back, %d times", p->name, quoted(text, strlen(text), 0), times);
}

static void hear_end_of_kind(struct peer *p, bool reset_will_do)
{
    char expected[120];
    snprintf(expected, sizeof expected, "%sthe end of %s's connection%s, and no byte more",
             p->heard > 0 ? "then " : "", p->name, reset_will_do ? "" : " (FIN)");
    struct wait patience = begin_wait(p->server);
    for (;;) {
        if (waiting(&p->inbox) > 0)
            fail_check(p->server, expected, "%zu bytes more: %s", waiting(&p->inbox),
                       quoted(p->inbox.data + p->inbox.start, waiting(&p->inbox), 0));
        if (p->end == RST && !reset_will_do)
            fail_check(p->server, expected, "a reset (RST)");
        if (p->end != NOT_YET)
            break;
        if (!continue_wait(&patience) && p->end == NOT_YET && waiting(&p->inbox) == 0)
            fail_check(p->server, expected, "the connection stays open: %s", patience.why);
    }
    asked("%s hears the end", p->name);
}

void hear_end(struct peer *p)
{
    hear_end_of_kind(p, false);
}

void hear_eof_or_reset(struct peer *p)
{
    hear_end_of_kind(p, true);
}

/* ---- leaving ----------------------------------------------------------------------------- */

void finish_saying(struct peer *p)
{
    asked("%s finishes saying: a half-close (FIN)", p->name);
    p->finished = true;
    if (p->is_nc) {
        unwatch(&p->out);
        close(p->out.fd);
    } else {
        send_some(p);
        update(p);
    }
}

static void leave(struct peer *p)
{
    p->gone = true;
    update(p);
    close(p->in.fd);
    if (p->is_nc && !p->finished)
        close(p->out.fd);
    if (p->is_nc) {
        kill(p->nc, SIGKILL);
        waitpid(p->nc, NULL, 0); /* now its socket is closed */
    }
    free(p->inbox.data);
    free(p->outbox.data);
    p->inbox = p->outbox = (struct bytes){0};
}

void hang_up(struct peer *p)
{
    asked("%s is gone: it closed its socket", p->name);
    leave(p);
}

void reset(struct peer *p)
{
    asked("%s is gone: it reset the connection (RST)", p->name);
    if (setsockopt(p->in.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger)) == -1)
        grader_error("setsockopt: %s", strerror(errno));
    leave(p);
}
