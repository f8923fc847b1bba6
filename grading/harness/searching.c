/*
 * The checks that labs 6 to 8 have in common: a client speaks in lines, and a search asks three
 * backends (DESIGN, section 3). What one lab alone asks is in its test.c.
 */
#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINE = 4096 };

bool searches;

static const char *const names[] = {"user", "query", "stock"};

/* What a search for these words is answered when all is well. */
static const char *answer_to(const char *words)
{
    static char text[2 * MAX_LINE];
    snprintf(text, sizeof text, "%s user query stock\n", words);
    return text;
}

static void expect_search(struct peer *p, const char *words)
{
    char line[MAX_LINE + 2];
    snprintf(line, sizeof line, "search %s\n", words);
    say(p, line);
    hear(p, answer_to(words));
}

static void expect_error(struct peer *p, enum backend b, const char *what)
{
    char line[80];
    snprintf(line, sizeof line, "error: %s backend %s\n", names[b], what);
    hear(p, line);
}

/* `size` times the same letter, then "\n". Lives until the check ends. */
static char *letters(char letter, size_t size)
{
    char *text = malloc(size + 2);
    if (text == NULL)
        grader_error("out of memory");
    memset(text, letter, size);
    strcpy(text + size, "\n");
    return text;
}

/* ---- lines ------------------------------------------------------------------------------- */

void check_lines(void)
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    say(a, "two");
    wait_asleep(s); /* it has that, and nothing more comes for now */
    say(a, " pieces\n");
    hear(a, "two pieces\n");
    say(a, "three\nlines\nin");
    hear(a, "three\nlines\n");
    say(a, " one\n\n");
    hear(a, "in one\n\n");
    say(a, "search\nsearching\n search\nSearch me\n");
    hear(a, "search\nsearching\n search\nSearch me\n");
    say(a, "sea");
    wait_asleep(s);
    say(a, "rch in pieces\nand more\n");
    hear(a, "error: no backends\nand more\n");
    char *longest = letters('x', MAX_LINE);
    say(a, longest);
    hear(a, longest);
    say_bytes(a, longest, MAX_LINE);
    wait_asleep(s);
    say(a, "\n");
    hear(a, longest);
    say(a, "an end without a newline");
    wait_asleep(s); /* words and FIN at once are for half_close */
    finish_saying(a);
    hear(a, "an end without a newline");
    hear_end(a);
}

/* All at the first backend at once, for nobody is answered before the last has asked. How many can
 * be answered before their second is over is the machine's matter: the others hear that it is. */
void check_thousand_in_flight(void)
{
    enum { CLIENTS = 1000 };
    static const double ANSWERS_SECONDS = 0.3;
    static struct peer *clients[CLIENTS];
    char text[40];
    descriptors_for(4 * CLIENTS);
    struct server *s = start_server(.backends = true, .descriptors = MAX_DESCRIPTORS);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    wait_asleep(s);
    set_backend(USER, HOLDS);
    freeze(s); /* a call has a second, and it should not go by while the others still ask */
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "search number %d\n", i);
        say(clients[i], text);
    }
    double begin = now();
    thaw(s);
    wait_for_calls_made(s, USER, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "number %d", i);
        if (now() - begin < ANSWERS_SECONDS) {
            release(USER, text);
            hear(clients[i], answer_to(text));
        } else {
            expect_error(clients[i], USER, "timed out");
        }
    }
}

