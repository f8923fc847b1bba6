/*
 * Lab 2: an echo server with a process per client.
 *
 * The parent only accepts; each client is served by a child process, in the same sequential code as
 * in lab 1. Processes do not share memory, so the byte count must be put in a shared mapping.
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

enum { BUFFER_SIZE = 16 * 1024, MAX_CHILDREN = 10000 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */
static volatile sig_atomic_t current = -1;  /* the client being served, or -1 */

/* The parent's list. reap() may run at any moment, so the rest of the parent uses the list only
 * while signals are blocked. */
static pid_t children[MAX_CHILDREN];
static int child_count;

static atomic_ullong *bytes; /* in memory shared by the parent and its children */

static unsigned long long serve_client(int client);
static size_t send_all(int client, const char *data, size_t size);
static void die(const char *call);
static int port_argument(int argc, char **argv);
static int listen_on(int port);
static void print_address(int fd);
static void on_signal(int signal);

/* The handler of SIGCHLD. Signals do not queue: if several children end while one is pending, it is
 * delivered once. So reap until no ended child is left. */
static void reap(int signal)
{
    /* TODO 1: Reap all children that have ended, without waiting for any that has not, and remove
     * each from the list. Preserve errno: the signal may arrive just before errno is checked. */
    (void)signal, (void)children, (void)child_count;
}

int main(int argc, char **argv)
{
    int port = port_argument(argc, argv);
    if (port == -1) {
        fprintf(stderr, "usage: server PORT\n");
        return 2;
    }
    listener = listen_on(port);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    /* TODO 2: Have reap() called whenever a child ends, and make `bytes` point to memory that the
     * parent shares with all its children. Here, each child still counts in a copy of its own. */
    static atomic_ullong not_shared;
    bytes = &not_shared;
    (void)reap;
    print_address(listener);

    sigset_t all_signals, old_mask;
    sigfillset(&all_signals);
    unsigned long long connections = 0;
    while (!stopping) {
        int client = accept(listener, NULL, NULL);
        if (client == -1) /* accept(2): EINTR, or a client that has already left; try the next */
            continue;
        connections++;
        /* TODO 3: Serve this client in a child process, which adds the number of bytes it sent back
         * to `bytes`. Which sockets does the child need, and which the parent? If no child can be
         * created, or the list is full, disconnect this client only. Keep signals blocked in the
         * parent until the child is in the list, and in the child until `listener` is -1 and
         * `current` is its client. What if a signal arrived meanwhile? */
        (void)serve_client, (void)old_mask;
        close(client);
    }
    close(listener);
    /* TODO 4: Make the children end, and wait until the last one has. Meanwhile, reap() must
     * neither change the list nor reap a child that you are waiting for. */
    printf("served %llu connections, %llu bytes\n", connections, *bytes);
    munmap(bytes, sizeof *bytes);
    return 0;
}

/* Serves one client until EOF. Returns how many bytes were sent back to it. */
static unsigned long long serve_client(int client)
{
    char buffer[BUFFER_SIZE];
    unsigned long long served = 0;
    for (;;) {
        ssize_t n = recv(client, buffer, sizeof buffer, 0);
        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0) /* 0: the client has finished sending. -1: the connection is broken. */
            break;
        size_t sent = send_all(client, buffer, (size_t)n);
        served += sent;
        if (sent < (size_t)n)
            break;
    }
    return served;
}

/* Sends everything, in as many pieces as the kernel takes. Returns how many bytes were sent: fewer
 * than size if the connection is broken. */
static size_t send_all(int client, const char *data, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        /* Without MSG_NOSIGNAL, sending to a client that has left kills the server by SIGPIPE. */
        ssize_t n = send(client, data + sent, size - sent, MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            break;
        sent += (size_t)n;
    }
    return sent;
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
 * before accept or recv blocks, when the flag has already been checked. A socket that has been shut
 * down stays so: accept fails and recv returns 0 whenever they are called. shutdown is
 * async-signal-safe, signal-safety(7). */
static void on_signal(int signal)
{
    (void)signal;
    int saved_errno = errno;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    if (current != -1)
        shutdown(current, SHUT_RDWR);
    errno = saved_errno;
}
