/*
 * Lab 5: an echo server with one thread and epoll.
 *
 * The kernel keeps the list of what to wait for: idle clients cost nothing. The rest is lab 4's.
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

enum { BUFFER_SIZE = 64 * 1024, MAX_EVENTS = 256 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */

enum interest { WANT_READ = 1, WANT_WRITE = 2, WANT_CLOSE = 4 };

struct client {
    int fd;
    int interest;      /* WANT_READ, WANT_WRITE or both; or WANT_CLOSE: close it */
    bool eof;          /* it has finished sending (FIN) */
    bool broken;       /* the connection has failed (a reset) */
    size_t start, end; /* in the buffer: what is still to be sent back */
    LIST_ENTRY(client) link;
    char buffer[BUFFER_SIZE];
};

static LIST_HEAD(list, client) clients, closed; /* closed: to be freed after the batch */
static unsigned long long connections, bytes;
static int reserve_fd = -1; /* closed to free one for accept: see accept_clients */

static int epoll_fd; /* the epoll instance, epoll(7) */

/* Registers what this client is interested in: EPOLL_CTL_ADD for a new client, EPOLL_CTL_MOD for a
 * change. Level-triggered: what is left unread is reported again. Returns false on failure. */
static bool update_interest(int operation, struct client *client)
{
    /* TODO 1: Register what to wait for on this client's descriptor, and store the client in
     * `data`: when the descriptor is ready, epoll_wait returns `data` unchanged. */
    (void)operation, (void)client;
    return false;
}

static void serve_client(struct client *client, bool readable);
static void read_input(struct client *client);
static void flush_output(struct client *client);
static void accept_clients(void);
static void close_later(struct client *client);
static void free_closed(void);
static void die(const char *call);
static int port_argument(int argc, char **argv);
static int listen_on(int port);
static void print_address(int fd);
static void on_signal(int signal);

int main(int argc, char **argv)
{
    int port = port_argument(argc, argv);
    if (port == -1) {
        fprintf(stderr, "usage: server PORT\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* accept must not block if the client has left */
    reserve_fd = open("/dev/null", O_RDONLY);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    /* TODO 2: Create the epoll instance, and register the listening socket. How will you
     * distinguish its events from those of a client? */
    print_address(listener);

    while (!stopping) {
        /* TODO 3: Wait for events; epoll reports only descriptors that are ready, or whose
         * connection is broken. Serve each such client, register its interest if that has changed,
         * and call close_later if that is WANT_CLOSE. Accept new clients. */
        (void)serve_client, (void)accept_clients;
        pause();
        free_closed();
    }
    close(epoll_fd);
    close(listener);
    close(reserve_fd);
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
    if (readable && !client->eof && client->end < BUFFER_SIZE)
        read_input(client);
    flush_output(client); /* usually there is room, so try before waiting for it */
    bool all_sent = client->start == client->end;
    if (client->broken || (client->eof && all_sent)) {
        client->interest = WANT_CLOSE;
        return;
    }
    client->interest = 0;
    if (!all_sent)
        client->interest |= WANT_WRITE;
    if (!client->eof && client->end < BUFFER_SIZE) /* no room: stop reading */
        client->interest |= WANT_READ;
}

/* Receives what has arrived, as much as there is room for. */
static void read_input(struct client *client)
{
    ssize_t n;
    do
        n = recv(client->fd, client->buffer + client->end, BUFFER_SIZE - client->end, 0);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        client->broken = errno != EAGAIN;
    else if (n == 0)
        client->eof = true;
    else
        client->end += (size_t)n;
}

/* Sends what is in the buffer, as much as the kernel takes, and keeps the rest. */
static void flush_output(struct client *client)
{
    while (client->start < client->end) {
        ssize_t n = send(client->fd, client->buffer + client->start, client->end - client->start,
                         MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            client->broken = errno != EAGAIN;
            return;
        }
        client->start += (size_t)n;
        bytes += (size_t)n;
    }
    client->start = client->end = 0;
}

/* ---- accepting and closing ------------------------------------------------------------------- */

static void add_client(int fd)
{
    struct client *client = malloc(sizeof *client);
    if (client == NULL) {
        close(fd);
        return;
    }
    client->fd = fd;
    client->interest = WANT_READ;
    client->eof = client->broken = false;
    client->start = client->end = 0;
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

/* ---- as in every lab ------------------------------------------------------------------------- */

/* Reports which system call failed and why, and exits. Only for errors before the first client:
 * later, nothing that happens to one client may end the server. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port given on the command line, 0 to 65535, or -1. */
static int port_argument(int argc, char **argv)
{
    if (argc != 2 || !isdigit((unsigned char)argv[1][0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(argv[1], &end, 10);
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
