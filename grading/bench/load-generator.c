/*
 * Measures echo servers that already run: the CPU time of each per echo, and its ratio to that of
 * one of them, the base.
 *
 *   load [-r ROUNDS] [-s SECONDS] [-b BASE] -c ACTIVE/ALL... NAME:PID:PORT...
 *
 * A scenario: ALL connections to each server, ACTIVE of them with always one message in flight.
 * The servers take turns in short slices; a round is one slice of each, in an order that chance
 * decides. What else the machine does meets all slices of a round alike, so each ratio is taken
 * within a round, and what is told is the median of these ratios. The clock is the server's own CPU
 * time: time that it waits or stands by does not count.
 *
 * Where in memory the connections come to lie is luck, worth some percent, and stays for as long as
 * they last. So there are several sittings, each with new connections. How far their medians lie
 * apart says how far a ratio is to be trusted.
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
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE = 64,
    ECHOES = 2000, /* in a slice at least: several milliseconds of the server's time */
    FOR_EACH = 5,  /* and of each active connection: what other slices took out of the
                    * processor's caches is to be back soon */
    SITTINGS = 5,
    PATIENCE = 30, /* seconds for what takes some milliseconds, or a second or two for 10,000 */
    MOST_SERVERS = 16,
    MOST_SCENARIOS = 16,
    KNOCK_AT_ONCE = 100,
    OWN_DESCRIPTORS = 64, /* what a process has open besides its connections, generously */
};

struct connection {
    int fd;
    uint32_t number; /* of the message in flight */
    size_t heard;    /* bytes of it that are back; MESSAGE: none is in flight */
};

static struct scenario {
    int active, all;
} scenarios[MOST_SCENARIOS];

static struct server {
    const char *name;
    pid_t pid;
    int port;
    clockid_t clock;
    pid_t generator;
    int to_generator;     /* commands there, results back */
    double *microseconds; /* per echo, one for each round */
    double *ratios;
} servers[MOST_SERVERS], *order[MOST_SERVERS]; /* in order of the command line, and of chance */

static int server_count, scenario_count;
static int rounds = 60, seconds = 20;
static const struct server *base = servers;

/* ---- ends ------------------------------------------------------------------------------------ */

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

/* ---- the generator of one server: a process of its own --------------------------------------- */

/* So that the limit on descriptors is met by the connections to one server, and not to all. Only
 * one generator works at a time. */

static const struct server *server;
static struct connection *connections;
static int poller;

/* A line that no other connection says, nor this one at another time: what is mixed up, late or
 * torn is not taken for right. The newline is there because labs 6 to 8 answer lines. */
static void compose(char *message, const struct connection *connection)
{
    uint64_t x = (uint64_t)server->port << 48 ^ (uint64_t)connection->fd << 32 ^ connection->number;
    for (int i = 0; i < MESSAGE; i++) {
        if (i % 8 == 0) { /* a step of splitmix64 */
            x += 0x9e3779b97f4a7c15;
            x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
            x = (x ^ x >> 27) * 0x94d049bb133111eb;
        }
        message[i] = (char)('a' + (x >> i % 8 * 8 & 15));
    }
    message[MESSAGE - 1] = '\n';
}

