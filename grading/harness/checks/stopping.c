/* Stopping: SIGTERM or SIGINT at any moment, and the summary line. */
#include "checks/common.h"
#include "shared_checks.h"
#include "steps.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void expect_summary_line(struct server *s, struct ending e, int connections, size_t bytes)
{
    char line[100], expected[120];
    expect_own_children_signalled(s, e);
    if (e.by_signal || e.code != 0) {
        note_failure(EXIT_STATUS);
        fail_check(s, "exit status 0 after SIGTERM or SIGINT", "%s", describe_ending(s));
    }
    if (bytes == ANY_BYTES)
        snprintf(line, sizeof line, "served %d connections, ", connections);
    else
        snprintf(line, sizeof line, "served %d connections, %zu bytes\n", connections, bytes);
    snprintf(expected, sizeof expected, "%s on standard output%s", quoted(line, strlen(line), 0),
             bytes == ANY_BYTES ? ", and the number of bytes" : "");
    bool correct =
        bytes == ANY_BYTES ? strncmp(e.out, line, strlen(line)) == 0 : strcmp(e.out, line) == 0;
    if (!correct) {
        note_failure(WRONG_SUMMARY);
        fail_check(s, expected, "%s", quoted(e.out, strlen(e.out), 0));
    }
}

/* Stops the server while output is pending for a client that does not read. What send() took is in
 * the kernel, and counts; the rest is in the server or has not even been read, and does not. */
static void expect_count_of_sent_bytes(void)
{
    enum { LAST_TRY = 3072 }; /* room that one more send() might find, at most */
    set_hint("The client sends without reading until all buffers are full. The server keeps what "
             "it could not send until there is room, and leaves the connection open.",
             "make run                    # and in a second terminal:\n"
             "seq 1000000 | nc -N 127.0.0.1 9000 | (sleep 2; tail -n 1)   # 1000000");
    struct server *s = start_server(.faults = "small_buffers");
    struct peer *c = connect_small(s);
    stop_reading(c);
    char *text = long_text(MANY_BYTES); /* more than the kernel takes back at first */
    size_t requested = send_while_frozen(s, c, text, MANY_BYTES);
    free(text);
    wait_to_be_read(s, c, MANY_BYTES / 3);
    thaw(s);
    requested += send_until_blocked(c);
    wait_asleep(s);
    bool in_send = is_sending(s);
    freeze(s);
    struct sent sent = sent_to(s, c);
    set_hint("The client does not read, and the server has output for it that it could not send: "
             "the signal must end it all the same.",
             NULL);
    struct ending e = stop_server(s, SIGTERM);
    expect_summary_line(s, e, 1, ANY_BYTES);
    set_hint_if(WRONG_SUMMARY, "The client does not read, so the server could not send all that it "
                               "had received. Count what send() returned, not what recv() returned "
                               "or what was passed to send().");
    unsigned long long bytes = 0;
    char expected[160];
    snprintf(expected, sizeof expected, "a count of the bytes that send() took, from %zu to %zu",
             sent.least, sent.most);
    /* A send() that the signal ends may not return how much it took. */
    if (sscanf(e.out, "served 1 connections, %llu bytes\n", &bytes) != 1 ||
        bytes > sent.most + LAST_TRY || (!in_send && bytes < sent.least)) {
        note_failure(WRONG_SUMMARY);
        fail_check(s, expected, "%s; the client had sent %zu", quoted(e.out, strlen(e.out), 0),
                   requested);
    }
}

static void stop_with_idle_client(void)
{
    enum { SIZE = 960 }; /* more than an exit status could carry */
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    send_text(a, "one, two,\n");
    receive_text(a, "one, two,\n");
    send_text(a, "three\n");
    receive_text(a, "three\n");
    hang_up(a);
    wait_asleep(s);
    struct peer *b = connect_to(s);
    char *text = long_text(SIZE);
    send_bytes(b, text, SIZE);
    receive_bytes(b, text, SIZE);
    free(text);
    wait_reading_from(s, b);
    struct ending e = stop_server(s, SIGINT);
    if (strcmp(e.out, "served 2 connections, 16 bytes\n") == 0)
        set_hint_if(WRONG_SUMMARY,
                    "The 16 bytes of the client that had left are counted; the 960 of the one that "
                    "was still connected are not. Whatever serves that client must still add them "
                    "when it is stopped, and only then may the total be printed.");
    expect_summary_line(s, e, 2, 976);
    receive_eof_or_reset(b);
}

/* Connects a client to a server that the fault stops at a certain moment. `leaves`: the moment
 * comes only when the client has left. */
static void expect_stop_by_fault(const char *fault, bool leaves)
{
    struct server *s = start_server(.faults = fault);
    struct peer *p = connect_to(s);
    struct ending e;
    if (leaves)
        hang_up(p);
    if (exited_by_fault(s, &e))
        expect_summary_line(s, e, 1, 0);
}

/* The signal arrives when no thread is blocked yet, and nothing will look at `stopping` again. */
static void stop_at_worst_moments(bool has_loop)
{
    set_hint("The signal arrived just before a blocking call, or just after accept() returned and "
             "before the client was registered. After that, what checks `stopping`, or shuts the "
             "socket down?",
             "make run FAULTS=term_before_accept=2    # or term_after_accept=1\n"
             "# in a second terminal; the server must end by itself, at once:\n"
             "sleep 3 | nc -N 127.0.0.1 9000");
    expect_stop_by_fault("term_before_accept=2", one_at_a_time);
    expect_stop_by_fault("term_after_accept=1", false);
    if (has_loop) {
        set_hint("The signal arrived after the loop had checked `stopping`, just before the call "
                 "that waits: a flag wakes nothing. Make a descriptor ready (shut down the "
                 "listening socket, write to a pipe), or let pselect or epoll_pwait unblock the "
                 "signal.",
                 "make run FAULTS=term_before_wait=1\n"
                 "# in a second terminal; the server must end by itself, at once:\n"
                 "sleep 60 | nc 127.0.0.1 9000");
        expect_stop_by_fault("term_before_wait=1", one_at_a_time);
    }
    set_hint(NULL, NULL);
}

