/*
 * Measures running echo servers: the CPU time of each per echo, and its ratio to that of one of
 * them, the base.
 *
 *   load [-r ROUNDS] [-s SECONDS] [-t TIMEOUT] [-b BASE] -c ACTIVE/ALL... NAME:PID:PORT...
 *
 * A scenario is ALL connections to each server, ACTIVE of which always have one message in flight.
 * The servers take turns in short slices; a round is one slice of each server, in random order.
 * Other load on the machine affects all slices of a round alike, so each ratio is taken within a
 * round, and the result is the median of these ratios. The clock is the server's own CPU time, so
 * the time in which it waits does not count.
 *
 * Where the kernel allocates the connections is a matter of chance; it makes a difference of
 * several percent for as long as they last. So there are several sessions, each with new
 * connections, and the spread of their medians shows how reliable a ratio is.
 *
 * Prints JSON. Exit status: 0 measured, 1 a server did not echo, 2 wrong arguments, 3 the machine
 * failed.
 */
#define _GNU_SOURCE /* prlimit */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"

enum {
    MIN_ECHOES = 2000,         /* per slice: several milliseconds of the server's time */
    ECHOES_PER_CONNECTION = 5, /* at least, in each slice: the first ones refill the caches */
    MAX_SESSIONS = 5,
    MAX_SERVERS = 16,
    MAX_SCENARIOS = 16,
    CONNECT_BATCH = 100,
    OTHER_DESCRIPTORS = 64, /* more than a process has open besides its connections */
};

struct connection {
    int fd;
    uint32_t number; /* of the message in flight */
    size_t received; /* bytes of its echo; MESSAGE: no message is in flight */
};

static struct scenario {
    int active, all;
} scenarios[MAX_SCENARIOS];

static struct server {
    const char *name;
    pid_t pid;
    int port;
    clockid_t clock;
    pid_t generator;
    int to_generator;     /* a socket, for commands and results */
    double *microseconds; /* per echo, one for each round */
    double *ratios;
} servers[MAX_SERVERS], *order[MAX_SERVERS]; /* as on the command line, and in random order */

static int server_count, scenario_count;
static int rounds = 60, seconds = 20;
/* In seconds, for a slice of milliseconds, or a second or two for 10,000 clients. */
static int timeout = 30;
static const struct server *base = servers;

/* ---- errors ---------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 2, 3))) static void end(int status, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "\n");
    va_end(values);
    exit(status);
}

__attribute__((noreturn)) static void machine_failed(const char *call)
{
    end(3, "%s: %s", call, strerror(errno));
}

__attribute__((noreturn)) static void server_failed(const struct server *server, const char *how)
{
    end(1, "%s %s", server->name, how);
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        machine_failed("calloc");
    return memory;
}

/* ---- the load generator of one server, a separate process ------------------------------------ */

/* Each server has its own, so that the limit on descriptors applies to the connections to one
 * server, not to all. Only one generator runs at a time. */

static const struct server *server;
static struct connection *connections;
static int connection_count, epoll_fd;

static void compose(char *message, const struct connection *connection, uint32_t number)
{
    compose_line(message, (uint64_t)server->port << 48 ^ (uint64_t)connection->fd << 32 ^ number);
}

static void send_message(struct connection *connection)
{
    char message[MESSAGE];
    connection->number++;
    connection->received = 0;
    compose(message, connection, connection->number);
    /* The first message comes in two pieces: no byte of the second may be echoed before it is sent.
     * Everything sent before has been echoed, so the socket buffer is empty. */
    size_t first = connection->number == 1 ? MESSAGE / 2 : 0;
    if (send(connection->fd, message, first, MSG_NOSIGNAL) != (ssize_t)first ||
        send(connection->fd, message + first, MESSAGE - first, MSG_NOSIGNAL) !=
            (ssize_t)(MESSAGE - first))
        server_failed(server, "does not read what it is sent");
}

__attribute__((noreturn)) static void wrong_echo(const struct connection *connection,
                                                 const char *bytes, size_t n)
{
    char expected[MESSAGE], previous[MESSAGE], other[MESSAGE], all[2 * MESSAGE + 1];
    for (int i = 0; i < connection_count && n >= MESSAGE; i++) {
        compose(other, &connections[i], connections[i].number);
        if (&connections[i] != connection && memcmp(bytes, other, MESSAGE) == 0)
            server_failed(server, "sent an answer to a different client");
    }
    compose(expected, connection, connection->number);
    compose(previous, connection, connection->number - 1);
    memcpy(all, expected, connection->received);
    memcpy(all + connection->received, bytes, n);
    n = receive_rest(connection->fd, all, connection->received + n, MESSAGE);
    server_failed(server, what_is_wrong(expected, MESSAGE, all, n, previous, MESSAGE));
}