static void ask(struct connection *connection)
{
    char message[MESSAGE];
    connection->number++;
    connection->heard = 0;
    compose(message, connection);
    /* All that was said before is back, so there is room in the socket. */
    if (send(connection->fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message)
        server_failed(server, "does not take what it is sent");
}

/* True when the echo is complete. */
static bool hear(struct connection *connection)
{
    char expected[MESSAGE], received[MESSAGE + 1]; /* one more, so that what is too much shows */
    ssize_t n = recv(connection->fd, received, sizeof received - connection->heard, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n <= 0)
        server_failed(server, n == 0 ? "closed a connection" : "reset a connection");
    compose(expected, connection);
    if (connection->heard + (size_t)n > MESSAGE ||
        memcmp(received, expected + connection->heard, (size_t)n) != 0)
        server_failed(server, "sent back other bytes than it was sent");
    connection->heard += (size_t)n;
    return connection->heard == MESSAGE;
}

/* Has the server echo COUNT messages, on ACTIVE connections that stand STEP apart. At the end
 * nothing is in flight. */
static void echo(struct connection *first, int active, int step, int count)
{
    int asked = active, heard = 0;
    for (int i = 0; i < active; i++)
        ask(first + (long)i * step);
    while (heard < count) {
        struct epoll_event events[256];
        int n = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < n; i++) {
            struct connection *connection = events[i].data.ptr;
            if (!hear(connection))
                continue;
            heard++;
            if (asked < count) {
                ask(connection);
                asked++;
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
    /* Closing is a reset then, which leaves no thousands of ports in TIME_WAIT. */
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    connection->heard = MESSAGE;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, connection->fd, &event) == -1)
        machine_failed("epoll_ctl");
}

/* With an echo on each connection: one that the server has not accepted cannot give that. */
static void connect_all(int all)
{
    connections = allocate((size_t)all, sizeof *connections);
    poller = epoll_create1(0);
    if (poller == -1)
        machine_failed("epoll_create1");
    for (int from = 0; from < all; from += KNOCK_AT_ONCE) {
        int count = all - from < KNOCK_AT_ONCE ? all - from : KNOCK_AT_ONCE;
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

/* The CPU time of a process is that of all its threads, but not that of its children. */
static void refuse_children(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", server->pid, server->pid);
    FILE *file = fopen(path, "r");
    bool some = file != NULL && fgetc(file) != EOF;
    if (file != NULL)
        fclose(file);
    if (some)
        server_failed(server, "serves in child processes, whose CPU time is not measured here");
}

/* Each command is a number of echoes, answered with the CPU time that one cost. 0: the end. A
 * server that does not do its part brings SIGALRM. */
__attribute__((noreturn)) static void generate(const struct scenario *scenario, int commands)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(PATIENCE);
    connect_all(scenario->all);
    refuse_children();
    double cost = 0;
    int count;
    for (;;) {
        alarm(0);
        if (write(commands, &cost, sizeof cost) != sizeof cost ||
            read(commands, &count, sizeof count) != sizeof count)
            exit(3);
        alarm(PATIENCE);
        if (count == 0) {
            echo(connections, scenario->all, 1, scenario->all); /* the idle are still served */
            exit(0);
        }
        double before = cpu_time();
        echo(connections, scenario->active, scenario->all / scenario->active, count);
        cost = (cpu_time() - before) / count;
    }
}

/* ---- the rounds ------------------------------------------------------------------------------ */

/* Returns its exit status; when that is not 0, it has said why. */
static int reap_generator(const struct server *server)
{
    int status;
    if (waitpid(server->generator, &status, 0) == -1)
        machine_failed("waitpid");
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        end(1, "%s left clients without an echo for %d seconds", server->name, PATIENCE);
    if (!WIFEXITED(status))
        end(3, "a generator was killed");
    return WEXITSTATUS(status);
}

__attribute__((noreturn)) static void end_like_generator(const struct server *server)
{
    int status = reap_generator(server);
    exit(status != 0 ? status : 3);
}

static void command(const struct server *server, int count)
{
    if (send(server->to_generator, &count, sizeof count, MSG_NOSIGNAL) != sizeof count)
        end_like_generator(server);
}

static double result_of(const struct server *server)
{
    double cost;
    if (read(server->to_generator, &cost, sizeof cost) != sizeof cost)
        end_like_generator(server);
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
    fflush(stdout); /* or the child has a copy to print */
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
    result_of(its_server); /* all is connected */
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

/* The rounds FROM to TO, with new connections; fewer when the time is over. Returns how far it
 * came. */
static int sit(const struct scenario *scenario, int from, int to, time_t stop)
{
    int least = scenario->active * FOR_EACH, count = least > ECHOES ? least : ECHOES;
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

/* ---- telling --------------------------------------------------------------------------------- */

static int by_size(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

/* Leaves the values sorted. */
static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_size);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

/* Sitting I has the rounds first[i] to first[i + 1]. */
static void tell(const struct server *server, const int *first, int sittings)
{
    double medians[SITTINGS];
    for (int i = 0; i < sittings; i++)
        medians[i] = median(server->ratios + first[i], first[i + 1] - first[i]);
    qsort(medians, (size_t)sittings, sizeof *medians, by_size);
    printf("{\"name\": \"%s\", \"microseconds\": %.4f, \"ratio\": %.4f, \"low\": %.4f, "
           "\"high\": %.4f}",
           server->name, median(server->microseconds, first[sittings]),
           median(server->ratios, first[sittings]), medians[0], medians[sittings - 1]);
}

/* How many connections the limits on descriptors allow to each server. */
static int room_for_connections(void)
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
    return least > OWN_DESCRIPTORS ? (int)least - OWN_DESCRIPTORS : 1;
}

static void run(const struct scenario *asked)
{
    struct scenario scenario = *asked;
    int room = room_for_connections();
    if (scenario.all > room) {
        scenario.all = room;
        scenario.active = scenario.active < room ? scenario.active : room;
        fprintf(stderr, "load: %d connections to each server, not %d: the limit on descriptors\n",
                room, asked->all);
    }
    int first[SITTINGS + 1] = {0}, sittings = 0, each = (rounds + SITTINGS - 1) / SITTINGS;
    time_t stop = time(NULL) + seconds;
    do {
        int from = first[sittings], to = from + each < rounds ? from + each : rounds;
        first[++sittings] = sit(&scenario, from, to, stop);
    } while (first[sittings] < rounds && time(NULL) < stop);
    for (int i = 0; i < server_count; i++)
        for (int round = 0; round < first[sittings]; round++)
            servers[i].ratios[round] = servers[i].microseconds[round] / base->microseconds[round];
    printf("{\"active\": %d, \"connections\": %d, \"asked\": \"%d/%d\", \"rounds\": %d, "
           "\"sittings\": %d, \"servers\": [",
           scenario.active, scenario.all, asked->active, asked->all, first[sittings], sittings);
    for (int i = 0; i < server_count; i++) {
        printf(i > 0 ? ", " : "");
        tell(&servers[i], first, sittings);
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
        end(2, "%s is a number from 1 on, not '%s'", what, text);
    return (int)value;
}

static void add_scenario(char *text)
{
    char *all = strchr(text, '/');
    if (all != NULL)
        *all++ = '\0';
    if (scenario_count == MOST_SCENARIOS)
        end(2, "%d scenarios at most", MOST_SCENARIOS);
    struct scenario *scenario = &scenarios[scenario_count++];
    scenario->active = number(text, "ACTIVE");
    scenario->all = all != NULL ? number(all, "ALL") : scenario->active;
    if (scenario->active > scenario->all)
        end(2, "%d connections, and %d of them active?", scenario->all, scenario->active);
}

static void add_server(char *text)
{
    if (server_count == MOST_SERVERS)
        end(2, "%d servers at most", MOST_SERVERS);
    struct server *server = order[server_count] = &servers[server_count];
    server_count++;
    char *pid = strchr(text, ':'), *port = pid != NULL ? strchr(pid + 1, ':') : NULL;
    if (port == NULL)
        end(2, "NAME:PID:PORT is wanted, not '%s'", text);
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
    while ((option = getopt(argc, argv, "r:s:b:c:")) != -1) {
        switch (option) {
        case 'r':
            rounds = number(optarg, "ROUNDS");
            break;
        case 's':
            seconds = number(optarg, "SECONDS");
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
        end(2, "which servers, and which scenarios?");
    printf("{\"base\": \"%s\", \"scenarios\": [", base->name);
    for (int i = 0; i < scenario_count; i++) {
        printf(i > 0 ? ", " : "");
        run(&scenarios[i]);
    }
    printf("]}\n");
    return 0;
}
