/*
 * Lab 3: an echo server with a thread per client.
 *
 * The main thread only accepts; each client is served by a thread, in the same sequential code as
 * in lab 1. Threads share all memory, so data that two of them use needs a lock.
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

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */

/* The LIST_ macros, list(3), make a doubly linked list; `link` points to the neighbours. */
struct client {
    int fd;
    LIST_ENTRY(client) link;
};

/* What the threads share, to be used only while holding the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t client_left = PTHREAD_COND_INITIALIZER; /* one was removed from the list */
static LIST_HEAD(, client) clients;                           /* all that are being served */
static unsigned long long bytes;

static unsigned long long serve_client(int client);
static size_t send_all(int client, const char *data, size_t size);
static void die(const char *call);
static int port_argument(int argc, char **argv);
static int listen_on(int port);
static void print_address(int fd);
static void on_signal(int signal);

/* Removes the client from the list before closing its socket, both under the lock: otherwise main,
 * on shutdown, could shut down a descriptor that already belongs to a new client. */
static void remove_client(struct client *client, unsigned long long served)
{
    pthread_mutex_lock(&lock);
    LIST_REMOVE(client, link);
    bytes += served;
    close(client->fd);
    free(client);
    pthread_cond_signal(&client_left);
    pthread_mutex_unlock(&lock);
}

static void *client_thread(void *client)
{
    remove_client(client, serve_client(((struct client *)client)->fd));
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
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    print_address(listener);

    sigset_t all_signals, old_mask;
    sigfillset(&all_signals);
    unsigned long long connections = 0;
    while (!stopping) {
        int fd = accept(listener, NULL, NULL);
        if (fd == -1) /* accept(2): EINTR, or a client that has already left; try the next */
            continue;
        connections++;
        struct client *client = malloc(sizeof *client);
        if (client == NULL) {
            close(fd);
            continue;
        }
        client->fd = fd;
        pthread_mutex_lock(&lock);
        LIST_INSERT_HEAD(&clients, client, link);
        pthread_mutex_unlock(&lock);
        pthread_t thread;
        pthread_sigmask(SIG_SETMASK, &all_signals, &old_mask); /* the thread inherits this */
        int error = pthread_create(&thread, NULL, client_thread, client);
        pthread_sigmask(SIG_SETMASK, &old_mask, NULL);
        if (error == 0) {
            pthread_detach(thread); /* it will not be joined: its stack is freed when it ends */
        } else {
            fprintf(stderr, "server: pthread_create: %s\n", strerror(error));
            remove_client(client, 0); /* only this client is lost */
        }
    }
    close(listener);
    pthread_mutex_lock(&lock);
    struct client *client;
    LIST_FOREACH(client, &clients, link)
        shutdown(client->fd, SHUT_RDWR); /* its thread wakes up and removes it */
    while (!LIST_EMPTY(&clients))
        pthread_cond_wait(&client_left, &lock);
    pthread_mutex_unlock(&lock);
    printf("served %llu connections, %llu bytes\n", connections, bytes);
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
