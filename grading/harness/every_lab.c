/*
 * The checks that every lab has. A lab lists them in its test.c with its own points, hints and
 * order; here is what they ask. Where a lab's contract is different it writes its own.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* More CPU time than any echo costs, in nanoseconds: where a check has not measured one. */
enum { ECHO = 200 * 1000 };

bool one_at_a_time, trusts_short_counts;

/* A newcomer says a line and hears it: the server still serves. */
static void someone_else_is_served(struct server *s)
{
    wait_asleep(s); /* a server that is about to die of the last client must not serve the next */
    struct peer *p = connect_to(s);
    say(p, "still there?\n");
    hear(p, "still there?\n");
    hang_up(p);
}

uint64_t cost_of_echo(struct server *s, struct peer *p)
{
    enum { ECHOES = 50 };
    uint64_t before = cpu_time(s);
    say_and_hear(p, "hello\n", ECHOES);
    uint64_t echo = (cpu_time(s) - before) / ECHOES + 1;
    asked("an echo costs it %.4f ms of CPU time: ten of that pass for idle", (double)echo / 1e6);
    return echo;
}

/* ---- starting ---------------------------------------------------------------------------- */

static void expect_usage(const char *const *argv)
{
    struct server *s = start_server(.argv = argv, .may_fail_to_start = true);
    struct ending e = ended(s);
    if (e.by_signal || e.code != 2)
        fail_check(s, "exit status 2 for arguments that make no sense", "%s", describe_ending(s));
    if (strstr(e.err, "usage:") == NULL)
        fail_check(s, "a line with \"usage:\" on standard error", "%s",
                   quoted(e.err, strlen(e.err), 0));
    if (*e.out != '\0')
        fail_check(s, "nothing on standard output", "%s", quoted(e.out, strlen(e.out), 0));
}

/* A socket bound to a port of 127.0.0.1 (0: any that is free), which *bound gets; or -1. */
static int bound_socket(int port, int *bound)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    if (bind(fd, (struct sockaddr *)&address, size) == -1 ||
        getsockname(fd, (struct sockaddr *)&address, &size) == -1) {
        close(fd);
        return -1;
    }
    *bound = ntohs(address.sin_port);
    return fd;
}

/*
 * A server that forgets htons() takes the port with the two bytes swapped: it must find that one
 * free, or it says of the wrong port what a right server says of the right one. Below 1024 it
 * belongs to root; from 32768 on the kernel gives it to whoever connects next, see
 * ip_local_port_range in ip(7).
 */
static bool free_without_htons(int port)
{
    int swapped = (port & 0xff) << 8 | port >> 8, bound;
    if (swapped < 1024 || swapped >= 32768)
        return false;
    int fd = bound_socket(swapped, &bound);
    if (fd == -1)
        return false;
    close(fd);
    return true;
}

void check_usage(void)
{
    expect_usage((const char *[]){NULL});
    expect_usage((const char *[]){"", NULL});
    expect_usage((const char *[]){"http", NULL});
    expect_usage((const char *[]){"0x", NULL});
    expect_usage((const char *[]){"-1", NULL});
    expect_usage((const char *[]){"65536", NULL});
    expect_usage((const char *[]){"99999999999999999999", NULL});
    expect_usage((const char *[]){"0", "1", "2", "3", "4", NULL});
    if (searches) {
        expect_usage((const char *[]){"0", "1", NULL});
        expect_usage((const char *[]){"0", "1", "2", NULL});
        expect_usage((const char *[]){"0", "1", "2", "3x", NULL});
    }

    char port[16];
    int taken = -1, number;
    for (int tries = 0; taken == -1; tries++) {
        taken = bound_socket(0, &number);
        if (taken == -1 || tries == 1000)
            grader_error("no port to be had on 127.0.0.1");
        if (!free_without_htons(number)) {
            close(taken);
            taken = -1;
        }
    }
    if (listen(taken, 1) == -1)
        grader_error("port %d of 127.0.0.1 cannot be listened on", number);
    snprintf(port, sizeof port, "%d", number);
    struct server *s =
        start_server(.argv = (const char *[]){port, NULL}, .may_fail_to_start = true);
    asked("somebody else listens on port %s already", port);
    struct ending e = ended(s);
    if (strcmp(e.err, "server: bind: Address already in use\n") != 0)
        fail_check(s, "\"server: bind: Address already in use\\n\" on standard error", "%s",
                   quoted(e.err, strlen(e.err), 0));
    if (e.by_signal || e.code != 1)
        fail_check(s, "exit status 1 for a port that it cannot have", "%s", describe_ending(s));
    close(taken);
}

/* ---- echoing ----------------------------------------------------------------------------- */

void check_echo_line(void)
{
    struct server *s = start_server();
    while (port_of(s) >> 8 == (port_of(s) & 0xff)) /* right even for who forgets ntohs() */
        s = start_server();
    struct peer *a = connect_with_nc(s);
    say(a, "hello, server\n");
    hear(a, "hello, server\n");
    hang_up(a);
    wait_asleep(s);
    struct peer *b = connect_with_nc(s);
    say(b, "hello again\n");
    hear(b, "hello again\n");
}

void check_pieces(void)
{
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    static const char *const pieces[] = {"one", " two", "\n", "three\nfour\n", "f", "ive"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        say(c, pieces[i]);
        hear(c, pieces[i]);
    }
}

