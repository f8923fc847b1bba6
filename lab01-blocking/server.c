/*
 * Lab 1: an echo server that serves one client at a time.
 *
 * Every call blocks: accept until a client connects, recv until the client sends something, send
 * until the kernel has room for more. So the code reads sequentially, and a second client waits
 * until the first has left.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_SIZE = 16 * 1024 };

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */
static volatile sig_atomic_t current = -1;  /* the client being served, or -1 */

static unsigned long long serve_client(int client);
static size_t send_all(int client, const char *data, size_t size);
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
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    print_address(listener);

    unsigned long long connections = 0, bytes = 0;
    /* TODO 1: Until a signal has set `stopping`, accept one client after another. Count each that
     * was accepted, serve it, add the bytes sent back to the total, and close its socket. While a
     * client is being served, on_signal must find it in `current`. What if a signal arrives after
     * accept, but before `current` is set? */
    (void)serve_client;
    close(listener);
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}

/* Serves one client until EOF. Returns how many bytes were sent back to it. */
static unsigned long long serve_client(int client)
{
    /* TODO 2: Send back what the client sends, as it arrives, until it has finished sending or the
     * connection is broken. Return how many bytes were sent back. */
    (void)client, (void)send_all;
    return 0;
}

/* Sends everything, in as many pieces as the kernel takes. Returns how many bytes were sent: fewer
 * than size if the connection is broken. */
static size_t send_all(int client, const char *data, size_t size)
{
    /* TODO 3: Send all the bytes, however few of them the kernel takes at a time. Neither a signal
     * nor a client that has gone may end the server. */
    (void)client, (void)data, (void)size;
    return 0;
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
    /* TODO 4: Create a TCP socket for IPv4. Allow its port to be bound again soon after the last
     * run (SO_REUSEADDR), give it the address, and listen with the longest backlog (SOMAXCONN). If
     * any of these calls fails, pass its name to die(). Return the socket. */
    (void)address;
    errno = ENOSYS;
    die("TODO 4");
    return -1;
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