/* Returns true when the echo is complete. */
static bool receive_echo(struct connection *connection)
{
    char expected[MESSAGE], received[MESSAGE + 1]; /* one more, to detect extra bytes */
    ssize_t n = recv(connection->fd, received, sizeof received, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0)
        server_failed(server, n == 0 ? "closed a connection" : "reset a connection");
    compose(expected, connection, connection->number);
    if (connection->received + (size_t)n > MESSAGE ||
        memcmp(received, expected + connection->received, (size_t)n) != 0)
        wrong_echo(connection, received, (size_t)n);
    connection->received += (size_t)n;
    return connection->received == MESSAGE;
}

__attribute__((noreturn)) static void no_echo(void)
{
    char text[64];
    for (int i = 0; i < connection_count; i++)
        if (connections[i].received > 0 && connections[i].received < MESSAGE) {
            snprintf(text, sizeof text, "dropped %zu of the %d bytes of an answer",
                     MESSAGE - connections[i].received, MESSAGE);
            server_failed(server, text);
        }
    snprintf(text, sizeof text, "did not echo within %d seconds", timeout);
    server_failed(server, text);
}

/* Has the server echo COUNT messages, on ACTIVE connections, every STEPth from FIRST on. Returns
 * when no message is in flight. */
static void echo(struct connection *first, int active, int step, int count)
{
    int sent = active, received = 0;
    for (int i = 0; i < active; i++)
        send_message(first + (long)i * step);
    while (received < count) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, timeout * 1000);
        if (n == 0)
            no_echo();
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!receive_echo(connection))
                continue;
            received++;
            if (sent < count) {
                send_message(connection);
                sent++;
            }
        }
    }
}

static void connect_one(struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd == -1)
        machine_failed("socket");
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address) == -1) {
        if (errno == ECONNREFUSED)
            server_failed(server, "refuses a connection");
        machine_failed("connect");
    }
    /* So that close sends a reset, and thousands of ports are not left in TIME_WAIT. */
    struct linger no_linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    connection->received = MESSAGE;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) == -1)
        machine_failed("epoll_ctl");
}

/* Waits for an echo on each connection, which shows that the server has accepted it. */
static void connect_all(int all)
{
    connections = allocate((size_t)all, sizeof *connections);
    connection_count = all;
    epoll_fd = epoll_create1(0);
    if (epoll_fd == -1)
        machine_failed("epoll_create1");
    for (int from = 0; from < all; from += CONNECT_BATCH) {
        int count = all - from < CONNECT_BATCH ? all - from : CONNECT_BATCH;
        for (int i = 0; i < count; i++)
            connect_one(&connections[from + i]);
        echo(&connections[from], count, 1, count);
    }
}

static double cpu_time(void)
{
    struct timespec time;
    if (clock_gettime(server->clock, &time) == -1)
        server_failed(server, "has ended");
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* The CPU time of a process includes all its threads, but not its children. */
static void refuse_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", server->pid, server->pid);
    FILE *file = fopen(path, "r");
    bool has_children = file != NULL && fgetc(file) != EOF;
    if (file != NULL)
        fclose(file);
    if (has_children)
        server_failed(server, "serves in child processes, whose CPU time is not measured here");
}

/* Each command is a number of echoes, and its result the CPU time per echo; 0 ends the generator.
 * If the server does not echo in time, SIGALRM does. */
__attribute__((noreturn)) static void generate(const struct scenario *scenario, int commands)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm((unsigned)timeout + 1);
    connect_all(scenario->all);
    refuse_children();
    double cost = 0;
    int count;
    for (;;) {
        alarm(0);
        if (write(commands, &cost, sizeof cost) != sizeof cost ||
            read(commands, &count, sizeof count) != sizeof count)
            exit(3);
        alarm((unsigned)timeout + 1);
        if (count == 0) {
            /* Idle clients must still be served. */
            echo(connections, scenario->all, 1, scenario->all);
            exit(0);
        }
        double before = cpu_time();
        echo(connections, scenario->active, scenario->all / scenario->active, count);
        cost = (cpu_time() - before) / count;
    }
}