void check_all_bytes(void)
{
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    char bytes[513];
    for (int i = 0; i < 512; i++)
        bytes[i] = (char)i;
    bytes[512] = '\n';
    say_bytes(c, bytes, sizeof bytes);
    hear_bytes(c, bytes, sizeof bytes);
}

enum { MUCH = 48 * 1024 }; /* more than the smallest buffers hold */

/* Words that all arrive together, and that nobody reads until the server has taken them in: what it
 * can't send by then must wait for room. With FIN behind them, or without. */
static void sends_the_rest(struct server *s, size_t size, bool finished)
{
    struct peer *a = connect_small(s); /* what is lost must not be in its own buffer already */
    say(a, "first words\n");
    hear(a, "first words\n");
    wait_asleep(s);
    freeze(s);
    char *words = long_text(size);
    size_t said = say_what_fits(a, words, size);
    if (finished)
        finish_saying(a);
    stop_reading(a);
    thaw(s);
    wait_asleep(s);
    resume_reading(a);
    hear_bytes(a, words, said);
    if (finished)
        hear_end(a);
    free(words);
}

/* More than any buffer holds is there at once, and nothing comes after it: who has taken a part is
 * not told again that there is a rest, if epoll tells it of what is new only. */
static void takes_all_that_is_there(void)
{
    enum { MORE_THAN_A_BUFFER = 160 * 1024 };
    struct server *s = start_server(.faults = "big_receive");
    struct peer *c = connect_to(s);
    say(c, "hello\n");
    hear(c, "hello\n");
    wait_asleep(s);
    freeze(s);
    char *text = long_text(MORE_THAN_A_BUFFER);
    size_t said = say_what_fits(c, text, MORE_THAN_A_BUFFER);
    wait_to_be_read(s, c, said);
    thaw(s);
    hear_bytes(c, text, said);
    free(text);
}

void check_big_message(void)
{
    enum { SIZE = 8 * 1024 * 1024 };
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    char *text = long_text(SIZE);
    say_bytes(c, text, SIZE);
    hear_bytes(c, text, SIZE);
    free(text);
    takes_all_that_is_there();
    if (!trusts_short_counts) /* who does has been asked that by short_sends */
        sends_the_rest(start_server(.faults = "small_buffers"), MUCH, false);
}

void check_half_close(void)
{
    enum { LITTLE = 24 * 1024 }; /* goes into the server's buffer to send */
    struct server *s = start_server();
    sends_the_rest(s, LITTLE, true); /* the rest waits in the kernel */
    s = start_server(.faults = "small_buffers");
    sends_the_rest(s, MUCH, true); /* or in the server itself */

    struct peer *b = connect_to(s);
    finish_saying(b);
    hear_end(b);

    struct peer *c = connect_with_nc(s);
    say(c, "last words");
    finish_saying(c);
    hear(c, "last words");
    hear_end(c);
}

/* ---- clients that behave badly ----------------------------------------------------------- */

void check_client_vanishes(void)
{
    /* Small bites, so that a server with a big buffer has to send more than once as well. */
    struct server *s =
        start_server(.faults = trusts_short_counts ? "small_buffers" : "short_recv=4096");
    bool rested = is_idle(s, ECHO); /* else idle_is_free will say so */
    struct peer *a = connect_to(s);
    say(a, "hello\n");
    hear(a, "hello\n");
    reset(a);
    someone_else_is_served(s);

    /* Words are on their way, but who said them is gone: the first answer meets a reset, the
     * second would be SIGPIPE. */
    struct peer *b = connect_to(s);
    say(b, "hello\n");
    hear(b, "hello\n");
    wait_asleep(s);
    freeze(s);
    char *words = long_text(48 * 1024);
    say_what_fits(b, words, 48 * 1024);
    free(words);
    hang_up(b);
    thaw(s);
    someone_else_is_served(s);

    /* The server is in the middle of sending to a client that never reads, and then resets. */
    struct peer *c = connect_to(s);
    stop_reading(c);
    say_until_blocked(c);
    reset(c);
    if (rested)
        expect_idle(s, ECHO, "when a client has reset that had not read all");
    someone_else_is_served(s);
}

void check_no_leaked_descriptors(void)
{
    struct server *s = start_server(.faults = "strict_close");
    someone_else_is_served(s);
    wait_asleep(s);
    int before = count_descriptors(s);
    for (int i = 0; i < 20; i++) {
        struct peer *p = connect_to(s);
        say(p, "hello\n");
        hear(p, "hello\n");
        if (i % 2 == 0)
            hang_up(p);
        else
            reset(p);
        wait_asleep(s); /* who closes twice must not hit the next client */
    }
    struct peer *p = connect_to(s); /* gone while the server is behind with it */
    stop_reading(p);
    say_until_blocked(p);
    reset(p);
    expect_descriptors(s, before, "as many as after the first client had gone");
    const char *err = standard_error_of(s);
    if (strstr(err, "this descriptor is not open") != NULL)
        fail_check(s, "each descriptor closed once: a second close hits who has its number then",
                   "%s", quoted(err, strlen(err), 0));
}

/* ---- what the kernel may do -------------------------------------------------------------- */

void check_interrupted_calls(void)
{
    /* The first call of every two: accept, recv and send are each interrupted and then not. */
    struct server *s = start_server(.faults = "eintr=2");
    for (int i = 0; i < 2; i++) {
        struct peer *c = connect_to(s);
        say(c, "hello,\n");
        hear(c, "hello,\n");
        say(c, "server\n");
        hear(c, "server\n");
        hang_up(c);
    }
    if (!searches)
        return;
    s = start_server(.faults = "eintr=2", .backends = true);
    struct peer *c = connect_to(s);
    for (int i = 0; i < 3; i++) {
        say(c, "search on\n");
        hear(c, "on user query stock\n");
    }
}