void check_line_too_long(void)
{
    enum { MORE = 1024 * 1024 };
    struct server *s = start_server(.backends = true);
    struct peer *other = connect_to(s);
    say(other, "hello\n");
    hear(other, "hello\n");
    wait_asleep(s);
    int before = count_descriptors(s);

    struct peer *a = connect_to(s);
    say(a, "before\n");
    say(a, letters('x', MAX_LINE + 1));
    hear(a, "before\nerror: line too long\n");
    hear_end(a);
    char *text = long_text(MORE);
    say_bytes(a, text, MORE); /* nobody cares, but a reset could take the message with it */
    free(text);
    finish_saying(a);
    expect_descriptors(s, before, "as many as before that client came");

    struct peer *b = connect_to(s);
    text = letters('y', 16 * MAX_LINE);
    say_bytes(b, text, 16 * MAX_LINE); /* no newline will ever come */
    hear(b, "error: line too long\n");
    hear_end(b);
    hang_up(b);

    struct peer *c = connect_to(s);
    say_bytes(c, text, MAX_LINE + 1);
    finish_saying(c);
    hear(c, "error: line too long\n");
    hear_end(c);

    /* The answers to the lines before it come first. */
    set_backend(USER, HOLDS);
    struct peer *d = connect_to(s);
    say(d, "search shoes\n");
    say(d, letters('z', MAX_LINE + 1));
    wait_for_calls(s, USER, 1);
    release_all(USER);
    hear(d, "shoes user query stock\nerror: line too long\n");
    hear_end(d);
    hang_up(d);

    /* Who does not read, and whose answers wait. */
    struct peer *e = connect_small(s);
    stop_reading(e);
    size_t said = say_until_blocked(e);
    resume_reading(e);
    hear_long_text(e, said);
    say_bytes(e, text, MAX_LINE + 1);
    hear(e, "error: line too long\n");
    hear_end(e);
    reset(e);
    expect_descriptors(s, before, "as many as before those clients came");
    say(other, "still there?\n");
    hear(other, "still there?\n");
}

/* ---- searches ---------------------------------------------------------------------------- */

void check_search(void)
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    say(a, "search nobody\n");
    hear(a, "error: no backends\n");

    s = start_server(.backends = true);
    struct peer *b = connect_with_nc(s);
    say(b, "search red shoes\n");
    hear(b, "red shoes user query stock\n");
    say(b, "search \n");
    hear(b, " user query stock\n");
    say(b, "search  two spaces, and a search inside\n");
    hear(b, " two spaces, and a search inside user query stock\n");
    if (calls_at(USER) != 3 || calls_at(QUERY) != 3 || calls_at(STOCK) != 3)
        fail_check(s, "one connection to each backend for a search: 3 to each by now",
                   "%d to the user backend, %d to query, %d to stock", calls_at(USER),
                   calls_at(QUERY), calls_at(STOCK));
    for (enum backend which = USER; which < BACKENDS; which++)
        expect_no_calls_open(s, which);

    struct peer *c = connect_to(s);
    say(c, "search without a newline");
    finish_saying(c);
    hear(c, "without a newline user query stock");
    hear_end(c);

    struct peer *d = connect_to(s);
    char *longest = letters('x', MAX_LINE);
    set_answer(STOCK, longest, MAX_LINE + 1);
    say(d, "search the longest answer\n");
    hear(d, longest);
    set_backend(STOCK, ANSWERS);
    static const char bytes[] = "search \0\1\xff\n", back[] = "\0\1\xff user query stock\n";
    say_bytes(d, bytes, sizeof bytes - 1);
    hear_bytes(d, back, sizeof back - 1);
}

void check_in_order(void)
{
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s), *b = connect_to(s);
    set_backend(USER, HOLDS);
    say(a, "at once\nsearch one\nafter one\nsearch two\nafter two\n");
    hear(a, "at once\n");
    wait_for_calls(s, USER, 1);
    say(b, "meanwhile\n");
    hear(b, "meanwhile\n");
    wait_asleep(s);
    if (heard(a) > 0)
        fail_check(s, "nothing for client A while its first search is not answered",
                   "%zu bytes more", heard(a));
    release(USER, "one");
    hear(a, "one user query stock\nafter one\n");
    wait_for_calls(s, USER, 1);
    wait_asleep(s);
    if (heard(a) > 0)
        fail_check(s, "nothing for client A while its second search is not answered",
                   "%zu bytes more", heard(a));
    release(USER, "two");
    hear(a, "two user query stock\nafter two\n");
    set_backend(USER, ANSWERS);

    /* Many in one piece, and what is owed when the client has finished. */
    struct peer *c = connect_to(s);
    say(c, "search 1\n2\nsearch 3\nsearch 4\n5\nsearch 6\n7\n8\nsearch 9");
    finish_saying(c);
    hear(c, "1 user query stock\n2\n3 user query stock\n4 user query stock\n5\n"
            "6 user query stock\n7\n8\n9 user query stock");
    hear_end(c);
}

