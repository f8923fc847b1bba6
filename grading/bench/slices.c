/*
 * The load generator of one server, for chart.py: it reads commands, and prints a line for each.
 *
 *   slices PORT TIMEOUT SUFFIX
 *
 *   connect N SECONDS     "connected K HOW": there are K of N clients, all answered. HOW: all,
 * closed (by the server), silent (no answer within SECONDS), machine (no socket). pids PID... whose
 * CPU time counts slice ACTIVE SECONDS RATE ACTIVE clients always have a request in flight (RATE
 * 0), or send RATE requests a second together. "slice REQUESTS SECONDS CPU OWN-CPU P50" latencies
 * "latencies COUNT P50 P99 P99.9 UNANSWERED", of all slices since the last time check each client
 * is still served: "checked"
 *
 * A server that answers wrongly: "wrong REASON", and the program ends. All times are in
 * microseconds.
 */
#define _GNU_SOURCE /* epoll_pwait2 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"

enum {
    CONNECT_BATCH = 100,
    MAX_EVENTS = 256,
    MAX_PIDS = 65536,
    MAX_CLIENTS = 65536,
    HIGH_BITS = 32, /* of a latency in nanoseconds: up to 4 seconds, more counts as that */
    SUB_BUCKETS = 64,
    BUCKETS = (HIGH_BITS + 1) * SUB_BUCKETS,
};

struct client {
    int fd;
    uint32_t number; /* of the last request */
    bool busy;       /* a request is in flight */
    size_t received; /* bytes of its answer */
    int64_t due;     /* when the request was to be sent: its latency counts from then */
    int waiting;     /* requests that are due, but wait until this client is free */
};

static const char *suffix; /* what a search adds to the words; "": an echo */
static uint64_t port;
static int64_t patience;
static struct client clients[MAX_CLIENTS];
static int client_count, epoll_fd, busy_count;
static clockid_t clocks[MAX_PIDS];
static int clock_count;
static uint64_t histogram[BUCKETS], slice_histogram[BUCKETS];

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

__attribute__((noreturn)) static void wrong(const char *reason)
{
    printf("wrong %s\n", reason);
    exit(1);
}

/* ---- latencies ------------------------------------------------------------------------------- */

