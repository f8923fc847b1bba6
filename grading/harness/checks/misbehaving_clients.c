/* Clients that misbehave: they vanish, stay silent, do not read, or never stop sending. */
#include "checks/common.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>

/* The client has sent text and is gone when the server sends it back: the first send meets a reset,
 * a second one would raise SIGPIPE. */
static void vanish_without_reading(struct server *s)
{
    struct peer *b = connect_and_greet(s);
    char *text = long_text(MANY_BYTES);
    send_while_frozen(s, b, text, MANY_BYTES);
    free(text);
    hang_up(b);
    thaw(s);
}

/* A client left before it was accepted. The next one in the backlog is still there. */
static void vanish_before_accept(void)
{
    set_hint("accept() fails with ECONNABORTED when a client has left before it was accepted. That "
             "is no reason to end: accept(2). Wait for the next client.",
             "make run FAULTS=accept_fails=2    # and in a second terminal:\n"
             "for i in 1 2; do echo hello | nc -N 127.0.0.1 9000; done");
    set_hint_if(EXITED, OWN_HINT);
    struct server *s = start_server(.faults = "accept_fails=2");
    connect_and_greet(s);
    connect_and_greet(s);
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    client_vanishes, .needs = "echo_line",
    .hint = "recv() and send() fail when the client is gone: that ends this connection, not the "
            "server. send() also raises SIGPIPE, unless you pass MSG_NOSIGNAL.",
    .hint_if = {[EXITED] = "recv() and send() fail when the client is gone: that ends this "
                           "connection, not the server. What calls exit() then? "
                           "die()?",
                [NEVER_READ] = HINT_NEVER_READ},
    .by_hand = "make run FAULTS=short_recv=4096   # in a second terminal, bash:\n"
               "s=$(make pid); kill -STOP $s\n"
               "seq 10000 >/dev/tcp/127.0.0.1/9000; kill -CONT $s  # reads nothing\n"
               "(echo hello; sleep 1) >/dev/tcp/127.0.0.1/9000     # resets\n"
               "echo 'still there?' | nc -N 127.0.0.1 9000")
{
    /* Short receives, so that a server with a big buffer has to send more than once as well. */
    struct server *s =
        start_server(.faults = trusts_short_counts ? "small_buffers" : "short_recv=4096");
    bool was_idle = is_idle(s, ECHO_NANOSECONDS); /* if not, idle_is_free reports it */
    struct peer *a = connect_and_greet(s);
    reset(a);
    expect_service(s);

    vanish_without_reading(s);
    expect_service(s);

    /* The server is sending to a client that does not read, and now resets. */
    struct peer *c = connect_to(s);
    stop_reading(c);
    send_until_blocked(c);
    reset(c);
    set_hint("A client that did not read has gone. Every wait reports it until its descriptor is "
             "closed, and once it is closed nothing may use it: which event, or which error of "
             "recv() or send(), does not lead there?",
             "make run                    # and in a second terminal:\n"
             "yes | nc 127.0.0.1 9000 | sleep 9 & sleep 2; kill -KILL %1; wait\n"
             "s=$(make pid); cat /proc/$s/schedstat; sleep 1; cat /proc/$s/schedstat\n"
             "# CPU time in nanoseconds, ..., how often it ran: these two must not grow");
    set_hint_if(SPINNING, OWN_HINT);
    set_hint_if(EXITED, OWN_HINT);
    set_hint_if(NEVER_READ, HINT_NEVER_READ);
    if (was_idle)
        expect_idle(s, ECHO_NANOSECONDS,
                    "after a client that was not reading has reset its connection");
    expect_service(s);
    if (trusts_short_counts)
        vanish_before_accept();
}

/* Output waits for client B, from near the beginning of a buffer on, and as much arrives from
 * client C in one piece: they must not overwrite each other. */
static void expect_separate_buffers(struct server *s)
{
    /* One after the other: simultaneous connections are tested by crowd and own_argument. */
    struct peer *b = connect_small(s);
    greet(b);
    struct peer *c = connect_and_greet(s);
    char *text = long_text(MANY_BYTES), *stars = long_text(MANY_BYTES);
    for (int i = 0; i < MANY_BYTES; i++)
        stars[i] = stars[i] == '\n' ? '\n' : '*';
    size_t sent_by_b = send_while_frozen(s, b, text, MANY_BYTES);
    stop_reading(b);
    thaw(s);
    size_t sent_by_c = send_while_frozen(s, c, stars, MANY_BYTES);
    thaw(s);
    receive_bytes(c, stars, sent_by_c);
    resume_reading(b);
    receive_bytes(b, text, sent_by_b);
    free(text);
    free(stars);
}

/* Lines of stars: other bytes than long_text(). */
static char *star_lines(size_t size)
{
    char *stars = malloc(size);
    if (stars == NULL)
        grader_error("out of memory");
    memset(stars, '*', size);
    for (size_t i = 99; i < size; i += 100)
        stars[i] = '\n';
    return stars;
}