/* While backends think, echoes go on, on every thread that serves clients: clients are dealt out.
 */
static void echoes_go_on(struct server *s, struct peer *const *clients, int n)
{
    set_calls_held(true);
    for (int i = 0; i < n; i++) {
        say(clients[i], "meanwhile\n");
        hear(clients[i], "meanwhile\n");
    }
    struct peer *newcomer = connect_to(s);
    say(newcomer, "a newcomer\n");
    hear(newcomer, "a newcomer\n");
    hang_up(newcomer);
    expect_loops_waiting(s);
    set_calls_held(false);
}

void check_loop_never_blocks(void)
{
    enum { SEARCHING = 3, ECHOING = 6 };
    struct server *s = start_server(.backends = true);
    struct peer *searching[SEARCHING], *echoing[ECHOING];
    char words[40], line[60];
    for (int i = 0; i < ECHOING; i++) {
        echoing[i] = connect_to(s);
        say(echoing[i], "hello\n");
        hear(echoing[i], "hello\n");
    }
    for (int i = 0; i < SEARCHING; i++)
        searching[i] = connect_to(s);
    static const enum backend_mode manners[] = {HOLDS, HOLDS_HALF};
    for (int m = 0; m < 2; m++)
        for (enum backend b = USER; b < BACKENDS; b++) {
            set_backend(b, manners[m]);
            for (int i = 0; i < SEARCHING; i++) {
                snprintf(line, sizeof line, "search %s %d\n", names[b], i);
                if (i == SEARCHING - 1)
                    wait_for_calls(s, b, 1); /* this one asks while another is asked for */
                say(searching[i], line);
            }
            echoes_go_on(s, echoing, ECHOING);
            set_backend(b, ANSWERS);
            release_all(b);
            for (int i = 0; i < SEARCHING; i++) {
                snprintf(words, sizeof words, "%s %d", names[b], i);
                hear(searching[i], answer_to(words));
            }
        }
}

void check_backend_down(void)
{
    static const enum backend_mode manners[] = {REFUSES, CLOSES, CLOSES_BEFORE_NEWLINE};
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    expect_search(a, "first");
    wait_asleep(s);
    int before = count_descriptors(s);
    for (int m = 0; m < 3; m++)
        for (enum backend b = USER; b < BACKENDS; b++) {
            set_backend(b, manners[m]);
            int later = b == STOCK ? 0 : calls_at(STOCK);
            say(a, "search in vain\nand on\n");
            expect_error(a, b, "failed");
            hear(a, "and on\n");
            if (b != STOCK && calls_at(STOCK) != later)
                fail_check(s, "no call to the stock backend when one before it has failed",
                           "%d more", calls_at(STOCK) - later);
            set_backend(b, ANSWERS);
            expect_search(a, "in luck");
        }

    /* An answer has the same limit as a line. */
    char *longest = letters('x', MAX_LINE + 1);
    set_answer(QUERY, longest, MAX_LINE + 2);
    say(a, "search too much\n");
    expect_error(a, QUERY, "failed");
    set_answer(QUERY, longest, MAX_LINE + 1); /* and no newline comes */
    say(a, "search too much\n");
    expect_error(a, QUERY, "failed");
    set_backend(QUERY, ANSWERS);

    struct peer *b = connect_to(s);
    set_backend(USER, REFUSES);
    say(b, "search without a newline");
    finish_saying(b);
    hear(b, "error: user backend failed");
    hear_end(b);
    set_backend(USER, ANSWERS);
    expect_search(a, "last");
    expect_descriptors(s, before, "as many as before those searches");
}

/* The first client's search hangs at user, the second's at query, the third's at stock: one second
 * for all three. */
static void hang_at_each(struct server *s, struct peer *const *clients, enum backend_mode manner)
{
    char line[40];
    for (enum backend b = USER; b < BACKENDS; b++) {
        set_backend(b, manner);
        snprintf(line, sizeof line, "search hangs at %s\n", names[b]);
        say(clients[b], line);
        wait_for_calls(s, b, 1);
        set_backend(b, ANSWERS);
    }
}