/* Buckets of the same relative width, less than 2 %. */
static int bucket_of(int64_t latency)
{
    uint64_t value = latency < 0 ? 0 : (uint64_t)latency;
    if (value < SUB_BUCKETS)
        return (int)value;
    int shift = 63 - __builtin_clzll(value) - 6;
    int bucket = (shift + 1) * SUB_BUCKETS + (int)(value >> shift) - SUB_BUCKETS;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static double value_of(int bucket)
{
    if (bucket < SUB_BUCKETS)
        return bucket;
    int shift = bucket / SUB_BUCKETS - 1;
    return ((double)(bucket % SUB_BUCKETS + SUB_BUCKETS) + 0.5) * (double)(1ULL << shift);
}

static void add_latency(int64_t latency)
{
    histogram[bucket_of(latency)]++;
    slice_histogram[bucket_of(latency)]++;
}

static uint64_t total(const uint64_t *counts)
{
    uint64_t sum = 0;
    for (int i = 0; i < BUCKETS; i++)
        sum += counts[i];
    return sum;
}

static double percentile(const uint64_t *counts, double part)
{
    uint64_t all = total(counts), sum = 0;
    for (int i = 0; i < BUCKETS; i++) {
        sum += counts[i];
        if (sum > 0 && (double)sum >= part * (double)all)
            return value_of(i) / 1000;
    }
    return 0;
}

/* ---- requests and answers -------------------------------------------------------------------- */

static size_t request(char *text, const struct client *client, uint32_t number)
{
    size_t size = *suffix == '\0' ? 0 : (size_t)sprintf(text, "search ");
    compose_line(text + size, port << 48 ^ (uint64_t)client->fd << 32 ^ number);
    return size + MESSAGE;
}

static size_t expected_answer(char *text, const struct client *client, uint32_t number)
{
    char line[MAX_ANSWER];
    size_t size = request(line, client, number);
    if (*suffix == '\0') {
        memcpy(text, line, size);
        return size;
    }
    return (size_t)snprintf(text, MAX_ANSWER, "%.*s %s\n", MESSAGE - 1, line + strlen("search "),
                            suffix);
}

static void send_all(struct client *client, const char *text, size_t size)
{
    if (send(client->fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        wrong(errno == EAGAIN ? "does not read what it is sent" : "closed a connection");
}

static void send_request(struct client *client, int64_t due)
{
    char text[MAX_ANSWER];
    client->number++;
    client->received = 0;
    client->due = due;
    client->busy = true;
    busy_count++;
    size_t size = request(text, client, client->number);
    send_all(client, text, size);
}

__attribute__((noreturn)) static void wrong_answer(const struct client *client, const char *bytes,
                                                   size_t n)
{
    char expected[MAX_ANSWER], previous[MAX_ANSWER], all[2 * MAX_ANSWER];
    size_t size = expected_answer(expected, client, client->number);
    size_t previous_size = expected_answer(previous, client, client->number - 1);
    size_t before = client->received;
    memcpy(all, expected, before);
    memcpy(all + before, bytes, n);
    for (int i = 0; i < client_count; i++) {
        char other[MAX_ANSWER];
        size_t other_size = expected_answer(other, &clients[i], clients[i].number);
        if (&clients[i] != client && n >= other_size && memcmp(bytes, other, other_size) == 0)
            wrong("sent an answer to a different client");
    }
    n = receive_rest(client->fd, all, before + n, size);
    wrong(what_is_wrong(expected, size, all, n, previous, previous_size));
}

enum outcome { INCOMPLETE, COMPLETE, CLOSED };

static enum outcome receive_answer(struct client *client)
{
    char expected[MAX_ANSWER], bytes[MAX_ANSWER];
    size_t size = expected_answer(expected, client, client->number);
    ssize_t n = recv(client->fd, bytes, sizeof bytes, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return INCOMPLETE;
    if (n <= 0)
        return CLOSED;
    if (!client->busy || client->received + (size_t)n > size ||
        memcmp(bytes, expected + client->received, (size_t)n) != 0)
        wrong_answer(client, bytes, (size_t)n);
    client->received += (size_t)n;
    if (client->received < size)
        return INCOMPLETE;
    client->busy = false;
    busy_count--;
    return COMPLETE;
}

/* ---- connecting ------------------------------------------------------------------------------ */

static bool connect_one(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (client->fd == -1)
        return false;
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) == -1 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == -1) {
        close(client->fd);
        return false;
    }
    /* So that close sends a reset, and thousands of ports are not left in TIME_WAIT. */
    struct linger no_linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    fcntl(client->fd, F_SETFL, O_NONBLOCK);
    return true;
}

/* The first line comes in two pieces: no byte of the second may be answered before it is sent. */
static void send_in_pieces(struct client *client)
{
    char text[MAX_ANSWER];
    client->number = 1;
    client->busy = true;
    busy_count++;
    size_t size = request(text, client, 1);
    if (send(client->fd, text, size / 2, MSG_NOSIGNAL) == (ssize_t)(size / 2) &&
        send(client->fd, text + size / 2, size - size / 2, MSG_NOSIGNAL) == -1)
        client->received = 0; /* closed: recv will find out */
}

static void discard(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    busy_count -= client->busy;
    client->busy = false;
}

/* Waits until all clients from FIRST on have been answered or closed. Returns why one was not
 * answered: those are discarded. */
static const char *wait_for_answers(int first)
{
    const char *how = "all";
    while (busy_count > 0) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, (int)(patience / 1000000));
        if (n == 0) {
            how = strcmp(how, "all") == 0 ? "silent" : how;
            break;
        }
        for (int i = 0; i < n; i++) {
            struct client *client = events[i].data.ptr;
            if (receive_answer(client) == CLOSED) {
                if (client < &clients[first])
                    wrong("closed the connection of a client that it had served");
                how = "closed";
                discard(client);
            }
        }
    }
    for (int i = first; i < client_count; i++)
        if (clients[i].fd != -1 && clients[i].busy) {
            char expected[MAX_ANSWER], text[128];
            size_t size = expected_answer(expected, &clients[i], 1);
            if (clients[i].received > 0) {
                snprintf(text, sizeof text, "dropped %zu of the %zu bytes of an answer",
                         size - clients[i].received, size);
                wrong(text);
            }
            discard(&clients[i]);
        }
    return how;
}

