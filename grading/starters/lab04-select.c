/*
 * Lab 4: an echo server with one thread and select.
 *
 * Only select blocks, and it waits for all clients at once. The state of each connection is in
 * struct client, no longer on a thread's stack: where a thread would block, serve_client returns.
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
#include <sys/queue.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 64 * 1024 };

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

static fd_set read_set, write_set; /* what to wait for; select overwrites the copies it gets */
static int highest;                /* the highest descriptor in either */

/* Registers what this client is interested in. Returns false if its descriptor is too high. */
static bool update_interest(struct client *client)
{
    /* TODO 1: Add the descriptor to the sets that match its client's interest, remove it from the
     * others, and raise `highest` if necessary. Not every descriptor fits into an fd_set. */
    (void)client;
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
    print_address(listener);
    FD_SET(listener, &read_set);
    highest = listener;

    while (!stopping) {
        /* TODO 2: Wait until a descriptor is ready. Serve each ready client. If its interest has
         * changed, update the sets, for WANT_CLOSE as well: the client must leave them. If it is
         * WANT_CLOSE, then call close_later, which moves the client to a different list. Accept new
         * clients. */
        (void)write_set, (void)serve_client, (void)accept_clients;
        pause();
        free_closed();
    }
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
    /* TODO 3: Receive what has arrived and send what can be sent. Then set the client's interest:
     * WANT_READ only if there is room and no EOF yet, WANT_WRITE only if something is left to send,
     * WANT_CLOSE if the connection is broken, or after EOF when everything has been sent. */
    (void)client, (void)read_input, (void)flush_output, (void)readable;
}

/* Receives what has arrived, as much as there is room for. */
static void read_input(struct client *client)
{
    /* TODO 4: Receive once, after what is already in the buffer. Apart from bytes, recv can report
     * four things: nothing has arrived yet, a signal has interrupted the call, the client has
     * finished sending, the connection is broken. */
    (void)client;
}

/* Sends what is in the buffer, as much as the kernel takes, and keeps the rest. */
static void flush_output(struct client *client)
{
    /* TODO 5: Send from the buffer until it is empty (then reset `start` and `end`) or the kernel
     * takes no more. EAGAIN is not a failure: the rest is sent when there is room. Any other error,
     * except EINTR, means that the connection is broken. Count what was sent. */
    (void)client, (void)bytes;
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
    if (!update_interest(client))
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
