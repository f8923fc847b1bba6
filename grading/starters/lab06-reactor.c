/*
 * Lab 6: a server that echoes lines and searches: a reactor with four workers.
 *
 * A search queries three other servers in turn and waits for each of them. The loop must not wait,
 * so it submits the search as a job to a worker thread, serves other clients meanwhile, and
 * collects the result when the worker notifies it through an eventfd.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_LINE = 4096, /* bytes in a line, not counting its newline */
    IN_SIZE = 16 * 1024,
    OUT_SIZE = 64 * 1024,
    MAX_EVENTS = 256,
    MAX_DESCRIPTORS = 64 * 1024,
    WORKERS = 4,
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

/* A search for a worker. By the time it is done the client may have left, and a new client may have
 * its descriptor. So a worker never uses a client: a job has a copy of the words, and the client's
 * id. The STAILQ_ macros, stailq(3), make a FIFO queue. */
struct job {
    int fd;
    unsigned long long id;
    bool newline;     /* the answer ends with a newline, as the request did */
    struct line line; /* the words; then the answer */
    STAILQ_ENTRY(job) link;
};

STAILQ_HEAD(queue, job);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* protects the next three */
static struct queue jobs = STAILQ_HEAD_INITIALIZER(jobs);       /* for the workers */
static struct queue results = STAILQ_HEAD_INITIALIZER(results); /* for the loop */
static bool shutting_down;                                      /* tells the workers to end */
static pthread_cond_t job_available = PTHREAD_COND_INITIALIZER;
static int wakeup_fd = -1; /* an eventfd, eventfd(2): readable when there are results */

static void search(struct line *line);

/* ---- the workers: jobs go in, results come out ----------------------------------------------- */

/* A worker thread. The lock is not held during a search, which waits for other servers. */
static void *worker_main(void *unused)
{
    /* TODO 1: Take a job when there is one, run its search, add the job to the results and notify
     * the loop; repeat this until the server is shutting down. */
    (void)search, (void)shutting_down;
    return unused;
}

static void submit_job(struct job *job)
{
    /* TODO 2: Append the job to the queue, and wake one worker. */
    (void)jobs, (void)job_available;
    free(job);
}

/* ---- the loop -------------------------------------------------------------------------------- */

enum interest { WANT_READ = 1, WANT_WRITE = 2, WANT_CLOSE = 4 };

struct client {
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

/* Takes the results from the workers. The eventfd is drained first: a worker that adds a result
 * after that makes it readable again. */
static void collect_results(void)
{
    /* TODO 3: Drain the eventfd, take all results, and append each to its client's output, if that
     * client is still connected. It may have more lines waiting to be answered. */
    (void)client_at, (void)handle_client, (void)lock, (void)results;
}

static void loop(void)
{
    while (!stopping) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1); /* -1 (EINTR): no events */
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].data.ptr == &listener) {
                accept_clients();
            } else if (events[i].data.ptr == &wakeup_fd) {
                collect_results();
            } else if (client->interest != WANT_CLOSE) {      /* a result may have closed it */
                client->broken = events[i].events & EPOLLERR; /* reported even if not requested */
                handle_client(client, events[i].events & ~EPOLLOUT);
            }
        }
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
    wakeup_fd = eventfd(0, EFD_NONBLOCK);
    if (wakeup_fd == -1)
        die("eventfd");
    struct epoll_event listen_event = {.events = EPOLLIN, .data.ptr = (void *)&listener};
    struct epoll_event wakeup_event = {.events = EPOLLIN, .data.ptr = &wakeup_fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listen_event) == -1 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wakeup_fd, &wakeup_event) == -1)
        die("epoll_ctl");

    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t all_signals, old_mask;
    sigfillset(&all_signals);
    pthread_sigmask(SIG_SETMASK, &all_signals, &old_mask); /* the workers inherit this */
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        if ((errno = pthread_create(&workers[i], NULL, worker_main, NULL)) != 0)
            die("pthread_create");
    pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
    print_address(listener);
    loop();

    /* TODO 4: Make the workers end, wait until all of them have ended, and free whatever is left in
     * the queues. */
    (void)workers;
    close(epoll_fd);
    close(listener);
    close(reserve_fd);
    close(wakeup_fd);
    while (!LIST_EMPTY(&clients))
        close_later(LIST_FIRST(&clients));
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
    /* TODO 5: Find the next line in the client's input, and append its answer to the output, or
     * start a search. Which lines cannot be answered yet? What if no newline will ever arrive, or
     * if the line is too long? */
    (void)client, (void)append_output, (void)start_search;
    return false;
}