void check_backend_hangs(void)
{
    enum { CLIENTS = BACKENDS + 2, FOURTH = BACKENDS };
    struct server *s = start_server(.backends = true);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    expect_search(clients[0], "first");
    wait_asleep(s);
    int before = count_descriptors(s);

    hang_at_each(s, clients, HOLDS);
    /* Nobody is let in there: now it is connect that takes its time, and nobody else's. */
    set_backend(QUERY, DOES_NOT_ACCEPT);
    say(clients[FOURTH], "search nobody there\n");
    wait_connecting(s, QUERY);
    echoes_go_on(s, clients + FOURTH + 1, 1);
    for (enum backend b = USER; b < BACKENDS; b++)
        expect_error(clients[b], b, "timed out");
    expect_error(clients[FOURTH], QUERY, "timed out");
    set_backend(QUERY, ANSWERS);
    expect_search(clients[0], "after that");

    /* All that can search were late by now, which says nothing about the next call: errno stays
     * what it was. */
    set_backend(USER, CLOSES);
    for (int i = 0; i < CLIENTS; i++)
        say(clients[i], "search in vain\n");
    for (int i = 0; i < CLIENTS; i++)
        expect_error(clients[i], USER, "failed");

    hang_at_each(s, clients, TRICKLES);
    /* Each call has a second of its own: three times half of it is fine. */
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, SLOW);
    say(clients[FOURTH], "search slow, but in time\n");
    for (enum backend b = USER; b < BACKENDS; b++)
        expect_error(clients[b], b, "timed out");
    hear(clients[FOURTH], answer_to("slow, but in time"));
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS);
    expect_search(clients[0], "after that");
    expect_descriptors(s, before, "as many as before those searches");
}

void check_backend_in_pieces(void)
{
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, IN_PIECES);
    expect_search(a, "in pieces");
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS_WITH_EXTRA);
    expect_search(a, "and more");
    say(a, "hello\n");
    hear(a, "hello\n");
}

/* ---- leaving and stopping ---------------------------------------------------------------- */

/* The answer comes when its client has left and nobody has its descriptor yet, or when a newcomer
 * has; or the server finds both at once, in this order or the other. */
enum moment { ALONE, LATER, AFTER, BEFORE };

/* A client leaves while the backend `b` has its search; the next gets its descriptor, and must not
 * get its answer. */
static void leaves(struct server *s, enum backend b, bool by_reset, enum moment when)
{
    struct peer *a = connect_to(s);
    set_backend(b, HOLDS);
    say(a, "search for somebody who leaves\n");
    wait_for_calls(s, b, 1);
    wait_asleep(s);
    bool at_once = when == AFTER || when == BEFORE;
    if (at_once)
        freeze(s);
    if (when == BEFORE)
        release_late(b);
    if (by_reset)
        reset(a);
    else
        hang_up(a);
    if (when == AFTER)
        release_late(b);
    if (at_once)
        thaw(s);
    wait_asleep(s);
    if (when == ALONE) {
        set_backend(b, ANSWERS);
        release_late(b);
        expect_searches_finished(s);
    }
    struct peer *newcomer = connect_to(s);
    wait_asleep(s);
    set_backend(b, ANSWERS);
    release_late(b);
    expect_searches_finished(s);
    say(newcomer, "I am somebody else\n");
    hear(newcomer, "I am somebody else\n");
    expect_search(newcomer, "somebody else");
    hang_up(newcomer);
    wait_asleep(s); /* and is put away before the next comes: who has whose memory is certain */
}

static void leave_in_all_ways(struct server *s)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        leaves(s, USER, by_reset, LATER);
        leaves(s, STOCK, by_reset, ALONE);
        leaves(s, STOCK, by_reset, LATER);
        leaves(s, STOCK, by_reset, AFTER);
        leaves(s, STOCK, by_reset, BEFORE);
    }
}