void check_short_sends(void)
{
    if (trusts_short_counts) { /* "drained" is what a short count may mean: so none is made up */
        sends_the_rest(start_server(.faults = "small_buffers"), MUCH, false);
        return;
    }
    struct server *s = start_server(.faults = "short_send=7");
    struct peer *c = connect_to(s);
    enum { SIZE = 60 * 64 };
    char *text = long_text(SIZE);
    say_bytes(c, text, SIZE);
    hear_bytes(c, text, SIZE);
    free(text);
    say(c, "and no byte more\n");
    hear(c, "and no byte more\n");
}

/* ---- cost -------------------------------------------------------------------------------- */

/* Also while a backend thinks, and after that. */
static void idle_around_a_search(uint64_t echo)
{
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    say(a, "search first\n");
    hear(a, "first user query stock\n");
    expect_idle(s, echo, "after a search");
    set_backend(STOCK, HOLDS);
    say(a, "search again\n");
    wait_for_calls(s, STOCK, 1);
    set_calls_held(true);
    expect_idle(s, echo, "while a backend thinks");
    set_calls_held(false);
}

void check_idle_is_free(void)
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    uint64_t echo = cost_of_echo(s, a);
    expect_idle(s, echo, "while its client says nothing");
    stop_reading(a);
    size_t said = say_until_blocked(a);
    expect_idle(s, echo, "while its client is behind");
    resume_reading(a);
    hear_long_text(a, said);
    expect_idle(s, echo, "when its client has caught up");
    hang_up(a);
    expect_idle(s, echo, "with no client, after a backlog has drained");
    if (searches)
        idle_around_a_search(echo);

    /* Small buffers, so that all it says and its FIN arrive while the answer has no room. */
    s = start_server(.faults = "small_buffers");
    struct peer *b = connect_small(s);
    say(b, "hello\n");
    hear(b, "hello\n");
    wait_asleep(s);
    freeze(s);
    stop_reading(b);
    char *text = long_text(48 * 1024);
    said = say_what_fits(b, text, 48 * 1024);
    finish_saying(b);
    thaw(s);
    expect_idle(s, echo, "while its client is behind, and has finished saying");
    resume_reading(b);
    hear_bytes(b, text, said);
    free(text);
}

/* ---- the end ----------------------------------------------------------------------------- */

void expect_summary_line(struct server *s, struct ending e, int connections, size_t bytes)
{
    char farewell[100], expected[120];
    if (strstr(e.err, "kill(-1, ") != NULL)
        fail_check(s, "no signal to anybody but the server's own children",
                   "kill(-1, ...), a signal to every process that you have");
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0 after SIGTERM or SIGINT", "%s", describe_ending(s));
    if (bytes == ANY_BYTES)
        snprintf(farewell, sizeof farewell, "served %d connections, ", connections);
    else
        snprintf(farewell, sizeof farewell, "served %d connections, %zu bytes\n", connections,
                 bytes);
    snprintf(expected, sizeof expected, "%s on standard output%s",
             quoted(farewell, strlen(farewell), 0),
             bytes == ANY_BYTES ? ", and the number of bytes" : "");
    bool well = bytes == ANY_BYTES ? strncmp(e.out, farewell, strlen(farewell)) == 0
                                   : strcmp(e.out, farewell) == 0;
    if (!well)
        fail_check(s, expected, "%s", quoted(e.out, strlen(e.out), 0));
}

/* B is what send() took. What a client who does not read was sent is in the kernel, to be counted;
 * what else it has said is still in the server, or has not even been read. */
static void counts_what_was_sent(void)
{
    enum { LAST_TRY = 3072 }; /* who tries once more to send may find so much room, at most */
    struct server *s = start_server(.faults = "small_buffers");
    struct peer *c = connect_small(s);
    stop_reading(c);
    wait_asleep(s);
    freeze(s); /* what it receives first is more than the kernel will take back */
    char *words = long_text(MUCH);
    size_t said = say_what_fits(c, words, MUCH);
    free(words);
    wait_to_be_read(s, c, MUCH / 3);
    thaw(s);
    said += say_until_blocked(c);
    wait_asleep(s);
    bool in_send = is_sending(s);
    freeze(s);
    struct sent sent = sent_to(s, c);
    struct ending e = stop_server(s, SIGTERM);
    expect_summary_line(s, e, 1, ANY_BYTES);
    unsigned long long bytes = 0;
    char expected[160];
    snprintf(expected, sizeof expected,
             "the number of bytes that send() took: %zu have come to %s, at most %zu have left the "
             "server",
             sent.least, "client A", sent.most);
    /* In the middle of a send, who is told to stop may never learn how much of it was taken. */
    if (sscanf(e.out, "served 1 connections, %llu bytes\n", &bytes) != 1 ||
        bytes > sent.most + LAST_TRY || (!in_send && bytes < sent.least))
        fail_check(s, expected, "%s, when the client had said %zu", quoted(e.out, strlen(e.out), 0),
                   said);
}