/* Moves the clients that were discarded out of the array, which their epoll events point into. */
static void compact(int first)
{
    int kept = first;
    for (int i = first; i < client_count; i++) {
        if (clients[i].fd == -1)
            continue;
        clients[kept] = clients[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[kept]};
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, clients[kept].fd, &event);
        kept++;
    }
    client_count = kept;
}

static void connect_all(int count, double seconds)
{
    const char *how = "all";
    int64_t usual = patience;
    patience = (int64_t)(seconds * 1e9);
    count = count < MAX_CLIENTS ? count : MAX_CLIENTS;
    while (client_count < count && strcmp(how, "all") == 0) {
        int first = client_count;
        while (client_count < count && client_count < first + CONNECT_BATCH) {
            if (!connect_one(&clients[client_count])) {
                how = errno == ECONNREFUSED || errno == ECONNRESET ? "closed" : "machine";
                break;
            }
            client_count++;
        }
        for (int i = first; i < client_count; i++)
            send_in_pieces(&clients[i]);
        const char *end = wait_for_answers(first);
        how = strcmp(end, "all") == 0 ? how : end;
        compact(first);
    }
    patience = usual;
    printf("connected %d %s\n", client_count, how);
}

/* ---- slices ---------------------------------------------------------------------------------- */

static double cpu_time(void)
{
    double sum = 0;
    for (int i = 0; i < clock_count; i++) {
        struct timespec time;
        if (clock_gettime(clocks[i], &time) == -1)
            wrong("has ended");
        sum += (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
    }
    return sum;
}

static double own_cpu_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static struct schedule {
    int active;
    double rate; /* requests a second; 0: whenever a client is free */
    int64_t start, stop;
    int64_t next, count; /* requests: the next one, and how many */
    int64_t answers;
} schedule;

static struct client *client_at(int64_t i)
{
    int step = client_count / schedule.active;
    return &clients[i % schedule.active * (step > 0 ? step : 1)];
}

static int64_t due_time(int64_t i)
{
    return schedule.start + (int64_t)((double)i / schedule.rate * 1e9);
}

/* A client has one request in flight. If its next one is due before the answer is there, it is sent
 * later, but its latency counts from when it was due: a slow answer hides no others. */
static void send_due_requests(void)
{
    while (schedule.next < schedule.count && due_time(schedule.next) <= now()) {
        struct client *client = client_at(schedule.next);
        if (client->busy)
            client->waiting++;
        else
            send_request(client, due_time(schedule.next));
        schedule.next++;
    }
}

static void send_next_request(struct client *client)
{
    if (schedule.rate > 0) {
        if (client->waiting > 0) {
            client->waiting--;
            send_request(client, client->due + (int64_t)(schedule.active / schedule.rate * 1e9));
        }
    } else if (now() < schedule.stop) {
        send_request(client, now());
    }
}

static void handle_events(int64_t until)
{
    struct epoll_event events[MAX_EVENTS];
    int64_t wait = until - now();
    struct timespec timeout = {.tv_sec = wait > 0 ? wait / 1000000000 : 0,
                               .tv_nsec = wait > 0 ? wait % 1000000000 : 0};
    int n = epoll_pwait2(epoll_fd, events, MAX_EVENTS, &timeout, NULL);
    for (int i = 0; i < n; i++) {
        struct client *client = events[i].data.ptr;
        enum outcome outcome = receive_answer(client);
        if (outcome == CLOSED)
            wrong("closed a connection");
        if (outcome == INCOMPLETE)
            continue;
        add_latency(now() - client->due);
        schedule.answers++;
        send_next_request(client);
    }
}

/* Requests that are not answered count with the time that they have waited so far. */
static void add_unanswered(void)
{
    for (int i = 0; i < client_count; i++) {
        struct client *client = &clients[i];
        for (int k = 1; k <= client->waiting; k++)
            add_latency(now() - client->due - (int64_t)(k * schedule.active / schedule.rate * 1e9));
        if (client->waiting > 0 && client->busy)
            add_latency(now() - client->due);
        client->waiting = 0;
    }
}

/* An answer that has stopped in the middle, or that is missing while the server is asleep. */
static void expect_answers(int64_t until)
{
    while (busy_count > 0 && now() < until)
        handle_events(until);
    if (busy_count == 0 || *suffix != '\0')
        return;
    for (int i = 0; i < client_count; i++)
        if (clients[i].busy) {
            char text[128];
            snprintf(text, sizeof text, "dropped %zu of the %d bytes of an answer",
                     MESSAGE - clients[i].received, MESSAGE);
            wrong(text);
        }
}

/* Searches of the last slice that have been answered since then. */
static void receive_late_answers(void)
{
    struct epoll_event events[MAX_EVENTS];
    int n;
    while ((n = epoll_wait(epoll_fd, events, MAX_EVENTS, 0)) > 0)
        for (int i = 0; i < n; i++)
            if (receive_answer(events[i].data.ptr) == CLOSED)
                wrong("closed a connection");
}

static void run_slice(int active, double seconds, double rate)
{
    receive_late_answers();
    memset(slice_histogram, 0, sizeof slice_histogram);
    double cpu = cpu_time(), own = own_cpu_time();
    int64_t start = now(), length = (int64_t)(seconds * 1e9);
    schedule = (struct schedule){.active = active,
                                 .rate = rate,
                                 .start = start,
                                 .stop = start + length,
                                 .count = (int64_t)(rate * seconds)};
    if (rate == 0)
        for (int i = 0; i < active; i++)
            if (!client_at(i)->busy)
                send_request(client_at(i), now());
    /* Clients that are behind with a rate get as much time again, and no more. */
    int64_t latest = start + (rate > 0 ? 2 * length : length);
    while (now() < latest && (rate == 0 || schedule.answers < schedule.count)) {
        send_due_requests();
        int64_t next = schedule.next < schedule.count ? due_time(schedule.next) : latest;
        handle_events(next < latest ? next : latest);
    }
    int64_t measured = now();
    if (rate > 0)
        add_unanswered();
    /* Lab 6 may need minutes for all the searches in flight: what is left stays in flight. */
    int64_t more = *suffix == '\0' ? patience : length > 1000000000 ? length : 1000000000;
    expect_answers(now() + more);
    measured = rate > 0 ? measured : now();
    printf("slice %lld %.0f %.1f %.1f %.1f\n", (long long)schedule.answers,
           (double)(measured - start) / 1e3, cpu_time() - cpu, own_cpu_time() - own,
           percentile(slice_histogram, 0.5));
}

static void print_latencies(void)
{
    int unanswered = 0;
    for (int i = 0; i < client_count; i++)
        if (clients[i].busy) {
            unanswered++;
            add_latency(now() - clients[i].due);
        }
    printf("latencies %llu %.1f %.1f %.1f %d\n", (unsigned long long)total(histogram),
           percentile(histogram, 0.5), percentile(histogram, 0.99), percentile(histogram, 0.999),
           unanswered);
    memset(histogram, 0, sizeof histogram);
}

static void check_all(void)
{
    schedule = (struct schedule){.active = client_count};
    for (int i = 0; i < client_count; i++)
        if (!clients[i].busy)
            send_request(&clients[i], now());
    expect_answers(now() + patience);
    printf("checked\n");
}

/* ---- commands -------------------------------------------------------------------------------- */

static void read_pids(char *text)
{
    clock_count = 0;
    for (char *word = strtok(text, " \n"); word != NULL; word = strtok(NULL, " \n"))
        if (clock_count < MAX_PIDS && clock_getcpuclockid(atoi(word), &clocks[clock_count]) == 0)
            clock_count++;
    printf("pids %d\n", clock_count);
}

static void run_command(char *line)
{
    int count, active;
    double seconds, rate;
    if (sscanf(line, "connect %d %lf", &count, &seconds) == 2)
        connect_all(count, seconds);
    else if (strncmp(line, "pids ", 5) == 0)
        read_pids(line + 5);
    else if (sscanf(line, "slice %d %lf %lf", &active, &seconds, &rate) == 3)
        run_slice(active, seconds, rate);
    else if (strcmp(line, "latencies\n") == 0)
        print_latencies();
    else if (strcmp(line, "check\n") == 0)
        check_all();
    else
        wrong("the load generator does not know this command");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: slices PORT TIMEOUT SUFFIX\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    port = (uint64_t)atoi(argv[1]);
    patience = (int64_t)(atof(argv[2]) * 1e9);
    suffix = argv[3];
    epoll_fd = epoll_create1(0);
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0)
        run_command(line);
    free(line);
    return 0;
}
