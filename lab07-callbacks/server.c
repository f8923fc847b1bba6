/*
 * Lab 7: a server that echoes lines and searches: one thread, and callbacks.
 *
 * A search queries three other servers in turn. No thread waits for them: a struct records how far
 * the search has got, and which function continues it when the next answer has arrived.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_LINE = 4096, /* bytes in a line, not counting its newline */
    IN_SIZE = 16 * 1024,
    OUT_SIZE = 64 * 1024,
    MAX_EVENTS = 256,
    MAX_DESCRIPTORS = 64 * 1024,
};

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */

enum backend { USER, QUERY, STOCK, BACKENDS };

static const char *const backend_name[] = {"user", "query", "stock"};
static int backend_port[BACKENDS] = {-1, -1, -1};

/* A line without its newline, but with room for it. */
struct line {
    size_t size;
    char text[MAX_LINE + 1];
};

/* What an event points to: the first member of a client and of a call. The listener has none. */
struct source {
    void (*on_ready)(struct source *source, uint32_t events);
};

/* A backend call in progress. The TAILQ_ macros, tailq(3), make a doubly linked FIFO queue. */
struct call {
    struct source source;
    int fd;
    enum backend which;
    size_t sent; /* bytes of the search's line and its newline */
    double deadline;
    bool ok; /* the answer has arrived; valid once the call has completed */
    struct search *search;
    void (*callback)(struct search *search, bool ok); /* continues the search after that */
    TAILQ_ENTRY(call) link;
};

/* A search in progress. By the time it is done the client may have left, and a new client may have
 * its descriptor. So a search has a copy of the words, and the client's id. */
struct search {
    int fd;
    unsigned long long id;
    bool newline;     /* the answer ends with a newline, as the request did */
    struct line line; /* the words; then the answer of each backend */
    struct call call; /* one at a time */
};

TAILQ_HEAD(queue, call);

/* All calls have the same time limit, so the oldest one expires first. */
static struct queue calls = TAILQ_HEAD_INITIALIZER(calls);         /* in progress */
static struct queue completed = TAILQ_HEAD_INITIALIZER(completed); /* callbacks not yet run */

static void call_backend(enum backend which, struct search *search,
                         void (*callback)(struct search *search, bool ok));
static void after_query(struct search *search, bool ok);
static void after_stock(struct search *search, bool ok);
static void finish_search(struct search *search);

/* ---- a search: split into callbacks, because it must not block ------------------------------- */

/* A search starts in start_search. Each backend is sent the previous one's answer. */
static void after_user(struct search *search, bool ok)
{
    /* TODO 1: The call to the user backend has completed: search->line holds its answer, or an
     * error. Which backend is next, and what if the call has failed? */
    (void)ok, (void)after_query;
    finish_search(search);
}

static void after_query(struct search *search, bool ok)
{
    /* TODO 2: The same for the call to the query backend. */
    (void)ok, (void)after_stock;
    finish_search(search);
}

static void after_stock(struct search *search, bool ok)
{
    (void)ok;
    finish_search(search);
}

/* ---- the loop -------------------------------------------------------------------------------- */

enum interest { WANT_READ = 1, WANT_WRITE = 2, WANT_CLOSE = 4 };

struct client {
    struct source source;
    int fd;
    unsigned long long id;   /* a descriptor may be reused for a new client, an id is not */
    int interest;            /* WANT_READ, WANT_WRITE or both; or WANT_CLOSE: close it */
    bool eof;                /* it has finished sending (FIN) */
    bool broken;             /* the connection has failed (a reset) */
    bool searching;          /* a search is not yet answered: the lines after it must wait */
    bool discarding;         /* a line was too long: whatever follows it is discarded */
    size_t in_start, in_end; /* in `in`: what is still to be answered */
    size_t start, end;       /* in `out`: what is still to be sent */
    LIST_ENTRY(client) link;
    char in[IN_SIZE], out[OUT_SIZE];
};

static LIST_HEAD(list, client) clients, closed;   /* closed: to be freed after the batch */
static struct client *client_at[MAX_DESCRIPTORS]; /* the client that has this descriptor */
static unsigned long long connections, bytes;
static int reserve_fd = -1; /* closed to free one for accept: see accept_clients */
static int epoll_fd;        /* the epoll instance, epoll(7) */

/* Registers what this client is interested in: EPOLL_CTL_ADD for a new client, EPOLL_CTL_MOD for a
 * change. Level-triggered: what is left unread is reported again. Returns false on failure. */