void check_stop(void)
{
    struct server *s = start_server();
    wait_asleep(s);
    bool loop = waits_in_multiplexer(s);
    expect_summary_line(s, stop_server(s, SIGTERM), 0, 0);

    s = start_server();
    struct peer *a = connect_to(s);
    say(a, "one, two,\n");
    hear(a, "one, two,\n");
    say(a, "three\n");
    hear(a, "three\n");
    hang_up(a);
    wait_asleep(s);
    struct peer *b = connect_to(s);
    char *text = long_text(960); /* more than an exit status could carry */
    say_bytes(b, text, 960);
    hear_bytes(b, text, 960);
    free(text);
    wait_reading_from(s, b);
    expect_summary_line(s, stop_server(s, SIGINT), 2, 976);
    hear_eof_or_reset(b);

    counts_what_was_sent();

    /* The signal comes at the worst of moments: nobody waits yet, and nobody looks again. */
    set_hint("The signal came just before a call that waits, or just after accept() and before "
             "anybody knew this client. Who looks at `stopping`, or finds the socket shut down, "
             "after that?",
             "make run FAULTS=term_before_accept=2    # or term_after_accept=1; and in a second "
             "terminal:\nsleep 3 | nc 127.0.0.1 9000             # the server must end by itself");
    s = start_server(.faults = "term_before_accept=2");
    struct peer *d = connect_to(s);
    struct ending e;
    if (one_at_a_time)
        hang_up(d);
    if (exited_by_fault(s, &e))
        expect_summary_line(s, e, 1, 0);
    s = start_server(.faults = "term_after_accept=1");
    d = connect_to(s);
    if (exited_by_fault(s, &e))
        expect_summary_line(s, e, 1, 0);
    if (loop) {
        set_hint(
            "The signal came after the loop had looked at `stopping`, just before the call that "
            "waits: a flag alone wakes nobody. Leave something that the call finds ready: a "
            "listener that is shut down, a byte in a pipe; or let pselect or epoll_pwait open the "
            "signal mask.",
            "make run FAULTS=term_before_wait=1      # and in a second terminal:\n"
            "sleep 3 | nc 127.0.0.1 9000             # the server must end by itself");
        s = start_server(.faults = "term_before_wait=1");
        d = connect_to(s);
        if (one_at_a_time)
            hang_up(d);
        if (exited_by_fault(s, &e))
            expect_summary_line(s, e, 1, 0);
    }
    set_hint(NULL, NULL);
    if (one_at_a_time)
        return;

    s = start_server();
    struct peer *clients[5];
    for (int i = 0; i < 5; i++) {
        clients[i] = connect_to(s);
        say(clients[i], "five of us\n");
        hear(clients[i], "five of us\n");
    }
    hang_up(clients[0]);
    for (int i = 1; i < 5; i++)
        wait_reading_from(s, clients[i]);
    expect_summary_line(s, stop_server(s, SIGTERM), 5, 55);
    for (int i = 1; i < 5; i++)
        hear_eof_or_reset(clients[i]);
}

/* ---- several at once: from lab 2 on ------------------------------------------------------- */

/* What waits for one client, from near the beginning of a buffer on, and as much from another,
 * which comes in one piece: they must not meet. */
static void keeps_apart(struct server *s)
{
    enum { SIZE = 48 * 1024 };
    /* One after the other: who comes at once with another is for crowd, and own_argument. */
    struct peer *b = connect_small(s);
    say(b, "hello\n");
    hear(b, "hello\n");
    struct peer *c = connect_to(s);
    say(c, "hello\n");
    hear(c, "hello\n");
    wait_asleep(s);
    char *words = long_text(SIZE), *stars = long_text(SIZE);
    for (int i = 0; i < SIZE; i++)
        stars[i] = stars[i] == '\n' ? '\n' : '*';
    freeze(s);
    size_t said = say_what_fits(b, words, SIZE);
    stop_reading(b);
    thaw(s);
    wait_asleep(s);
    freeze(s);
    size_t said_by_c = say_what_fits(c, stars, SIZE);
    thaw(s);
    hear_bytes(c, stars, said_by_c);
    resume_reading(b);
    hear_bytes(b, words, said);
    free(words);
    free(stars);
}

void check_silent_client(void)
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    wait_reading_from(s, a);
    someone_else_is_served(s);
    struct peer *b = connect_to(s);
    stop_reading(b);
    size_t said = say_until_blocked(b);
    someone_else_is_served(s);
    /* Other words, and many: what waits for b must not be in the same place. */
    enum { SIZE = 100000 };
    char *stars = malloc(SIZE);
    if (stars == NULL)
        grader_error("out of memory");
    memset(stars, '*', SIZE);
    for (int i = 99; i < SIZE; i += 100)
        stars[i] = '\n';
    struct peer *c = connect_to(s);
    say_bytes(c, stars, SIZE);
    hear_bytes(c, stars, SIZE);
    free(stars);
    hang_up(c);
    resume_reading(b);
    hear_long_text(b, said);
    say(a, "at last\n");
    hear(a, "at last\n");
    keeps_apart(start_server(.faults = "small_buffers"));
}

void check_crowd(void)
{
    enum { CLIENTS = 100, SIZE = 31 * 64 }; /* whole lines */
    struct server *s = start_server();
    struct peer *clients[CLIENTS];
    char text[SIZE];
    wait_asleep(s);
    freeze(s); /* they all knock before the first is let in */
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    for (int i = 0; i < CLIENTS; i++) {
        fill_text(text, (size_t)i * SIZE, SIZE);
        say_bytes(clients[i], text, SIZE);
    }
    thaw(s);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CLIENTS; i++) {
            fill_text(text, (size_t)i * SIZE, SIZE);
            hear_bytes(clients[i], text, SIZE);
            say_bytes(clients[i], text, SIZE);
        }
    for (int i = 0; i < CLIENTS; i++) {
        fill_text(text, (size_t)i * SIZE, SIZE);
        finish_saying(clients[i]);
        hear_bytes(clients[i], text, SIZE);
        hear_end(clients[i]);
    }
}

