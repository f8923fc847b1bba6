/*
 * Lab 6: a server that echoes lines and searches: one loop at the counter, four workers in the
 * kitchen.
 *
 * A search asks three other servers, one after the other, and waits for each. The loop must not
 * wait, so it hands the search to a worker, serves everybody else meanwhile, and takes the answer
 * back when an eventfd rings.
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
    LINE_MOST = 4096, /* bytes in a line, its newline not counted */
    IN_SIZE = 16 * 1024,
    OUT_SIZE = 64 * 1024,
    MOST_EVENTS = 256,
    MOST_DESCRIPTORS = 64 * 1024,
    WORKERS = 4,
};

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */

enum want { NOTHING = 0, TO_READ = 1, TO_WRITE = 2, TO_LEAVE = 4 };

struct client {
    int fd;
    unsigned long long id;   /* a descriptor is used again when its client has left: this is not */
    int want;                /* what it waits for: TO_READ, TO_WRITE, both; TO_LEAVE: it is done */
    bool finished;           /* it has said all (FIN) */
    bool gone;               /* it will not hear any more (a reset) */
    bool searching;          /* an answer is owed: the lines behind it wait */
    bool ignored;            /* its line was too long: nothing that it says is answered any more */
    size_t in_start, in_end; /* of what it has said and not been answered */
    size_t start, end;       /* of what waits to be sent */
    LIST_ENTRY(client) others;
    char in[IN_SIZE], out[OUT_SIZE];
};

static LIST_HEAD(list, client) clients, done; /* being served; done, to be freed after the batch */
static struct client *client_at[MOST_DESCRIPTORS]; /* who has this descriptor now */
static unsigned long long connections, bytes;
static int spare = -1; /* a descriptor to give up when there are no others: see accept_clients */

/* A line without its newline, and with room for it. */
struct line {
    size_t size;
    char text[LINE_MOST + 1];
};

/* A search on its way. A worker never touches a client: when the answer is there, the client may
 * have left, and its descriptor may be somebody else's. So it gets a copy, and who asked is known
 * by an id. */
struct job {
    int fd;
    unsigned long long id;
    bool newline;     /* the answer ends with one, as the question did */
    struct line line; /* the words; then the answer */
    STAILQ_ENTRY(job) others;
};

/* Says which system call failed and why, and ends the server. Only for what happens before the
 * first client: later on, nothing that one client does is a reason to end. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port that a word names, 0 to 65535, or -1. */