static bool update_interest(int operation, struct client *client)
{
    struct epoll_event event = {.data.ptr = client};
    if (client->interest & WANT_READ)
        event.events |= EPOLLIN;
    if (client->interest & WANT_WRITE)
        event.events |= EPOLLOUT;
    return epoll_ctl(epoll_fd, operation, client->fd, &event) == 0;
}

static void serve_client(struct client *client, bool readable);
static bool answer_line(struct client *client);
static void start_search(struct client *client, const char *words, size_t size, bool newline);
static void read_input(struct client *client);
static void flush_output(struct client *client);
static void append_output(struct client *client, const char *text, size_t size, bool newline);
static void accept_clients(void);
static void close_later(struct client *client);
static void free_closed(void);
static void send_request(struct source *source, uint32_t events);
static void receive_answer(struct source *source, uint32_t events);
static void complete_call(struct call *call, const char *error);
static double now(void);
static void die(const char *call);
static int port_number(const char *word);
static int listen_on(int port);
static void print_address(int fd);
static void on_signal(int signal);

/* Serves a client that is ready, or whose answer has arrived. */
static void handle_client(struct client *client, bool readable)
{
    int old_interest = client->interest;
    serve_client(client, readable);
    if (client->interest == WANT_CLOSE)
        close_later(client);
    else if (client->interest != old_interest)
        update_interest(EPOLL_CTL_MOD, client);
}

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = (struct client *)source;
    client->broken = events & EPOLLERR; /* reported even if not requested */
    handle_client(client, events & ~EPOLLOUT);
}

/* Every search ends here. */
static void finish_search(struct search *search)
{
    struct client *client = client_at[search->fd];
    if (client != NULL && client->id == search->id) { /* otherwise the client has left */
        client->searching = false;
        append_output(client, search->line.text, search->line.size, search->newline);
        handle_client(client, false);
    }
    free(search);
}

static void expire_deadlines(void)
{
    /* TODO 3: Complete the expired calls, with "timed out". A thousand calls may be in
     * progress: which of them need to be checked? */
}

/* Runs after the batch: until then an event in it may still refer to what is closed and freed here.
 * A callback may start a call that completes at once: its callback then runs here, too. */
static void run_callbacks(void)
{
    struct call *call;
    while ((call = TAILQ_FIRST(&completed)) != NULL) {
        TAILQ_REMOVE(&completed, call, link);
        if (call->fd != -1)
            close(call->fd);
        call->callback(call->search, call->ok);
    }
}

/* How long the loop may wait, in milliseconds; -1: until something happens. Rounded up: otherwise
 * the loop would spin through the last millisecond before a deadline. */
static int next_timeout(void)
{
    /* TODO 4: When does the next call expire, and how long is that from now? And if it has
     * expired already? */
    return -1;
}

static void loop(void)
{
    while (!stopping) {
        /* TODO 5: Wait until something is ready or a call expires. The pointer in an event is
         * &listener (see main) or a source, which has a function to handle it. Then complete the
         * calls that have expired, and run the callbacks of all completed calls. */
        (void)accept_clients, (void)expire_deadlines, (void)next_timeout;
        pause();
        free_closed();
    }
}

int main(int argc, char **argv)
{
    int port = argc == 2 || argc == 5 ? port_number(argv[1]) : -1;
    bool ok = port != -1;
    for (int i = 2; i < argc && ok; i++)
        ok = (backend_port[i - 2] = port_number(argv[i])) != -1;
    if (!ok) {
        fprintf(stderr, "usage: server PORT [USER QUERY STOCK]\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* accept must not block if the client has left */
    reserve_fd = open("/dev/null", O_RDONLY);
    epoll_fd = epoll_create1(0);
    if (epoll_fd == -1)
        die("epoll_create1");
    struct epoll_event listen_event = {.events = EPOLLIN, .data.ptr = (void *)&listener};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listen_event) == -1)
        die("epoll_ctl");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    print_address(listener);
    loop();

    close(epoll_fd);
    close(listener);
    close(reserve_fd);
    while (!LIST_EMPTY(&clients))
        close_later(LIST_FIRST(&clients));
    while (!TAILQ_EMPTY(&calls)) /* the clients of these searches have left */
        complete_call(TAILQ_FIRST(&calls), "failed");
    run_callbacks();
    free_closed();
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}

/* ---- serving a client: independent of how the loop waits ------------------------------------- */