/* ---- one loop for all: from lab 4 on ------------------------------------------------------ */

void check_one_thread(void)
{
    struct server *s = start_server();
    struct peer *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(s);
        say(clients[i], "hello\n");
        hear(clients[i], "hello\n");
    }
    stop_reading(clients[0]);
    say_until_blocked(clients[0]);
    expect_processes(s, 1, "one process for all clients");
    expect_threads(s, 1, "one thread for all clients");
}

void check_slow_reader(void)
{
    /* A sanitizer keeps what has been freed for a while (grading/tests/sanitized). */
    const uint64_t bound = (without_valgrind ? 4 : 1) * 1024 * 1024;
    struct server *s = start_server();
    struct peer *b = connect_to(s);
    say(b, "before\n");
    hear(b, "before\n");
    wait_asleep(s);
    uint64_t before = memory_of(s);
    struct peer *a = connect_to(s);
    stop_reading(a);
    size_t said = say_until_blocked(a);
    uint64_t more = memory_of(s) - before;
    if (said >= 64 * 1024 * 1024 || (more > bound && more < UINT64_MAX / 2))
        fail_check(s, "a server that reads no more from a client who is behind (64 KiB, about)",
                   "it took in %zu bytes, and its memory grew by %llu KiB", said,
                   (unsigned long long)more / 1024);
    say(b, "meanwhile\n");
    hear(b, "meanwhile\n");
    resume_reading(a);
    hear_long_text(a, said);
    say(a, "on we go\n");
    hear(a, "on we go\n");
    /* Behind again, and it has said all: what waits must still come, and then the end. */
    stop_reading(a);
    said = say_until_blocked(a);
    finish_saying(a);
    say(b, "and again\n");
    hear(b, "and again\n");
    resume_reading(a);
    hear_long_text(a, said);
    hear_end(a);
}

void check_out_of_descriptors(void)
{
    enum { LIMIT = 24, CLIENTS = 40, LEAST = 4 };
    struct server *s = start_server(.descriptors = LIMIT, .backends = searches);
    struct peer *clients[CLIENTS];
    wait_asleep(s);
    bool rested = is_idle(s, ECHO); /* else idle_is_free will say so */
    int before = count_descriptors(s), served = 0;
    freeze(s); /* all are there before the server can send the first away */
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        say(clients[i], "hello\n");
    }
    thaw(s);
    if (rested)
        expect_idle(s, ECHO, "when there are no descriptors left");
    wait_asleep(s);
    for (int i = 0; i < CLIENTS; i++)
        if (heard(clients[i]) > 0) {
            hear(clients[i], "hello\n");
            served++;
        }
    if (served < LEAST)
        fail_check(s, "those served for whom there are descriptors", "%d of %d clients served",
                   served, CLIENTS);
    if (searches && count_descriptors(s) == LIMIT) {
        say(clients[0], "search without a descriptor\n");
        hear(clients[0], "error: user backend failed\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        hang_up(clients[i]);
    expect_descriptors(s, before, "all clients have left");
    someone_else_is_served(s);
}

void check_stopped_and_continued(void)
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    say(a, "before\n");
    hear(a, "before\n");
    struct peer *b = connect_to(s);
    wait_asleep(s);
    freeze(s); /* and nothing else: the call in which it waits comes back with EINTR */
    thaw(s);
    wait_asleep(s);
    freeze(s);
    say(a, "during\n");
    reset(b);
    thaw(s);
    hear(a, "during\n");
    someone_else_is_served(s);
    if (!searches)
        return;
    /* A call with a timeout fails with EINTR then, also in a thread, also without any handler. */
    s = start_server(.backends = true);
    a = connect_to(s);
    for (enum backend which = USER; which < BACKENDS; which++) {
        set_backend(which, HOLDS);
        say(a, "search on\n");
        wait_for_calls(s, which, 1);
        wait_asleep(s);
        freeze(s);
        thaw(s);
        wait_asleep(s);
        release(which, which == USER ? "on" : which == QUERY ? "on user" : "on user query");
        hear(a, "on user query stock\n");
        set_backend(which, ANSWERS);
    }
}

/* Who is served as long as it has more to say is made certain: it always has. The others are more
 * than one, for a server may deal them out to its threads. */
void check_no_starvation(void)
{
    enum { OTHERS = 4, ROUNDS = 5 };
    struct server *s = start_server(.faults = "never_drained=5"); /* OTHERS + 1 */
    struct peer *others[OTHERS];
    for (int i = 0; i < OTHERS; i++) {
        others[i] = connect_to(s);
        say(others[i], "hello\n");
        hear(others[i], "hello\n");
    }
    struct peer *e = connect_to(s);
    say(e, "more and more, and never an end\n");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OTHERS; i++)
            say(others[i], "and I?\n");
        for (int i = 0; i < OTHERS; i++)
            hear(others[i], "and I?\n");
    }
    for (int i = 0; i < OTHERS; i++) {
        struct peer *newcomer = connect_to(s);
        say(newcomer, "and a newcomer?\n");
        hear(newcomer, "and a newcomer?\n");
        hang_up(newcomer);
    }
}