/* What is always ready to be received must not keep the server from ending. */
static void stop_while_flooded(void)
{
    set_hint(
        "A client never stops sending, so there is always something to receive. Shutting down "
        "must end that, too: check for it before you receive.",
        "make run FAULTS=never_drained=1    # and in a second terminal:\n"
        "echo more | nc 127.0.0.1 9000 >/dev/null & sleep 1\n"
        "s=$(make pid); kill $s    # the server must end; Ctrl-C would end the client as well");
    set_hint_if(SPINNING, OWN_HINT);
    struct server *s = start_server(.faults = "never_drained=1");
    struct peer *endless = connect_to(s), *others[2] = {connect_to(s), connect_to(s)};
    send_text(endless, "more and more, and never an end\n");
    if (!are_served(s, others[0], others[1])) /* no_starvation reports it */
        return;
    send_text(endless, "more\n"); /* it is never received, so there is always an event */
    expect_summary_line(s, stop_server(s, SIGTERM), 3, ANY_BYTES);
    set_hint(NULL, NULL);
}

static void stop_with_several_clients(const char *faults)
{
    enum { CLIENTS = 5 };
    struct server *s = start_server(.faults = faults);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "five of us\n");
        receive_text(clients[i], "five of us\n");
    }
    hang_up(clients[0]);
    for (int i = 1; i < CLIENTS; i++)
        wait_reading_from(s, clients[i]);
    expect_summary_line(s, stop_server(s, SIGTERM), CLIENTS, 55);
    for (int i = 1; i < CLIENTS; i++)
        receive_eof_or_reset(clients[i]);
}

/* Whatever waits for a condition variable wakes up once too early, and what a thread does after it
 * has unlocked a mutex comes too late. */
static void stop_with_late_threads(void)
{
    set_hint(
        "The summary must include every thread's bytes. pthread_cond_wait() may return although "
        "nothing has happened, or when the first thread has ended: check in a while loop "
        "whether all have. And a thread must have counted before main can see that it has "
        "ended.",
        "make run FAULTS=spurious_wakeup=1000,late_ends    # in a second terminal:\n"
        "for i in 1 2; do\n"
        "    (echo hello; sleep 60) | nc 127.0.0.1 9000 >answer$i & done\n"
        "until [ -s answer1 ] && [ -s answer2 ]; do sleep 0.1; done\n"
        "rm answer1 answer2\n"
        "# then Ctrl-C in the first: served 2 connections, 12 bytes");
    set_hint_if(WRONG_SUMMARY, OWN_HINT);
    stop_with_several_clients("spurious_wakeup=1000,late_ends");
    set_hint(NULL, NULL);
}

/* A client that has left must not be among those that are closed at the end. */
static void close_nothing_twice(void)
{
    struct server *s = start_server(.faults = "strict_close");
    struct peer *stays = connect_and_greet(s);
    expect_service(s);
    wait_asleep(s);
    if (has_closed_twice(s)) /* no_leaked_descriptors reports it */
        return;
    set_hint("At the end the server closes those clients that are still connected. This one had "
             "left and been closed before: remove a client from the list, and free it, when you "
             "close it.",
             "make run FAULTS=strict_close    # and in a second terminal:\n"
             "echo hello | nc -N 127.0.0.1 9000\n"
             "# then Ctrl-C in the first terminal");
    stop_server(s, SIGTERM);
    expect_closed_once(s);
    set_hint(NULL, NULL);
    receive_eof_or_reset(stays);
}

DEFINE_SHARED_CHECK(
    stop, .needs = "half_close client_vanishes",
    .hint = "After the signal, whatever call the server is blocked in must return. A flag alone "
            "wakes nothing: the kernel may restart the call (SA_RESTART), or a different thread "
            "may have received the signal. Shutting down a socket wakes a call on it.",
    .hint_if = {[SPINNING] = "After the signal the server keeps running: its waiting call returns "
                             "at once, and the loop continues. Which condition must end the loop, "
                             "and why does it not hold?"},
    .by_hand = "make run                    # and in a second terminal:\n"
               "sleep 60 | nc 127.0.0.1 9000 &                  # a silent client\n"
               "seq 10000000 | nc 127.0.0.1 9000 | sleep 60 & sleep 1   # a slow reader\n"
               "# then Ctrl-C in the first terminal must end the server")
{
    struct server *s = start_server();
    wait_asleep(s);
    bool has_loop = waits_in_multiplexer(s);
    set_hint(NULL, "make run                    # and no client\n"
                   "# then Ctrl-C in the first terminal must end the server");
    expect_summary_line(s, stop_server(s, SIGTERM), 0, 0);
    set_hint(NULL, NULL);
    stop_with_idle_client();
    expect_count_of_sent_bytes();
    set_hint(NULL, NULL);
    stop_at_worst_moments(has_loop);
    if (one_at_a_time)
        return;
    close_nothing_twice();
    if (!has_loop)
        stop_with_late_threads();
    stop_with_several_clients(NULL);
    if (searches)
        stop_while_flooded();
}
