/*
 * Lab 4: an echo server with one thread and select.
 *
 * Nothing blocks but select, which waits for everybody. What a thread kept on its stack, how far it
 * has come with its client, is now in struct client; and where a thread slept in recv or send, a
 * client says what it waits for and gives the loop back.
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
    /* TODO 1: Send from the buffer until it is empty (forget_buffer) or the kernel takes no more.
     * EAGAIN is no failure: the rest is kept (keep_waiting) and goes out when there is room. Other
     * failures, but for EINTR, mean that the client is gone. Count what went out. */
    (void)client, (void)bytes, (void)keep_waiting;
}

/* Takes in what has come, as much as there is room for. */
static void receive(struct client *client)
{
    /* TODO 2: Receive once, behind what is in the buffer already. Three things can be learned from
     * recv besides bytes: nothing there yet, nothing more to come, client gone. */
    (void)client;
}

/* Serves one client for which something is ready, and says what it waits for next. */
static void serve_client(struct client *client, bool readable)
{
    /* TODO 3: Take in what has come and send what can be sent. Then say what this client waits for
     * next: TO_READ only when there is room for more and more may come, TO_WRITE only when
     * something is left to send, NOTHING when it is done or gone. */
    (void)client, (void)receive, (void)send_waiting, (void)readable;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static fd_set reading, writing; /* what to wait for; select changes the copy it is given */
static int highest;             /* the highest descriptor in either */

/* Waits for this client as it wants, from the next round on. False if that cannot be. */
static bool watch(struct client *client)
{
    /* TODO 4: Put the descriptor in the sets that it wants to be in, take it out of the others, and
     * keep `highest` right. Not every descriptor fits into an fd_set. */
    (void)client;
    return false;
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
    if (!watch(client))
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
    say_listening(listener);
    FD_SET(listener, &reading);
    highest = listener;

    while (!stopping) {
        /* TODO 5: Wait until somebody is ready. Serve each client that is, watch it if it wants
         * something else now than before, and let it go if it wants nothing. Let in who knocks. */
        (void)writing, (void)serve_client, (void)accept_clients;
        pause();
        free_done();
    }
    close(listener);
    close(spare);
    while (!LIST_EMPTY(&clients))
        let_go(LIST_FIRST(&clients));
    free_done();
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
