/*
 * Lab 5: an echo server with one thread and epoll.
 *
 * The kernel keeps the list of what to wait for, and tells only who is ready: who is idle costs
 * nothing. All else is as in lab 4.
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
#include <unistd.h>

enum { BUFFER_SIZE = 64 * 1024, MOST_EVENTS = 256 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */

enum want { NOTHING = 0, TO_READ = 1, TO_WRITE = 2 };

/* What a client is: a descriptor, and what is to be done for it next. When it speaks, its bytes
 * come into the buffer that all share and go out at once, and the next client finds it empty. Only
 * what the kernel does not take must wait: that moves to a buffer of the client's own, which is
 * given back when all is sent. So who reads costs no buffer, and the shared one stays in the
 * processor's cache. */
struct client {
    int fd;
    int want;          /* what it waits for: TO_READ, TO_WRITE, both; NOTHING when it is done */
    bool finished;     /* it has said all (FIN) */
    bool gone;         /* it will not hear any more (a reset) */
    size_t start, end; /* of what waits in the buffer to be sent back */
    char *buffer;      /* `shared`, or its own */
    LIST_ENTRY(client) others;
};

static LIST_HEAD(list, client) clients, done; /* being served; done, to be freed after the batch */
static unsigned long long connections, bytes;
static char shared[BUFFER_SIZE];
static int spare = -1; /* a descriptor to give up when there are no others: see accept_clients */

/* Says which system call failed and why, and ends the server. Only for what happens before the
 * first client: later on, nothing that one client does is a reason to end. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port that the command line asks for, 0 to 65535, or -1. */