DEFINE_SHARED_CHECK(
    silent_client, .needs = "pieces",
    .hint = "While one client is silent or does not read, the server must be able to serve the "
            "others.",
    .hint_if = {[WRONG_BYTES] =
                    "Two clients send different texts, numbers and lines of stars. One's bytes in "
                    "the other's answer mean a buffer that both use; a gap in the numbers means "
                    "that something was lost while its client did not read."},
    .by_hand = "make run                    # and in a second terminal:\n"
               "sleep 60 | nc 127.0.0.1 9000 &\n"
               "yes | nc 127.0.0.1 9000 | sleep 60 & sleep 2\n"
               "echo 'is anybody there?' | nc -N -w 1 127.0.0.1 9000; kill %1 %2")
{
    enum { SIZE = 100000 };
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    wait_reading_from(s, a);
    expect_service(s);
    struct peer *b = connect_to(s);
    stop_reading(b);
    size_t sent = send_until_blocked(b);
    expect_service(s);
    char *stars = star_lines(SIZE); /* must not end up where the output for B waits */
    struct peer *c = connect_to(s);
    send_bytes(c, stars, SIZE);
    receive_bytes(c, stars, SIZE);
    free(stars);
    hang_up(c);
    set_hint("A client has sent without reading, and now reads again. The server must have kept "
             "what it could not send: it sends that now, and then reads the rest.",
             "make run                    # and in a second terminal:\n"
             "seq 1000000 | nc -N 127.0.0.1 9000 | (sleep 2; tail -n 1)   # 1000000");
    set_hint_if(WRONG_BYTES, HINT_NUMBERED_TEXT);
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_hint_if(MISSING_BYTES, OWN_HINT);
    resume_reading(b);
    receive_long_text(b, sent);
    set_hint(NULL, NULL);
    send_text(a, "at last\n");
    receive_text(a, "at last\n");
    expect_separate_buffers(start_server(.faults = "small_buffers"));
}

DEFINE_SHARED_CHECK(
    slow_reader, .needs = "half_close silent_client",
    .hint = "What a client has sent but not read back accumulates in the server. When that is "
            "about 64 KiB, stop reading from this client until some of it has been sent.",
    .hint_if = {[WRONG_BYTES] = HINT_NUMBERED_TEXT},
    .by_hand = "make run                    # and in a second terminal, bash:\n"
               "exec 3<>/dev/tcp/127.0.0.1/9000; seq 10000000 >&3 & sleep 3\n"
               "grep VmRSS /proc/$(make pid)/status\n"
               "head -n 10000000 <&3 | tail -n 1    # 10000000")
{
    /* A sanitizer keeps freed memory for a while (grading/tests/sanitized). */
    const uint64_t bound = (without_valgrind ? 4 : 1) * 1024 * 1024;
    struct server *s = start_server();
    struct peer *b = connect_to(s);
    send_text(b, "before\n");
    receive_text(b, "before\n");
    wait_asleep(s);
    uint64_t before = memory_of(s);
    struct peer *a = connect_to(s);
    stop_reading(a);
    size_t sent = send_until_blocked(a);
    uint64_t more = memory_of(s) - before;
    if (sent >= 64 * 1024 * 1024 || (more > bound && more < UINT64_MAX / 2))
        fail_check(s, "no more reading from a client that is about 64 KiB behind",
                   "the client could send %zu bytes, and the server's memory grew by %llu KiB",
                   sent, (unsigned long long)more / 1024);
    set_hint("Client A does not read, which may delay no other client: client B must be served.",
             NULL);
    send_text(b, "meanwhile\n");
    receive_text(b, "meanwhile\n");
    set_hint("Client A reads again: all that it sent must come back. When pending output has been "
             "sent, the server must read from that client again.",
             NULL);
    set_hint_if(MISSING_BYTES, OWN_HINT);
    set_hint_if(WRONG_BYTES, HINT_NUMBERED_TEXT);
    resume_reading(a);
    receive_long_text(a, sent);
    send_text(a, "on we go\n");
    receive_text(a, "on we go\n");
    /* Behind again, and with a half-close: the pending output must still be sent, and then FIN. */
    set_hint(
        "The client has half-closed while output is pending for it: send the rest, then close.",
        NULL);
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_hint_if(MISSING_BYTES, OWN_HINT);
    stop_reading(a);
    sent = send_until_blocked(a);
    send_fin(a);
    send_text(b, "and again\n");
    receive_text(b, "and again\n");
    resume_reading(a);
    receive_long_text(a, sent);
    receive_eof(a);
}

/* The fault makes one client's input endless. The others are several, since a server may distribute
 * them over its threads. */
DEFINE_SHARED_CHECK(
    no_starvation, .needs = "silent_client",
    .hint = "A client that never stops sending is never drained. Read from it once, then turn to "
            "the other clients.",
    .hint_if = {[SPINNING] = OWN_HINT},
    .by_hand = "make run FAULTS=never_drained=1    # in a second terminal:\n"
               "echo more | nc 127.0.0.1 9000 >/dev/null & sleep 1   # it never stops\n"
               "for i in 1 2; do echo 'and I?' | nc -N 127.0.0.1 9000; done\n"
               "kill $!")
{
    enum { OTHERS = 4, ROUNDS = 5 };
    struct server *s = start_server(.faults = "never_drained=5"); /* OTHERS + 1 */
    struct peer *others[OTHERS];
    for (int i = 0; i < OTHERS; i++)
        others[i] = connect_and_greet(s);
    struct peer *e = connect_to(s);
    send_text(e, "more and more, and never an end\n");
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OTHERS; i++)
            send_text(others[i], "and I?\n");
        for (int i = 0; i < OTHERS; i++)
            receive_text(others[i], "and I?\n");
    }
    for (int i = 0; i < OTHERS; i++) {
        struct peer *newcomer = connect_to(s);
        send_text(newcomer, "and a newcomer?\n");
        receive_text(newcomer, "and a newcomer?\n");
        hang_up(newcomer);
    }
}