/* Serves a client that is ready, and records what it is interested in next. */
static void serve_client(struct client *client, bool readable)
{
    if (readable && !client->eof && client->in_end - client->in_start < IN_SIZE)
        read_input(client);
    do {
        while (answer_line(client))
            ;
        flush_output(client); /* usually there is room, so try before waiting for it */
    } while (client->end == 0 && answer_line(client));
    bool all_sent = client->start == client->end;
    bool all_answered = client->in_start == client->in_end && !client->searching;
    if (client->broken || (client->eof && all_answered && all_sent)) {
        client->interest = WANT_CLOSE;
        return;
    }
    /* Not close: if input is unread, that resets the connection, and the message could be lost. */
    if (client->discarding && all_sent)
        shutdown(client->fd, SHUT_WR);
    client->interest = 0;
    if (!all_sent)
        client->interest |= WANT_WRITE;
    if (!client->eof && client->in_end - client->in_start < IN_SIZE)
        client->interest |= WANT_READ;
}

/* Answers the next line. Returns false if there is none, or if it has to wait. */
static bool answer_line(struct client *client)
{
    static const char prefix[] = "search ", too_long[] = "error: line too long";
    size_t size = client->in_end - client->in_start, prefix_size = strlen(prefix);
    if (size == 0 || client->searching || client->broken || OUT_SIZE - client->end < MAX_LINE + 1)
        return false;
    const char *line = client->in + client->in_start, *newline = memchr(line, '\n', size);
    if (newline != NULL)
        size = (size_t)(newline - line);
    if (size > MAX_LINE) {
        append_output(client, too_long, strlen(too_long), true);
        client->discarding = true;
        client->in_start = client->in_end = 0;
        return true;
    }
    if (newline == NULL && !client->eof) /* the rest of the line has not arrived yet */
        return false;
    client->in_start += size + (newline != NULL);
    if (size >= prefix_size && memcmp(line, prefix, prefix_size) == 0)
        start_search(client, line + prefix_size, size - prefix_size, newline != NULL);
    else
        append_output(client, line, size, newline != NULL);
    return true;
}

static void start_search(struct client *client, const char *words, size_t size, bool newline)
{
    static const char none[] = "error: no backends", no_memory[] = "error: user backend failed";
    struct search *search = malloc(sizeof *search);
    if (backend_port[USER] == -1 || search == NULL) {
        const char *error = search == NULL ? no_memory : none;
        append_output(client, error, strlen(error), newline);
        free(search);
        return;
    }
    search->fd = client->fd;
    search->id = client->id;
    search->newline = newline;
    search->line.size = size;
    memcpy(search->line.text, words, size);
    client->searching = true;
    call_backend(USER, search, after_user);
}

/* Receives what has arrived, as much as there is room for. */
static void read_input(struct client *client)
{
    size_t size = client->in_end - client->in_start;
    memmove(client->in, client->in + client->in_start, size);
    client->in_start = 0;
    client->in_end = size;
    ssize_t n;
    do
        n = recv(client->fd, client->in + size, IN_SIZE - size, 0);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        client->broken |= errno != EAGAIN;
    else if (n == 0)
        client->eof = true;
    else if (!client->discarding)
        client->in_end += (size_t)n;
}

/* Sends what is in `out`, as much as the kernel takes, and keeps the rest. */
static void flush_output(struct client *client)
{
    while (client->start < client->end) {
        ssize_t n = send(client->fd, client->out + client->start, client->end - client->start,
                         MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            client->broken |= errno != EAGAIN;
            return;
        }
        client->start += (size_t)n;
        bytes += (size_t)n;
    }
    client->start = client->end = 0;
}

/* Appends text to what is to be sent. The caller has made sure that there is room. */
static void append_output(struct client *client, const char *text, size_t size, bool newline)
{
    memcpy(client->out + client->end, text, size);
    client->end += size;
    if (newline)
        client->out[client->end++] = '\n';
}

/* ---- accepting and closing ------------------------------------------------------------------- */

static void add_client(int fd)
{
    struct client *client = fd < MAX_DESCRIPTORS ? malloc(sizeof *client) : NULL;
    if (client == NULL) {
        close(fd);
        return;
    }
    client->source.on_ready = client_ready;
    client->fd = fd;
    client->id = connections;
    client->interest = WANT_READ;
    client->eof = client->broken = client->searching = client->discarding = false;
    client->in_start = client->in_end = client->start = client->end = 0;
    client_at[fd] = client;
    LIST_INSERT_HEAD(&clients, client, link);
    if (!update_interest(EPOLL_CTL_ADD, client))
        close_later(client);
}

/* Accepts all clients in the backlog. Without a descriptor for one (EMFILE) it would stay there and
 * keep the listener readable, and the loop would spin. So the reserve descriptor is closed, and
 * that client is accepted only to be disconnected. */