/* A reset is told also to who waits for nothing, again and again. */
static void idle_while_it_is_gone(struct server *s, uint64_t echo)
{
    set_backend(STOCK, HOLDS);
    for (int way = 0; way < 3; way++) {
        struct peer *b = connect_to(s);
        say(b, "search and leave\n");
        wait_for_calls(s, STOCK, 1);
        if (way != 0)
            finish_saying(b);
        wait_asleep(s);
        if (way != 1)
            reset(b);
        set_calls_held(true);
        expect_idle(s, echo,
                    way == 0   ? "while a backend thinks, and who asked has left"
                    : way == 1 ? "while a backend thinks, and who asked has finished"
                               : "while a backend thinks, and who asked has finished, "
                                 "and then left");
        set_calls_held(false);
        release_late(STOCK);
        wait_asleep(s);
        if (way == 1)
            hang_up(b);
    }
    set_backend(STOCK, ANSWERS);
    expect_idle(s, echo, "after those searches");
}

void check_client_leaves_early(void)
{
    struct server *s = start_server(.backends = true, .faults = "strict_close");
    struct peer *a = connect_to(s);
    expect_search(a, "first");
    uint64_t echo = cost_of_echo(s, a);
    hang_up(a);
    wait_asleep(s);
    int before = count_descriptors(s);
    idle_while_it_is_gone(s, echo);
    leave_in_all_ways(s);
    expect_descriptors(s, before, "all who searched have left");
    const char *err = standard_error_of(s);
    if (strstr(err, "this descriptor is not open") != NULL)
        fail_check(s, "each descriptor closed once: a second close hits who has its number then",
                   "%s", quoted(err, strlen(err), 0));

    s = start_server(.backends = true, .under = MEMCHECK);
    leave_in_all_ways(s);
    expect_clean_memory(s);
}

void check_stop_in_flight(void)
{
    enum { CLIENTS = 6 };
    for (enum backend b = USER; b < BACKENDS; b += 2) {
        struct server *s = start_server(.backends = true);
        struct peer *clients[CLIENTS];
        set_backend(b, HOLDS);
        for (int i = 0; i < CLIENTS; i++) {
            clients[i] = connect_to(s);
            say(clients[i], "six\nsearch in flight\n");
            hear(clients[i], "six\n");
        }
        wait_for_calls(s, b, 1);
        struct ending e = stop_server(s, SIGTERM);
        expect_summary_line(s, e, CLIENTS, ANY_BYTES);
        unsigned long long bytes = 0;
        if (sscanf(e.out, "served 6 connections, %llu bytes\n", &bytes) != 1 || bytes < CLIENTS * 4)
            fail_check(s, "at least the 24 bytes that the clients have heard", "%s",
                       quoted(e.out, strlen(e.out), 0));
    }
    struct server *s = start_server(.backends = true, .under = MEMCHECK);
    set_backend(QUERY, HOLDS);
    wait_asleep(s);
    freeze(s); /* more have asked than can be served at once, before the first of them is */
    for (int i = 0; i < CLIENTS; i++)
        say(connect_to(s), "search in flight\n");
    thaw(s);
    wait_for_calls(s, QUERY, 1);
    expect_clean_memory(s);
}

/* ---- hints, needs and commands: a lab may say otherwise ------------------------------------ */

#define RUN                                                                                        \
    "make backends                # in one terminal, in a second: make run, and in a third:\n"