int descriptors_for(int clients)
{
    enum { OTHERS = 64, LEAST = 4000 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int can = limit.rlim_max > 1000000 ? 1000000 : (int)limit.rlim_max - OTHERS;
    if (can < clients && can < LEAST)
        grader_error("%d clients want more descriptors than the hard limit allows (ulimit -Hn: %d)",
                     LEAST, (int)limit.rlim_max);
    if (can < clients)
        asked("%d clients instead of %d: the hard limit of this machine allows no more", can,
              clients);
    return can < clients ? can : clients;
}

void check_ten_thousand(void)
{
    int count = descriptors_for(10000);
    struct server *s = start_server(.descriptors = MAX_DESCRIPTORS);
    struct peer **clients = calloc((size_t)count, sizeof *clients);
    char line[64];
    if (clients == NULL)
        grader_error("out of memory");
    connect_many(s, clients, count);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            snprintf(line, sizeof line, "client %d, round %d\n", i, round);
            say(clients[i], line);
        }
        for (int i = 0; i < count; i++) {
            snprintf(line, sizeof line, "client %d, round %d\n", i, round);
            hear(clients[i], line);
        }
    }
    free(clients);
}

/* Side by side: two servers in turns, so that a busy machine is busy for both, and the best of
 * each. */
void check_flat_cost(void)
{
    enum { ROUNDS = 12, ECHOES = 200 };
    int count = descriptors_for(5000);
    struct server *servers[2];
    struct peer *peers[2];
    uint64_t best[2] = {UINT64_MAX, UINT64_MAX};
    for (int i = 0; i < 2; i++) {
        servers[i] = start_server(.descriptors = MAX_DESCRIPTORS);
        share_one_cpu(servers[i]);
        peers[i] = connect_to(servers[i]);
        say_and_hear(peers[i], "hello\n", ECHOES);
    }
    asked("the second server has more clients, who say nothing:");
    connect_many(servers[1], NULL, count);
    wait_asleep(servers[1]);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 2; i++) {
            uint64_t before = cpu_time(servers[i]);
            say_and_hear(peers[i], "hello\n", ECHOES);
            uint64_t cost = (cpu_time(servers[i]) - before) / ECHOES;
            best[i] = cost < best[i] ? cost : best[i];
        }
    evidence("CPU time of the server per echo: %.1f microseconds alone, %.1f among %d idle clients",
             (double)best[0] / 1000, (double)best[1] / 1000, count);
    if (best[1] > 2 * best[0])
        fail_check(servers[1], "an echo that costs at most twice as much among idle clients",
                   "%.1f times as much", (double)best[1] / (double)best[0]);
}

/* ---- memory ------------------------------------------------------------------------------ */

void check_memory(void)
{
    struct server *s = start_server(.under = MEMCHECK, .backends = searches);
    struct peer *a = connect_to(s);
    enum { SIZE = 300 * 64 };
    char *text = long_text(SIZE);
    say_bytes(a, text, SIZE);
    hear_bytes(a, text, SIZE);
    free(text);
    finish_saying(a);
    hear_end(a);
    struct peer *b = connect_to(s);
    say(b, "hello\n");
    hear(b, "hello\n");
    reset(b);
    struct peer *c = connect_to(s);
    say(c, "hello\n");
    hear(c, "hello\n");
    wait_reading_from(s, c);
    if (!one_at_a_time) {
        struct peer *d = connect_to(s);
        say(d, "hello\n");
        hear(d, "hello\n");
        wait_reading_from(s, d);
        /* What a server has only for who is behind: until it has caught up, leaves, or the end. */
        struct peer *e = connect_to(s);
        say(e, "hello\n");
        hear(e, "hello\n");
        struct peer *f = connect_to(s);
        say(f, "hello\n");
        hear(f, "hello\n");
        stop_reading(e);
        size_t said = say_until_blocked(e);
        resume_reading(e);
        hear_long_text(e, said);
        stop_reading(e);
        say_until_blocked(e);
        reset(e);
        stop_reading(f);
        say_until_blocked(f);
    }
    if (searches) {
        set_backend(STOCK, REFUSES);
        say(c, "search in vain\nand on\n");
        hear(c, "error: stock backend failed\nand on\n");
        set_backend(STOCK, ANSWERS);
        say(c, "search again\n");
        hear(c, "again user query stock\n");
        wait_reading_from(s, c);
    }
    expect_clean_memory(s);
}

/* ---- an observation ----------------------------------------------------------------------- */

void check_price(void)
{
    enum { CLIENTS = 1000 };
    struct server *s = start_server();
    struct peer *p = connect_to(s);
    say(p, "hello\n");
    hear(p, "hello\n");
    hang_up(p);
    wait_asleep(s);
    uint64_t memory = memory_of(s), cpu = cpu_time(s);
    int processes = count_processes(s), threads = count_threads(s);
    for (int i = 0; i < CLIENTS; i++) {
        p = connect_to(s);
        say(p, "hello\n");
        hear(p, "hello\n");
    }
    wait_asleep(s);
    memory = memory_of(s) - memory;
    cpu = cpu_time(s) - cpu;
    evidence("%d clients are here, and each has had one echo", CLIENTS);
    evidence("processes: %d more, threads: %d more", count_processes(s) - processes,
             count_threads(s) - threads);
    evidence("memory: about %.0f KiB a client, without what the kernel keeps of each",
             (double)memory / 1024 / CLIENTS);
    evidence("CPU time of the server: about %.0f microseconds a client",
             (double)cpu / 1000 / CLIENTS);
}