static void accept_clients(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd != -1) {
            connections++;
            add_client(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            close(reserve_fd);
            fd = accept(listener, NULL, NULL);
            connections += fd != -1;
            close(fd);
            reserve_fd = open("/dev/null", O_RDONLY);
            if (fd == -1)
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: the backlog is empty */
        }
    }
}

/* Closed and freed only after the batch: until then an event in it may still refer to this client,
 * and its descriptor must not be given to a new one. */
static void close_later(struct client *client)
{
    client_at[client->fd] = NULL;
    LIST_REMOVE(client, link);
    LIST_INSERT_HEAD(&closed, client, link);
}

static void free_closed(void)
{
    struct client *client;
    while ((client = LIST_FIRST(&closed)) != NULL) {
        LIST_REMOVE(client, link);
        close(client->fd);
        free(client);
    }
}

/* ---- a backend call -------------------------------------------------------------------------- */

/* Seconds on the monotonic clock, clock_gettime(2). */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Registers a call's socket for events that `on_ready` handles. Returns false on failure. */
static bool wait_for(int operation, struct call *call, uint32_t events,
                     void (*on_ready)(struct source *source, uint32_t events))
{
    struct epoll_event event = {.events = events, .data.ptr = call};
    call->source.on_ready = on_ready;
    return epoll_ctl(epoll_fd, operation, call->fd, &event) == 0;
}

/* Starts a query to one backend, and returns at once. Later the answer replaces the line, or an
 * error does if the call fails or takes longer than a second; then the callback runs. */
static void call_backend(enum backend which, struct search *search,
                         void (*callback)(struct search *search, bool ok))
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)backend_port[which]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct call *call = &search->call;
    /* TODO 6: Fill in the call, and append it to `calls`. Start connecting, but do not wait:
     * send_request continues when the connection is established. A call that cannot even start has
     * failed. */
    (void)which, (void)callback, (void)address, (void)call;
    (void)now, (void)wait_for, (void)send_request;
}

/* The connection is established or has failed: send reports which. */
static void send_request(struct source *source, uint32_t events)
{
    (void)events;
    struct call *call = (struct call *)source;
    struct line *line = &call->search->line;
    /* TODO 7: Send what is left of the request. Once all of it is sent, wait for the answer, which
     * replaces the request in the line, and for nothing else: a socket is almost always writable.
     */
    (void)call, (void)line, (void)receive_answer;
}

/* Receives the answer, without its newline. Bytes after the newline are ignored. */
static void receive_answer(struct source *source, uint32_t events)
{
    (void)events;
    struct call *call = (struct call *)source;
    struct line *line = &call->search->line;
    /* TODO 8: Receive what has arrived of the answer. Is its newline there? Can it still arrive, or
     * has the backend failed? If the call is over, complete_call records that; otherwise there will
     * be another event. */
    (void)call, (void)line;
}

/* Records that a call has completed; error is NULL if the line holds the answer. Its callback runs
 * later, from the loop: a call may complete even before call_backend returns, while its caller is
 * still serving the client that the callback would serve. */
static void complete_call(struct call *call, const char *error)
{
    struct line *line = &call->search->line;
    TAILQ_REMOVE(&calls, call, link);
    TAILQ_INSERT_TAIL(&completed, call, link);
    call->ok = error == NULL;
    if (error != NULL)
        line->size =
            (size_t)sprintf(line->text, "error: %s backend %s", backend_name[call->which], error);
}

/* ---- as in every lab ------------------------------------------------------------------------- */

/* Reports which system call failed and why, and exits. Only for errors before the first client:
 * later, nothing that happens to one client may end the server. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port number that the word contains, 0 to 65535, or -1. */
static int port_number(const char *word)
{
    if (!isdigit((unsigned char)word[0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(word, &end, 10);
    return *end != '\0' || errno != 0 || port > 65535 ? -1 : (int)port;
}

/* Returns a socket that listens on 127.0.0.1. Port 0: the kernel chooses one, ip(7), listen(2). */
static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1)
        die("socket");
    /* Otherwise bind fails for about a minute after the last run: connections that it closed are
     * still in TIME_WAIT on that port. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1)
        die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(fd, SOMAXCONN) == -1)
        die("listen");
    return fd;
}

/* Prints where the server listens. Flushed, because stdout may be a pipe that a program reads. */
static void print_address(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
        die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* The handler of SIGTERM and SIGINT. Setting a flag is not enough: the signal may arrive just
 * before the server waits, when the flag has already been checked. After shutdown the listener
 * stays ready, and accept fails, however late the server calls it. shutdown itself is
 * async-signal-safe, signal-safety(7). */
static void on_signal(int signal)
{
    (void)signal;
    int saved_errno = errno;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    errno = saved_errno;
}