/* ---- the rounds ------------------------------------------------------------------------------ */

/* Returns its exit status; unless that is 0, it has printed the reason. */
static int reap_generator(const struct server *server)
{
    int status;
    if (waitpid(server->generator, &status, 0) == -1)
        machine_failed("waitpid");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        end(1, "%s did not echo within %d seconds", server->name, timeout);
    if (!WIFEXITED(status))
        end(3, "a load generator was killed");
    return WEXITSTATUS(status);
}

__attribute__((noreturn)) static void exit_like_generator(const struct server *server)
{
    int status = reap_generator(server);
    exit(status != 0 ? status : 3);
}

static void command(const struct server *server, int count)
{
    if (send(server->to_generator, &count, sizeof count, MSG_NOSIGNAL) != sizeof count)
        exit_like_generator(server);
}

static double result_of(const struct server *server)
{
    double cost;
    if (read(server->to_generator, &cost, sizeof cost) != sizeof cost)
        exit_like_generator(server);
    return cost;
}

static double slice(const struct server *server, int count)
{
    command(server, count);
    return result_of(server);
}

static void start_generator(struct server *its_server, const struct scenario *scenario)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        machine_failed("socketpair");
    fflush(stdout); /* or the child would print it again */
    its_server->generator = fork();
    if (its_server->generator == -1)
        machine_failed("fork");
    if (its_server->generator == 0) {
        server = its_server;
        close(ends[0]);
        generate(scenario, ends[1]);
    }
    close(ends[1]);
    its_server->to_generator = ends[0];
    result_of(its_server); /* all clients are connected */
}

static void end_generator(const struct server *server)
{
    command(server, 0);
    int status = reap_generator(server);
    if (status != 0)
        exit(status);
    close(server->to_generator);
}