static int port_number(const char *word)
{
    if (!isdigit((unsigned char)word[0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(word, &end, 10);
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

/* ---- a search: this is what waits, so only a worker may do it -------------------------------- */

enum backend { USER, QUERY, STOCK, BACKENDS };

static const char *const backend_name[] = {"user", "query", "stock"};
static int backend_port[BACKENDS] = {-1, -1, -1};

/* Seconds on a clock that nobody sets. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Gives the next call on this socket what is left until the deadline: socket(7), SO_RCVTIMEO. A
 * call that takes longer fails with EAGAIN, or EINPROGRESS if it is connect; so does this one when
 * nothing is left. */
static bool time_is_left(int fd, double deadline)
{
    long left = (long)((deadline - now()) * 1e6); /* microseconds */
    if (left <= 0) {                              /* all zeros would be for ever */
        errno = EAGAIN;
        return false;
    }
    struct timeval time = {.tv_sec = left / 1000000, .tv_usec = left % 1000000};
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0;
}

/* Connects to a port of 127.0.0.1. After EINTR the connection is still being made, and on Linux the
 * same call again waits for it. */
static bool connect_by(double deadline, int fd, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    while (time_is_left(fd, deadline)) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
            return true;
        if (errno != EINTR)
            return false;
    }
    return false;
}

/* Sends all of it, as send_all did in lab 1. */
static bool send_all_by(double deadline, int fd, const char *data, size_t size)
{
    while (size > 0 && time_is_left(fd, deadline)) {
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

/* As recv, but -1 with EAGAIN at the deadline. */
static ssize_t recv_by(double deadline, int fd, void *data, size_t size)
{
    while (time_is_left(fd, deadline)) {
        ssize_t n = recv(fd, data, size, 0);
        if (n != -1 || errno != EINTR)
            return n;
    }
    return -1;
}

/* Receives a line, without its newline. What comes behind the newline is nobody's. */
static bool recv_line_by(double deadline, int fd, struct line *line)
{
    /* TODO 1: A line comes in pieces. Collect them until the newline is there, and no longer than a
     * line may be. errno says why there is none: EAGAIN when it is too late. */
    (void)deadline, (void)fd, (void)line, (void)recv_by;
    return false;
}

/* Asks one backend: the line goes out, and the line that comes back takes its place. If that fails,
 * or is not done within a second, false, and the error takes its place. */
static bool call_backend(enum backend which, struct line *line)
{
    /* TODO 2: A connection, a line out, a line back, all within one second. What has gone wrong
     * goes into the line: "error: user backend failed", or "timed out". */
    (void)which, (void)now, (void)connect_by, (void)send_all_by, (void)recv_line_by;
    line->size = (size_t)sprintf(line->text, "error: %s backend failed", backend_name[which]);
    return false;
}

/* Each backend is asked what the one before has answered. */
static void search(struct line *line)
{
    if (!call_backend(USER, line))
        return;
    if (!call_backend(QUERY, line))
        return;
    call_backend(STOCK, line);
}

/* ---- the kitchen: jobs go in, answers come out ----------------------------------------------- */

STAILQ_HEAD(queue, job);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;        /* of the next three */
static struct queue jobs = STAILQ_HEAD_INITIALIZER(jobs);       /* for the workers */
static struct queue answers = STAILQ_HEAD_INITIALIZER(answers); /* for the loop */
static bool closing;                                            /* the workers may go home */
static pthread_cond_t something_to_do = PTHREAD_COND_INITIALIZER;
static int bell = -1; /* an eventfd: rings when there are answers, eventfd(2) */

/* A worker. The search waits for others, so the lock is not held meanwhile. */
static void *work(void *unused)
{
    /* TODO 3: Take a job when there is one, search, put it to the answers and ring the bell; again
     * and again, until the kitchen closes. */
    (void)search, (void)closing;
    return unused;
}

static void hand_over(struct job *job)
{
    /* TODO 4: Put it where the workers find it, and wake one. */
    (void)jobs, (void)something_to_do;
    free(job);
}

/* ---- what a client does when something is ready: nothing here knows how the loop waits ---- */

/* Puts it behind what waits to be sent. The caller has seen to it that there is room. */
static void put(struct client *client, const char *text, size_t size, bool newline)
{
    memcpy(client->out + client->end, text, size);
    client->end += size;
    if (newline)
        client->out[client->end++] = '\n';
}

/* Sends what waits, as much as the kernel takes. */
static void send_waiting(struct client *client)
{
    while (client->start < client->end) {
        ssize_t n = send(client->fd, client->out + client->start, client->end - client->start,
                         MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1) {
            client->gone |= errno != EAGAIN;
            return;
        }
        client->start += (size_t)n;
        bytes += (size_t)n;
    }
    client->start = client->end = 0;
}

/* Takes in what has come, as much as there is room for. */
static void receive(struct client *client)
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
        client->gone |= errno != EAGAIN;
    else if (n == 0)
        client->finished = true;
    else if (!client->ignored)
        client->in_end += (size_t)n;
}

static void start_search(struct client *client, const char *words, size_t size, bool newline)
{
    static const char none[] = "error: no backends", no_memory[] = "error: user backend failed";
    struct job *job = malloc(sizeof *job);
    if (backend_port[USER] == -1 || job == NULL) {
        const char *error = job == NULL ? no_memory : none;
        put(client, error, strlen(error), newline);
        free(job);
        return;
    }
    job->fd = client->fd;
    job->id = client->id;
    job->newline = newline;
    job->line.size = size;
    memcpy(job->line.text, words, size);
    client->searching = true;
    hand_over(job);
}

/* Answers the next line, if there is one and it is its turn: false if not. */
static bool answer_line(struct client *client)
{
    /* TODO 5: Find the first line in what has come, and put its answer behind what waits to be
     * sent, or start a search. Which lines cannot be answered now? What if there is no newline, and
     * never will be, or if the line is too long? */
    (void)client, (void)put, (void)start_search;
    return false;
}

/* Serves one client for which something is ready, and says what it waits for next. */
static void serve_client(struct client *client, bool readable)
{
    if (readable && !client->finished && client->in_end - client->in_start < IN_SIZE)
        receive(client);
    do {
        while (answer_line(client))
            ;
        send_waiting(client); /* most often there is room at once */
    } while (client->end == 0 && answer_line(client));
    bool all_sent = client->start == client->end, all_said = client->in_start == client->in_end;
    if (client->gone || (client->finished && all_said && !client->searching && all_sent)) {
        client->want = TO_LEAVE;
        return;
    }
    /* close would reset the connection while unread bytes are there, and the message with it. */
    if (client->ignored && all_sent)
        shutdown(client->fd, SHUT_WR);
    client->want = NOTHING;
    if (!all_sent)
        client->want |= TO_WRITE;
    if (!client->finished && client->in_end - client->in_start < IN_SIZE)
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
    client_at[client->fd] = NULL;
    LIST_REMOVE(client, others);
    LIST_INSERT_HEAD(&done, client, others);
}

static void free_done(void)
{
    struct client *client;
    while ((client = LIST_FIRST(&done)) != NULL) {
        LIST_REMOVE(client, others);
        close(client->fd);
        free(client);
    }
}

/* Something is ready for this client, or its answer is there. */
static void attend_to(struct client *client, bool readable)
{
    int before = client->want;
    serve_client(client, readable);
    if (client->want == TO_LEAVE)
        let_go(client);
    else if (client->want != before)
        watch(EPOLL_CTL_MOD, client);
}

/* Takes the answers out of the kitchen. The bell is silenced first: who puts an answer there after
 * that rings again. */
static void take_answers(void)
{
    /* TODO 6: Silence the bell, take all the answers, and give each to who asked, if that client is
     * still here; it may have more to do now. */
    (void)client_at, (void)attend_to, (void)lock, (void)answers;
}

static void add_client(int fd)
{
    struct client *client = fd < MOST_DESCRIPTORS ? malloc(sizeof *client) : NULL;
    if (client == NULL) {
        close(fd);
        return;
    }
    client->fd = fd;
    client->id = connections;
    client->want = TO_READ;
    client->finished = client->gone = client->searching = client->ignored = false;
    client->in_start = client->in_end = client->start = client->end = 0;
    client_at[fd] = client;
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

static void loop(void)
{
    while (!stopping) {
        struct epoll_event events[MOST_EVENTS];
        int n = epoll_wait(poller, events, MOST_EVENTS, -1); /* -1: EINTR, none is ready */
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].data.ptr == &listener) {
                accept_clients();
            } else if (events[i].data.ptr == &bell) {
                take_answers();
            } else if (client->want != TO_LEAVE) {          /* an answer may have let it go */
                client->gone = events[i].events & EPOLLERR; /* is told also to who wants nothing */
                attend_to(client, events[i].events & ~EPOLLOUT);
            }
        }
        free_done();
    }
}

int main(int argc, char **argv)
{
    int port = argc == 2 || argc == 5 ? port_number(argv[1]) : -1;
    bool well = port != -1;
    for (int i = 2; i < argc && well; i++)
        well = (backend_port[i - 2] = port_number(argv[i])) != -1;
    if (!well) {
        fprintf(stderr, "usage: server PORT [USER QUERY STOCK]\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* who knocked may be gone when accept is called */
    spare = open("/dev/null", O_RDONLY);
    poller = epoll_create1(0);
    if (poller == -1)
        die("epoll_create1");
    bell = eventfd(0, EFD_NONBLOCK);
    if (bell == -1)
        die("eventfd");
    struct epoll_event knocking = {.events = EPOLLIN, .data.ptr = (void *)&listener};
    struct epoll_event ringing = {.events = EPOLLIN, .data.ptr = &bell};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &knocking) == -1 ||
        epoll_ctl(poller, EPOLL_CTL_ADD, bell, &ringing) == -1)
        die("epoll_ctl");

    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* workers inherit it: signals are for the loop */
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++)
        if ((errno = pthread_create(&workers[i], NULL, work, NULL)) != 0)
            die("pthread_create");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    say_listening(listener);
    loop();

    /* TODO 7: Send the workers home, wait until all have gone, and free the jobs that nobody does
     * any more. */
    (void)workers;
    close(poller);
    close(listener);
    close(spare);
    close(bell);
    while (!LIST_EMPTY(&clients))
        let_go(LIST_FIRST(&clients));
    free_done();
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