static void start_search(struct client *client, const char *words, size_t size, bool newline)
{
    static const char none[] = "error: no backends", no_memory[] = "error: user backend failed";
    struct job *job = malloc(sizeof *job);
    if (backend_port[USER] == -1 || job == NULL) {
        const char *error = job == NULL ? no_memory : none;
        append_output(client, error, strlen(error), newline);
        free(job);
        return;
    }
    job->fd = client->fd;
    job->id = client->id;
    job->newline = newline;
    job->line.size = size;
    memcpy(job->line.text, words, size);
    client->searching = true;
    submit_job(job);
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

/* ---- a search: it blocks, so only a worker may call it --------------------------------------- */

/* Seconds on the monotonic clock, clock_gettime(2). */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Limits the next call on this socket to the time left until the deadline: SO_RCVTIMEO, socket(7).
 * A call that takes longer fails with EAGAIN; connect fails with EINPROGRESS. Returns false with
 * EAGAIN if no time is left. */
static bool set_remaining_timeout(int fd, double deadline)
{
    long left = (long)((deadline - now()) * 1e6); /* microseconds */
    if (left <= 0) {                              /* a timeout of 0 would mean no timeout */
        errno = EAGAIN;
        return false;
    }
    struct timeval time = {.tv_sec = left / 1000000, .tv_usec = left % 1000000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0;
}

/* Connects to a port on 127.0.0.1. After EINTR the connection is still being established; on Linux,
 * calling connect again waits for it. */
static bool connect_deadline(double deadline, int fd, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    while (set_remaining_timeout(fd, deadline)) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return true;
        if (errno != EINTR)
            return false;
    }
    return false;
}

/* Sends everything, as send_all did in lab 1. */
static bool send_all_deadline(double deadline, int fd, const char *data, size_t size)
{
    while (size > 0 && set_remaining_timeout(fd, deadline)) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n == -1 && errno != EINTR)
            return false;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return size == 0;
}

/* Like recv, but fails with EAGAIN at the deadline. */
static ssize_t recv_deadline(double deadline, int fd, void *data, size_t size)
{
    while (set_remaining_timeout(fd, deadline)) {
        ssize_t n = recv(fd, data, size, 0);
        if (n != -1 || errno != EINTR)
            return n;
    }
    return -1;
}

/* Receives a line, without its newline. Bytes after the newline are ignored. */
static bool recv_line_deadline(double deadline, int fd, struct line *line)
{
    /* TODO 6: A line may arrive in pieces. Collect them until the newline is there, but no more
     * than a line may hold. On failure errno is the reason: EAGAIN if the deadline has passed, and
     * something else if the backend has closed the connection or sent too much. */
    (void)deadline, (void)fd, (void)line, (void)recv_deadline;
    return false;
}

/* Queries one backend: sends it the line, and replaces the line with the answer. If that fails or
 * is not complete within a second, returns false and replaces the line with the error. */
static bool call_backend(enum backend which, struct line *line)
{
    /* TODO 7: Connect, send the line, receive the answer, all within one second. If that fails,
     * the error replaces the line: "error: user backend failed", or "timed out". */
    (void)which, (void)now, (void)connect_deadline, (void)send_all_deadline,
        (void)recv_line_deadline;
    line->size = (size_t)sprintf(line->text, "error: %s backend failed", backend_name[which]);
    return false;
}

/* Each backend is sent the previous one's answer. */
static void search(struct line *line)
{
    if (!call_backend(USER, line))
        return;
    if (!call_backend(QUERY, line))
        return;
    call_backend(STOCK, line);
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