/* What an echo costs, against the number of clients who do nothing. 900: select holds no more. */
void check_idle_cost(void)
{
    enum { ROUNDS = 10, ECHOES = 100 };
    static const int idle[] = {0, 100, 300, 900};
    struct server *s = start_server();
    share_one_cpu(s);
    struct peer *p = connect_to(s);
    int here = 0;
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        connect_many(s, NULL, idle[i] - here);
        here = idle[i];
        wait_asleep(s);
        uint64_t best = UINT64_MAX;
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t before = cpu_time(s);
            say_and_hear(p, "hello\n", ECHOES);
            uint64_t cost = (cpu_time(s) - before) / ECHOES;
            best = cost < best ? cost : best;
        }
        evidence("CPU time of the server per echo: about %.0f microseconds, with %d idle clients",
                 (double)best / 1000, here);
    }
}

/* ---- hints, needs and commands: a lab may say otherwise ------------------------------------ */

const struct check every_lab[] = {
    {.name = "usage",
     .hint = "bind() fails when the port is taken: say \"server: bind: \" and strerror(errno) "
             "on standard error, as die(\"bind\") does, and exit with status 1.",
     .by_hand = "make && ./server http; echo \"exit status $?\"; timeout 2 ./server 80x\n"
                "nc -l 127.0.0.1 9000 & sleep 1; timeout 2 ./server 9000; echo \"exit status $?\"; "
                "kill %1"},
    {.name = "echo_line",
     .hint = "socket, bind, listen, accept, recv, send: the call in which the server sits, or "
             "its last words, say how far it came.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "printf 'hello, server\\n' | nc -N 127.0.0.1 9000\n"
                "timeout 1 ./server 9004 | cat    # \"listening\" must come at once: flushed"},
    {.name = "pieces",
     .needs = "echo_line",
     .hint = "TCP is a stream of bytes: recv() gives what has come so far, be it half a line "
             "or three. Send that back, then ask again.",
     .by_hand =
         "make run                    # and in a second terminal:\n"
         "(printf one; sleep 1; printf ' two'; sleep 1) | nc -N 127.0.0.1 9000   # one ... two"},
    {.name = "all_bytes",
     .needs = "pieces",
     .hint = "What recv() gives is bytes, not a string: only its return value says how many.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "printf 'a\\0b\\n' | nc -N 127.0.0.1 9000 | od -c"},
    {.name = "big_message",
     .needs = "pieces",
     .hint = "The kernel hands out a big message in pieces of its own choosing: each must go "
             "back whole, before the next is read.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "seq 1000000 | cksum; seq 1000000 | nc -N 127.0.0.1 9000 | cksum"},
    {.name = "half_close",
     .needs = "big_message",
     .hint = "recv() returned 0: the client has nothing more to say, but it still listens. "
             "close() sends what is left and then FIN, unless told otherwise.",
     .by_hand = "make run FAULTS=small_buffers    # and in a second terminal:\n"
                "seq 1000000 | nc -N 127.0.0.1 9000 | tail -n 1   # 1000000, and then it ends\n"
                "nc -N 127.0.0.1 9000 </dev/null                  # says nothing: it ends at once"},
    {.name = "client_vanishes",
     .needs = "echo_line",
     .hint = "recv() and send() fail when the client is gone: that ends the client, not the "
             "server. send() also raises SIGPIPE, unless told MSG_NOSIGNAL.",
     .by_hand =
         "make run FAULTS=short_recv=4096   # and in a second terminal, with bash:\n"
         "s=$(pgrep -nf 'server 9000'); kill -STOP $s\n"
         "seq 10000 >/dev/tcp/127.0.0.1/9000; kill -CONT $s            # gone without reading\n"
         "(echo hello; sleep 1) >/dev/tcp/127.0.0.1/9000                # gone with a reset\n"
         "echo 'still there?' | nc -N 127.0.0.1 9000"},
    {.name = "no_leaked_descriptors",
     .needs = "half_close client_vanishes",
     .hint = "Every descriptor that accept() returned is closed once, on every way out.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "for i in 1 2 3; do echo hi | nc -N 127.0.0.1 9000; done\n"
                "(echo hello; sleep 1) >/dev/tcp/127.0.0.1/9000   # with bash: one that resets\n"
                "ls -l /proc/$(pgrep -nf 'server 9000')/fd"},
    {.name = "interrupted_calls",
     .needs = "pieces",
     .hint = "accept(), recv() and send() may fail with EINTR: nothing has happened yet, so "
             "call again. See signal(7).",
     .by_hand = "make run FAULTS=eintr=2     # and in a second terminal:\n"
                "printf 'hello, server\\n' | nc -N 127.0.0.1 9000"},
    {.name = "short_sends",
     .needs = "pieces",
     .hint = "send() returns how many bytes it took, which may be fewer than you gave.",
     .by_hand = "make run FAULTS=short_send=7    # and in a second terminal:\n"
                "printf 'hello, server\\n' | nc -N 127.0.0.1 9000"},
    {.name = "idle_is_free",
     .needs = "half_close",
     .hint = "A blocking call sleeps until there is something to do. Who asks again and again "
             "burns a whole core.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "s=$(pgrep -nf 'server 9000'); nc 127.0.0.1 9000 &\n"
                "cat /proc/$s/schedstat; sleep 1; cat /proc/$s/schedstat; kill %1\n"
                "# CPU time in nanoseconds, and last, how often it was awake: neither may move"},
    {.name = "stop",
     .needs = "half_close client_vanishes",
     .hint = "The signal may find the server in accept(), recv() or send(): each must return. "
             "Count every connection and all that went back, also of a client still there.",
     .by_hand =
         "make run                    # and in a second terminal:\n"
         "sleep 60 | nc 127.0.0.1 9000                    # silent, or\n"
         "seq 10000000 | nc 127.0.0.1 9000 | sleep 60     # does not read, or nobody at all:\n"
         "# Ctrl-C in the first terminal ends it each time, with the counts"},
    {.name = "memory",
     .needs = "half_close no_leaked_descriptors stop",
     .hint = "What was allocated is freed, and what was opened is closed, before main ends: "
             "the listener as well.",
     .by_hand = "make && valgrind --leak-check=full --track-fds=yes ./server 9000\n"
                "# in a second terminal, then press Ctrl-C in the first:\n"
                "seq 5000 | nc -N 127.0.0.1 9000 | tail -n 1"},
    {.name = "silent_client",
     .needs = "pieces",
     .hint = "While one client is silent, or does not read, somebody else must be at work for the "
             "others.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "sleep 60 | nc 127.0.0.1 9000 & yes | nc 127.0.0.1 9000 | sleep 60 & sleep 2\n"
                "echo 'is anybody there?' | nc -N -w 1 127.0.0.1 9000; kill %1 %2"},
    {.name = "crowd",
     .needs = "half_close silent_client",
     .hint = "All came before the first was let in: the backlog holds them (SOMAXCONN). What is "
             "one client's own, a buffer or a descriptor, no other may use.",
     .by_hand =
         "make run                    # and in a second terminal:\n"
         "s=$(pgrep -nf 'server 9000'); kill -STOP $s\n"
         "for i in $(seq 100); do (echo $i | nc -N 127.0.0.1 9000 >>answers &); done; sleep 2\n"
         "kill -CONT $s; sleep 2; sort -n answers | uniq | wc -l; rm answers   # 100"},
    {.name = "one_thread",
     .needs = "pieces",
     .hint = "No thread and no process for a client: one loop, and a struct for each.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "for i in 1 2 3; do (sleep 5 | nc -N 127.0.0.1 9000 &); done\n"
                "ps -L -o pid,lwp,stat,wchan,cmd -C server"},
    {.name = "slow_reader",
     .needs = "half_close silent_client",
     .hint = "What a client has said and not read waits in the server. When that is about 64 KiB, "
             "do not ask for more from this client until some of it is gone.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "seq 10000000 | nc -N 127.0.0.1 9000 | (sleep 5; tail -n 1) &\n"
                "sleep 3; grep VmRSS /proc/$(pgrep -nf 'server 9000')/status; wait   # 10000000"},
    {.name = "out_of_descriptors",
     .needs = "echo_line",
     .hint = "accept() fails with EMFILE, the client stays in the backlog, and the listener stays "
             "ready. Do not ask again at once: send somebody away, or wait until one has left.",
     .by_hand = "make && (ulimit -n 16; ./server 9000)    # and in a second terminal:\n"
                "for i in $(seq 20); do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
                "cat /proc/$(pgrep -nf 'server 9000')/schedstat; sleep 1; cat /proc/$(pgrep -nf "
                "'server 9000')/schedstat"},
    {.name = "stopped_and_continued",
     .needs = "echo_line",
     .hint =
         "After SIGCONT the call in which the loop waits fails with EINTR, without any handler: "
         "signal(7). Nothing is ready then, and nothing is wrong.",
     .by_hand = "make run                    # and in a second terminal:\n"
                "kill -STOP $(pgrep -nf 'server 9000'); kill -CONT $(pgrep -nf 'server 9000')\n"
                "echo 'still there?' | nc -N 127.0.0.1 9000"},
    {.name = "no_starvation",
     .needs = "silent_client",
     .hint = "A client that never stops talking is never drained. Serve it once, then look at the "
             "others.",
     .by_hand = "make run FAULTS=never_drained=1    # the first client never stops; in a second "
                "terminal:\n"
                "echo more | nc 127.0.0.1 9000 & sleep 1\n"
                "for i in 1 2; do echo 'and I?' | nc -N 127.0.0.1 9000; done; kill $!"},
    {.name = "ten_thousand",
     .needs = "crowd",
     .hint = "Look at which client was not answered: does a table, an array or a set end there?",
     .by_hand = "make && (ulimit -n 20000; ./server 9000)    # and in a second terminal:\n"
                "ulimit -n 20000                             # one bash is all the clients\n"
                "for i in $(seq 10000); do exec {fd}<>/dev/tcp/127.0.0.1/9000; done\n"
                "echo 'and I?' | nc -N 127.0.0.1 9000"},
    {.name = "flat_cost",
     .needs = "ten_thousand",
     .hint = "The kernel keeps the list of what to wait for and tells who is ready. Who walks over "
             "all clients, or tells the kernel about all of them each time, pays for the idle.",
     .by_hand = "make test CHECK=flat_cost"},
    {.name = "price",
     .needs = "pieces",
     .hint = "This is no test: it shows what 1,000 clients at once cost.",
     .by_hand = "make test CHECK=price",
     .only_when_asked = true},
    {.name = "idle_cost",
     .needs = "crowd",
     .hint = "This is no test: it shows what idle clients cost those who are busy.",
     .by_hand = "make test CHECK=idle_cost",
     .only_when_asked = true},
    {.name = NULL},
};
