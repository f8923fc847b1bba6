/*
 * Lab 3: an echo server with a thread per client.
 *
 * main only accepts; each client is served by a thread of its own, in the same plain order as in
 * lab 1. All memory is shared again, so what two threads use needs a lock.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 16 * 1024 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */

struct client {
    int fd;
    LIST_ENTRY(client) others; /* queue(3) */
};

/* What the threads share, and the lock without which nobody touches it. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER; /* a client has left the list */
static LIST_HEAD(, client) clients;                    /* all that are being served */
static unsigned long long bytes;

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

/* Sends all of it, in as many pieces as the kernel wants. Returns how many bytes went out: fewer
 * than size when the client is gone. */
static size_t send_all(int client, const char *data, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        /* MSG_NOSIGNAL: without it a client that is gone would end the server, by SIGPIPE. */
        ssize_t n = send(client, data + sent, size - sent, MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            break;
        sent += (size_t)n;
    }
    return sent;
}

/* One client, from its first byte to its last. Returns how many bytes went back to it. */
static unsigned long long serve_client(int client)
{
    char buffer[BUFFER_SIZE];
    unsigned long long served = 0;
    for (;;) {
        ssize_t n = recv(client, buffer, sizeof buffer, 0);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0) /* 0: it has nothing more to say. -1: it is gone. */
            break;
        size_t sent = send_all(client, buffer, (size_t)n);
        served += sent;
        if (sent < (size_t)n)
            break;
    }
    return served;
}

/* Off the list first, then closed, and under the lock: else main, at the stop, could shut down a
 * number that has been given to somebody new. */
static void remove_client(struct client *client, unsigned long long served)
{
    /* TODO 1: Take the client from the list, add up what went back to it, close and free what it
     * had. Other threads do the same at the same time, and at the stop main waits for `left`. */
    (void)client, (void)served, (void)lock, (void)left;
}

static void *client_thread(void *client)
{
    /* TODO 2: Serve this client, and then remove it. */
    (void)client, (void)serve_client, (void)remove_client;
    return NULL;
}

int main(int argc, char **argv)
{
    int port = port_argument(argc, argv);
    if (port == -1) {
        fprintf(stderr, "usage: server PORT\n");
        return 2;
    }
    listener = listen_on(port);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    say_listening(listener);

    sigset_t all, before;
    sigfillset(&all);
    unsigned long long connections = 0;
    while (!stopping) {
        int fd = accept(listener, NULL, NULL);
        if (fd == -1) /* accept(2): EINTR, or a client that left early: the next may be fine */
            continue;
        connections++;
        /* TODO 3: Put the client on the list and give it a thread that nobody has to join. The
         * thread may begin late: what it is handed must be its own. Signals are for main alone. If
         * memory or the thread cannot be had, only this client may suffer. */
        (void)client_thread, (void)before;
        close(fd);
    }
    close(listener);
    /* TODO 4: Wake all threads that wait for their clients, and wait until the list is empty. */
    (void)clients;
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
