/*
 * Lab 7: a server that echoes lines and searches: one loop, and nobody else.
 *
 * A search asks three other servers, one after the other. Who waits for them is not a thread but a
 * struct: it knows how far the search is, and which function goes on when the answer is there.
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
#include <time.h>
#include <unistd.h>

enum {
    LINE_MOST = 4096, /* bytes in a line, its newline not counted */
    IN_SIZE = 16 * 1024,
    OUT_SIZE = 64 * 1024,
    MOST_EVENTS = 256,
    MOST_DESCRIPTORS = 64 * 1024,
};

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */

/* What an event points to: the first member of a client and of a call. The listener has none. */
struct source {
    void (*ready)(struct source *source, uint32_t events);
};

enum want { NOTHING = 0, TO_READ = 1, TO_WRITE = 2, TO_LEAVE = 4 };

struct client {
    struct source source;
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
static int poller;     /* the epoll instance, epoll(7) */

/* A line without its newline, and with room for it. */
struct line {
    size_t size;
    char text[LINE_MOST + 1];
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

/* ---- a search: this is what waits, so it is done in pieces ----------------------------------- */

enum backend { USER, QUERY, STOCK, BACKENDS };

static const char *const backend_name[] = {"user", "query", "stock"};
static int backend_port[BACKENDS] = {-1, -1, -1};

/* A backend call on its way. */
struct call {
    struct source source;
    int fd;
    enum backend which;
    size_t sent; /* of the search's line and its newline */
    double deadline;
    bool well; /* when it is over: is there an answer? */
    struct search *search;
    void (*after)(struct search *search, bool well); /* goes on with it then */
    TAILQ_ENTRY(call) others;
};

/* A search on its way. When the answer is there, the client may have left, and its descriptor may
 * be somebody else's. So this is a copy, and who asked is known by an id. */
struct search {
    int fd;
    unsigned long long id;
    bool newline;     /* the answer ends with one, as the question did */
    struct line line; /* the words; then what each backend has answered */
    struct call call; /* one at a time */
};

TAILQ_HEAD(queue, call);

/* All calls have the same second: who began first is the first whose time is up. */
static struct queue calls = TAILQ_HEAD_INITIALIZER(calls); /* on their way */
static struct queue over = TAILQ_HEAD_INITIALIZER(over);   /* their callbacks are still to come */

/* Seconds on a clock that nobody sets. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The call is over; without an error, the answer is in the search's line. Its callback comes later,
 * from the loop: who ends a call, even before call_backend returns, may be in the middle of serving
 * the client that the callback serves. */
static void end_call(struct call *call, const char *error)
{
    struct line *line = &call->search->line;
    TAILQ_REMOVE(&calls, call, others);
    TAILQ_INSERT_TAIL(&over, call, others);
    call->well = error == NULL;
    if (error != NULL)
        line->size =
            (size_t)sprintf(line->text, "error: %s backend %s", backend_name[call->which], error);
}

/* Lets `ready` go on when there is such an event. */
static bool wait_for(int operation, struct call *call, uint32_t events,
                     void (*ready)(struct source *source, uint32_t events))
{
    struct epoll_event event = {.events = events, .data.ptr = call};
    call->source.ready = ready;
    return epoll_ctl(poller, operation, call->fd, &event) == 0;
}

/* Takes in the answer, without its newline. What comes behind the newline is nobody's. */
static void receive_answer(struct source *source, uint32_t events)
{
    (void)events;
    struct call *call = (struct call *)source;
    struct line *line = &call->search->line;
    /* TODO 1: Take in what has come of the answer. Is its newline there, can it still come, has the
     * backend failed? A call that is over goes to end_call; one that is not will be ready again. */
    (void)call, (void)line;
}

/* The connection is there, or has failed: send says so. */
static void send_question(struct source *source, uint32_t events)
{
    (void)events;
    struct call *call = (struct call *)source;
    struct line *line = &call->search->line;
    /* TODO 2: Send what is left of the question. When all of it is out, wait for the answer, and
     * for nothing else: a socket is almost always writable. */
    (void)call, (void)line, (void)receive_answer;
}

/* Begins to ask one backend: the line goes out, and the line that comes back takes its place; then
 * `after` goes on. If that fails, or is not done within a second, the error takes its place. */
static void call_backend(enum backend which, struct search *search,
                         void (*after)(struct search *search, bool well))
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)backend_port[which]),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct call *call = &search->call;
    /* TODO 3: Fill in the call, and put it behind those that are on their way. Begin to connect,
     * but do not wait for it: send_question goes on when the connection is there. A call that
     * cannot even begin has failed. */
    (void)which, (void)after, (void)address, (void)call;
    (void)now, (void)wait_for, (void)send_question;
}