static int port_argument(int argc, char **argv)
{
    if (argc != 2 || !isdigit((unsigned char)argv[1][0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(argv[1], &end, 10);
    return *end != '\0' || errno != 0 || port > 65535 ? -1 : (int)port;
}

/* Returns a socket that listens on 127.0.0.1; port 0 lets the kernel choose: ip(7), listen(2). */
static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1)
        die("socket");
    /* Without this, a restart within a minute of the last run finds its port still taken. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1)
        die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(fd, SOMAXCONN) == -1)
        die("listen");
    return fd;
}

/* Says where the server listens. Flushed, because a program may be waiting to read it. */
static void say_listening(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
        die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* The signal handler. A flag alone would not do: the signal may come just before accept or recv
 * begins to wait, and nobody would look at the flag again. A socket that is shut down stays so:
 * accept fails and recv says 0 whenever they are called. shutdown is async-signal-safe. */
static void stop(int signal)
{
    (void)signal;
    int saved = errno;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    errno = saved;
}

/* ---- what a client does when something is ready: nothing here knows how the loop waits ---- */

/* Moves what waits out of the shared buffer, before another client needs it. False: no memory. */
static bool keep_waiting(struct client *client)
{
    if (client->buffer != shared)
        return true;
    char *own = malloc(BUFFER_SIZE);
    if (own == NULL)
        return false;
    client->buffer = memcpy(own, shared, client->end);
    return true;
}

/* Nothing waits any more: gives the client's own buffer back, if it had one. */
static void forget_buffer(struct client *client)
{
    if (client->buffer != shared)
        free(client->buffer);
    client->buffer = shared;
    client->start = client->end = 0;
}

/* Sends what waits in the buffer, as much as the kernel takes, and keeps the rest. */
static void send_waiting(struct client *client)
{
    while (client->start < client->end) {
        ssize_t n = send(client->fd, client->buffer + client->start, client->end - client->start,
                         MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            client->gone = errno != EAGAIN || !keep_waiting(client);
            return;
        }
        client->start += (size_t)n;
        bytes += (size_t)n;
    }
    forget_buffer(client);
}

/* Takes in what has come, as much as there is room for. */
static void receive(struct client *client)
{
    ssize_t n;
    do
        n = recv(client->fd, client->buffer + client->end, BUFFER_SIZE - client->end, 0);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        client->gone = errno != EAGAIN;
    else if (n == 0)
        client->finished = true;
    else
        client->end += (size_t)n;
}

/* Serves one client for which something is ready, and says what it waits for next. */
static void serve_client(struct client *client, bool readable)
{
    if (readable && !client->finished && client->end < BUFFER_SIZE)
        receive(client);
    send_waiting(client); /* most often there is room at once, and no need to wait for it */
    client->want = NOTHING;
    if (client->gone)
        return;
    if (client->start < client->end)
        client->want |= TO_WRITE;
    if (!client->finished && client->end < BUFFER_SIZE) /* who does not read is not read from */
        client->want |= TO_READ;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int poller; /* the epoll instance, epoll(7) */

/* Waits for this client as it wants (EPOLL_CTL_ADD: from now on; EPOLL_CTL_MOD: otherwise than so
 * far). Level-triggered: what is not taken now is told again. False if that cannot be. */
static bool watch(int operation, struct client *client)
{
    struct epoll_event event = {.data.ptr = client};
    if (client->want & TO_READ)
        event.events |= EPOLLIN;
    if (client->want & TO_WRITE)
        event.events |= EPOLLOUT;
    return epoll_ctl(poller, operation, client->fd, &event) == 0;
}

/* Off the list, and out of sight of the loop; freed when nobody can hold a pointer to it. */
static void let_go(struct client *client)
{
    LIST_REMOVE(client, others);
    LIST_INSERT_HEAD(&done, client, others);
}

static void free_done(void)
{
    struct client *client;
    while ((client = LIST_FIRST(&done)) != NULL) {
        LIST_REMOVE(client, others);
        close(client->fd);
        forget_buffer(client);
        free(client);
    }
}

static void add_client(int fd)
{
    struct client *client = malloc(sizeof *client);
    if (client == NULL) {
        close(fd);
        return;
    }
    client->fd = fd;
    client->want = TO_READ;
    client->finished = client->gone = false;
    client->buffer = shared;
    client->start = client->end = 0;
    LIST_INSERT_HEAD(&clients, client, others);
    if (!watch(EPOLL_CTL_ADD, client))
        let_go(client);
}

/* Lets in all who knock. When there is no descriptor for one (EMFILE), it would stay in the backlog
 * and keep the listener ready, and the loop would spin: so the spare descriptor is given up for it,
 * and it is sent away. */
static void accept_clients(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd != -1) {
            connections++;
            add_client(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            close(spare);
            fd = accept(listener, NULL, NULL);
            connections += fd != -1;
            close(fd);
            spare = open("/dev/null", O_RDONLY);
            if (fd == -1)
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: that was all */
        }
    }
}

int main(int argc, char **argv)
{
    int port = port_argument(argc, argv);
    if (port == -1) {
        fprintf(stderr, "usage: server PORT\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* who knocked may be gone when accept is called */
    spare = open("/dev/null", O_RDONLY);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    poller = epoll_create1(0);
    if (poller == -1)
        die("epoll_create1");
    struct epoll_event knocking = {.events = EPOLLIN}; /* no client: the listener */
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &knocking) == -1)
        die("epoll_ctl");
    say_listening(listener);

    while (!stopping) {
        struct epoll_event events[MOST_EVENTS];
        int n = epoll_wait(poller, events, MOST_EVENTS, -1); /* -1: EINTR, none is ready */
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (client == NULL) {
                accept_clients();
                continue;
            }
            int before = client->want;
            serve_client(client, events[i].events & ~EPOLLOUT); /* also EPOLLERR and EPOLLHUP */
            if (client->want == NOTHING)
                let_go(client);
            else if (client->want != before)
                watch(EPOLL_CTL_MOD, client);
        }
        free_done();
    }
    close(poller);
    close(listener);
    close(spare);
    while (!LIST_EMPTY(&clients))
        let_go(LIST_FIRST(&clients));
    free_done();
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
