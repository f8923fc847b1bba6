/*
 * Lab 2: an echo server with a process per client.
 *
 * The parent only accepts; each client is served by a child of its own, in the same plain order
 * as in lab 1. What the processes must share now has to be shared on purpose.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BUFFER_SIZE = 16 * 1024, MOST_CHILDREN = 10000 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */
static volatile sig_atomic_t current = -1;  /* in a child, its client */

/* The parent's list. reap() may come at any moment, so the rest of the parent touches it only
 * while signals are blocked. */
static pid_t children[MOST_CHILDREN];
static int child_count;

static atomic_ullong *bytes; /* in memory that parent and children share */

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
    if (current != -1)
        shutdown(current, SHUT_RDWR);
    errno = saved;
}

/* The handler of SIGCHLD. One signal may stand for many children: those that end while it is on
 * its way send no second one. So it goes on until there is nobody left to wait for. */
static void reap(int signal)
{
    /* TODO 1: Wait for all children that have ended, and for none that has not. Take each from the
     * list. Leave errno as it was: the signal may come between a call and the look at errno. */
    (void)signal, (void)children, (void)child_count;
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
    /* TODO 2: Let reap() hear of each child that ends, and let `bytes` point to memory that all
     * children will share with the parent: at the moment each would count in a copy of its own. */
    static atomic_ullong not_shared;
    bytes = &not_shared;
    (void)reap;
    say_listening(listener);

    sigset_t all, before;
    sigfillset(&all);
    unsigned long long connections = 0;
    while (!stopping) {
        int client = accept(listener, NULL, NULL);
        if (client == -1) /* accept(2): EINTR, or a client that left early: the next may be fine */
            continue;
        connections++;
        /* TODO 3: Let a child serve this client, and add to `bytes` what went back. Which sockets
         * does the child need, which the parent? If there can be no child, only this client may
         * suffer, and nothing goes on the list. Two moments no signal may disturb (block them): in
         * the parent, until the child is on the list; in the child, until stop() would find there
         * what is its own, and nothing else. And what if the signal came in that moment? */
        (void)serve_client, (void)before;
        close(client);
    }
    close(listener);
    /* TODO 4: Tell the children to end, and wait until the last has. reap() must not change the
     * list meanwhile, nor take from you whom you wait for. */
    printf("served %llu connections, %llu bytes\n", connections, *bytes);
    munmap(bytes, sizeof *bytes);
    return 0;
}