const struct check searching_labs[] = {
    {.name = "lines",
     .needs = "echo_line",
     .hint = "recv() gives pieces, not lines: keep what has come until its newline is there, and "
             "answer all the lines that are.",
     .by_hand =
         "make run                    # and in a second terminal:\n"
         "(printf two; sleep 1; printf ' pieces\\nthree\\nlines\\nin'; sleep 1; echo ' one') "
         "| nc -N 127.0.0.1 9000"},
    {.name = "short_sends",
     .needs = "lines",
     .hint =
         "send() took a part, or nothing (EAGAIN): the rest waits until there is room, and then "
         "it goes out without being asked for.",
     .by_hand = "make run FAULTS=small_buffers    # and in a second terminal:\n"
                "seq 1000000 | nc -N 127.0.0.1 9000 | (sleep 1; tail -n 1)   # 1000000"},
    {.name = "line_too_long",
     .needs = "in_order silent_client",
     .hint = "After the message: shutdown(fd, SHUT_WR), and read on until the client has finished. "
             "close() with unread bytes is a reset, which may overtake the message: tcp(7).",
     .by_hand = "make run                    # and in a second terminal:\n"
                "(echo before; head -c 5000 /dev/zero | tr '\\0' x; echo; seq 1000000) | nc -N "
                "127.0.0.1 9000"},
    {.name = "search",
     .needs = "lines",
     .hint = "The words go to the user backend, its answer to query, its answer to stock, and that "
             "answer to the client: a connection each, a line out, a line back.",
     .by_hand = RUN "printf 'search red shoes\\n' | nc -N 127.0.0.1 9000\n"
                    "# red shoes user query stock"},
    {.name = "in_order",
     .needs = "loop_never_blocks",
     .hint = "While an answer is owed to a client, its next lines wait, also those that need only "
             "an echo.",
     .by_hand = RUN "printf 'search one\\nafter one\\n' | nc -N 127.0.0.1 9000"},
    {.name = "loop_never_blocks",
     .needs = "backend_in_pieces idle_is_free",
     .hint = "While a backend thinks, or does not even answer the connect, the loop must be in "
             "epoll_wait, for everybody else.",
     .by_hand = "make backends DELAY=900     # in one terminal, in a second: make run, and in a "
                "third:\n"
                "echo search | tr '\\n' ' ' | nc -N 127.0.0.1 9000 & echo hello | nc -N 127.0.0.1 "
                "9000; wait"},
    {.name = "backend_down",
     .needs = "in_order",
     .hint = "connect() refused, 0 from recv() before the newline, a line that does not end: each "
             "is this backend's failure. Close its socket, tell the client, ask no other.",
     .by_hand = "make run                    # without backends; and in a second terminal:\n"
                "echo 'search x' | nc -N 127.0.0.1 9000          # error: user backend failed"},
    {.name = "backend_hangs",
     .needs = "backend_down",
     .hint = "The second counts from the beginning of the call, not from the last byte: take what "
             "is left of it for each wait.",
     .by_hand =
         "nc -lk 127.0.0.1 9001       # you are the user backend; in a second terminal: make "
         "run, in a third:\n"
         "echo 'search x' | nc -N 127.0.0.1 9000          # error: user backend timed out"},
    {.name = "backend_in_pieces",
     .needs = "search",
     .hint = "A backend's answer comes in pieces like everything else: it is complete when its "
             "newline is there, and what is behind that is nobody's.",
     .by_hand = "nc -lk 127.0.0.1 9001       # you are the user backend: type one, Ctrl-D, two, "
                "Enter\n"
                "# in a second terminal: make run, in a third: echo 'search x' | nc -N 127.0.0.1 "
                "9000"},
    {.name = "thousand_in_flight",
     .needs = "backend_hangs",
     .hint = "Each search has a line, a connection and a next step of its own: none of it in a "
             "variable that all share, or in a table that is too small.",
     .by_hand = "make backends DELAY=300     # in one terminal, in a second: make run, and in a "
                "third:\n"
                "time (for i in $(seq 50); do echo \"search $i\" | nc -N 127.0.0.1 9000 & done; "
                "wait)   # 0.9 s"},
    {.name = "client_leaves_early",
     .needs = "memory in_order backend_down",
     .hint =
         "When the answer is there, who asked may have left, and its descriptor may be somebody "
         "else's by then.",
     .by_hand = "make backends DELAY=300     # in one terminal, in a second: make run, and in a "
                "third:\n"
                "echo 'search x' | nc -w 1 127.0.0.1 9000 & sleep 0.1; kill $!; nc 127.0.0.1 9000\n"
                "# must stay silent"},
    {.name = "stop_in_flight",
     .needs = "client_leaves_early backend_hangs",
     .hint =
         "Who is in the middle of a search when the signal comes? It may be cut short or brought "
         "to its end, but all must be closed, freed and joined.",
     .by_hand = "make backends DELAY=900     # in one terminal, in a second: make run, and in a "
                "third:\n"
                "echo 'search x' | nc -N 127.0.0.1 9000          # then Ctrl-C in the second"},
    {.name = NULL},
};