static void answer(struct search *search);

/* The search, its last step first: C wants to know a function before it is named. It begins in
 * start_search; each backend is asked what the one before has answered. */
static void after_stock(struct search *search, bool well)
{
    (void)well;
    answer(search);
}

static void after_query(struct search *search, bool well)
{
    /* TODO 4: Ask the stock backend, or tell the client what went wrong. */
    (void)well, (void)after_stock;
    answer(search);
}

static void after_user(struct search *search, bool well)
{
    /* TODO 5: The same, one step earlier. */
    (void)well, (void)after_query;
    answer(search);
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
    struct search *search = malloc(sizeof *search);
    if (backend_port[USER] == -1 || search == NULL) {
        const char *error = search == NULL ? no_memory : none;
        put(client, error, strlen(error), newline);
        free(search);
        return;
    }
    search->fd = client->fd;
    search->id = client->id;
    search->newline = newline;
    search->line.size = size;
    memcpy(search->line.text, words, size);
    client->searching = true;
    call_backend(USER, search, after_user);
}

/* Answers the next line, if there is one and it is its turn: false if not. */
static bool answer_line(struct client *client)
{
    static const char prefix[] = "search ", too_long[] = "error: line too long";
    size_t size = client->in_end - client->in_start, prefix_size = strlen(prefix);
    if (size == 0 || client->searching || client->gone || OUT_SIZE - client->end < LINE_MOST + 1)
        return false;
    const char *line = client->in + client->in_start, *newline = memchr(line, '\n', size);
    if (newline != NULL)
        size = (size_t)(newline - line);
    if (size > LINE_MOST) {
        put(client, too_long, strlen(too_long), true);
        client->ignored = true;
        client->in_start = client->in_end = 0;
        return true;
    }
    if (newline == NULL && !client->finished) /* its rest is still to come */
        return false;
    client->in_start += size + (newline != NULL);
    if (size >= prefix_size && memcmp(line, prefix, prefix_size) == 0)
        start_search(client, line + prefix_size, size - prefix_size, newline != NULL);
    else
        put(client, line, size, newline != NULL);
    return true;
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

static void client_ready(struct source *source, uint32_t events)
{
    struct client *client = (struct client *)source;
    client->gone = events & EPOLLERR; /* is told also to who wants nothing */
    attend_to(client, events & ~EPOLLOUT);
}

/* The end of every search. */
static void answer(struct search *search)
{
    struct client *client = client_at[search->fd];
    if (client != NULL && client->id == search->id) { /* or else who asked has left */
        client->searching = false;
        put(client, search->line.text, search->line.size, search->newline);
        attend_to(client, false);
    }
    free(search);
}

/* Whose time is up fails. */
static void end_late_calls(void)
{
    /* TODO 6: End the calls whose time is up: "timed out". A thousand may be on their way: which of
     * them need to be looked at? */
}

/* After the batch, when no event of it can mean what is closed and freed here. A callback may begin
 * the next call, and that may be over at once: then it is here as well. */
static void run_callbacks(void)
{
    struct call *call;
    while ((call = TAILQ_FIRST(&over)) != NULL) {
        TAILQ_REMOVE(&over, call, others);
        if (call->fd != -1)
            close(call->fd);
        call->after(call->search, call->well);
    }
}

/* How long the loop may wait, in milliseconds, -1: for ever. Rounded up, or the last of them would
 * be spent in asking again and again. */
static int time_left(void)
{
    /* TODO 7: When is the next call due, and how long is that from now? */
    return -1;
}

static void add_client(int fd)
{
    struct client *client = fd < MOST_DESCRIPTORS ? malloc(sizeof *client) : NULL;
    if (client == NULL) {
        close(fd);
        return;
    }
    client->source.ready = client_ready;
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
        /* TODO 8: Wait until something is ready or a call is late. Each event is for the listener,
         * or for a source, which knows what to do. Then end what is late, and tell who waits for
         * what is over. */
        (void)accept_clients, (void)end_late_calls, (void)time_left;
        pause();
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
    struct epoll_event knocking = {.events = EPOLLIN, .data.ptr = (void *)&listener};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &knocking) == -1)
        die("epoll_ctl");
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    say_listening(listener);
    loop();

    close(poller);
    close(listener);
    close(spare);
    while (!LIST_EMPTY(&clients))
        let_go(LIST_FIRST(&clients));
    while (!TAILQ_EMPTY(&calls)) /* whose search is in flight has left */
        end_call(TAILQ_FIRST(&calls), "failed");
    run_callbacks();
    free_done();
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