static void shuffle(void)
{
    for (int i = server_count - 1; i > 0; i--) {
        int j = rand() % (i + 1);
        struct server *swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* Runs the rounds FROM to TO with new connections, or fewer if the time is up. Returns the number
 * of the next round. */
static int run_session(const struct scenario *scenario, int from, int to, time_t stop)
{
    int least = scenario->active * ECHOES_PER_CONNECTION;
    int count = least > MIN_ECHOES ? least : MIN_ECHOES;
    shuffle();
    for (int i = 0; i < server_count; i++) {
        start_generator(order[i], scenario);
        slice(order[i], count); /* to warm up */
    }
    int round = from;
    do {
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\r\033[K%d/%d: round %d of %d ", scenario->active, scenario->all,
                    round + 1, rounds);
        shuffle();
        for (int i = 0; i < server_count; i++)
            order[i]->microseconds[round] = slice(order[i], count);
    } while (++round < to && time(NULL) < stop);
    for (int i = 0; i < server_count; i++)
        end_generator(order[i]);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return round;
}

/* ---- results --------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

/* Sorts the values, and returns their median. */
static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* Session I consists of the rounds from first[i] up to, but not including, first[i + 1]. */
static void print_server(const struct server *server, const int *first, int sessions)
{
    double medians[MAX_SESSIONS];
    for (int i = 0; i < sessions; i++)
        medians[i] = median(server->ratios + first[i], first[i + 1] - first[i]);
    qsort(medians, (size_t)sessions, sizeof *medians, compare);
    printf("{\"name\": \"%s\", \"microseconds\": %.4f, \"ratio\": %.4f, \"low\": %.4f, "
           "\"high\": %.4f}",
           server->name, median(server->microseconds, first[sessions]),
           median(server->ratios, first[sessions]), medians[0], medians[sessions - 1]);
}

/* Returns how many connections to each server the limits on descriptors allow. */
static int max_connections(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        machine_failed("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    rlim_t least = limit.rlim_cur;
    for (int i = 0; i < server_count; i++)
        if (prlimit(servers[i].pid, RLIMIT_NOFILE, NULL, &limit) == 0 && limit.rlim_cur < least)
            least = limit.rlim_cur;
    if (least > INT32_MAX)
        return INT32_MAX;
    return least > OTHER_DESCRIPTORS ? (int)least - OTHER_DESCRIPTORS : 1;
}

static void run(const struct scenario *asked)
{
    struct scenario scenario = *asked;
    int limit = max_connections();
    if (scenario.all > limit) {
        scenario.all = limit;
        scenario.active = scenario.active < limit ? scenario.active : limit;
        fprintf(stderr,
                "load: %d connections to each server, not %d, because of the descriptor limit\n",
                limit, asked->all);
    }
    int first[MAX_SESSIONS + 1] = {0}, sessions = 0;
    int rounds_per_session = (rounds + MAX_SESSIONS - 1) / MAX_SESSIONS;
    time_t stop = time(NULL) + seconds;
    do {
        int from = first[sessions], to = from + rounds_per_session;
        to = to < rounds ? to : rounds;
        first[++sessions] = run_session(&scenario, from, to, stop);
    } while (first[sessions] < rounds && time(NULL) < stop);
    for (int i = 0; i < server_count; i++)
        for (int round = 0; round < first[sessions]; round++)
            servers[i].ratios[round] = servers[i].microseconds[round] / base->microseconds[round];
    printf("{\"active\": %d, \"connections\": %d, \"asked\": \"%d/%d\", \"rounds\": %d, "
           "\"sessions\": %d, \"servers\": [",
           scenario.active, scenario.all, asked->active, asked->all, first[sessions], sessions);
    for (int i = 0; i < server_count; i++) {
        printf(i > 0 ? ", " : "");
        print_server(&servers[i], first, sessions);
    }
    printf("]}");
}

/* ---- the command line ------------------------------------------------------------------------ */

static int number(const char *text, const char *what)
{
    char *rest;
    errno = 0;
    long value = strtol(text, &rest, 10);
    if (*rest != '\0' || rest == text || errno != 0 || value < 1 || value > INT32_MAX)
        end(2, "%s must be a number of at least 1, not '%s'", what, text);
    return (int)value;
}

static void add_scenario(char *text)
{
    char *all = strchr(text, '/');
    if (all != NULL)
        *all++ = '\0';
    if (scenario_count == MAX_SCENARIOS)
        end(2, "too many scenarios: the limit is %d", MAX_SCENARIOS);
    struct scenario *scenario = &scenarios[scenario_count++];
    scenario->active = number(text, "ACTIVE");
    scenario->all = all != NULL ? number(all, "ALL") : scenario->active;
    if (scenario->active > scenario->all)
        end(2, "%d connections, but %d active ones", scenario->all, scenario->active);
}

static void add_server(char *text)
{
    if (server_count == MAX_SERVERS)
        end(2, "too many servers: the limit is %d", MAX_SERVERS);
    struct server *server = order[server_count] = &servers[server_count];
    server_count++;
    char *pid = strchr(text, ':'), *port = pid != NULL ? strchr(pid + 1, ':') : NULL;
    if (port == NULL)
        end(2, "a server is NAME:PID:PORT, not '%s'", text);
    *pid++ = *port++ = '\0';
    server->name = text;
    server->pid = number(pid, "PID");
    server->port = number(port, "PORT");
    if (clock_getcpuclockid(server->pid, &server->clock) != 0)
        server_failed(server, "has ended");
    server->microseconds = allocate((size_t)rounds, sizeof *server->microseconds);
    server->ratios = allocate((size_t)rounds, sizeof *server->ratios);
}

int main(int argc, char **argv)
{
    const char *base_name = NULL;
    int option;
    while ((option = getopt(argc, argv, "r:s:b:c:t:")) != -1) {
        switch (option) {
        case 'r':
            rounds = number(optarg, "ROUNDS");
            break;
        case 's':
            seconds = number(optarg, "SECONDS");
            break;
        case 't':
            timeout = number(optarg, "TIMEOUT");
            break;
        case 'b':
            base_name = optarg;
            break;
        case 'c':
            add_scenario(optarg);
            break;
        default:
            return 2;
        }
    }
    for (; optind < argc; optind++) {
        add_server(argv[optind]);
        if (base_name != NULL && strcmp(servers[server_count - 1].name, base_name) == 0)
            base = &servers[server_count - 1];
    }
    if (server_count == 0 || scenario_count == 0)
        end(2, "at least one server and one scenario are required");
    printf("{\"base\": \"%s\", \"scenarios\": [", base->name);
    for (int i = 0; i < scenario_count; i++) {
        printf(i > 0 ? ", " : "");
        run(&scenarios[i]);
    }
    printf("]}\n");
    return 0;
}
