/* Labs 6 to 8: backends that fail, hang, or answer in pieces. */
#include "call_deadlines.h"
#include "search_steps.h"
#include "shared_checks.h"

#include "core/clock.h"

#include <stdio.h>

/* The answer and FIN are both there when the server looks. */
static void answer_and_close_at_once(struct server *s, struct peer *a)
{
    static const char *const requests[] = {"at once", "at once user", "at once user query"};
    set_hint(
        "The backend has sent its whole answer and then closed. Receive what has arrived "
        "before you treat the connection as closed, even if epoll reports both at once.",
        "(sleep 3; echo yes) | nc -lN 127.0.0.1 9001    # you are the user backend\n"
        "# in a second terminal: make run; in a third: echo 'search x' | nc -N 127.0.0.1 9000\n"
        "# error: query backend failed: the user backend has answered");
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, HOLDS_THEN_CLOSES);
    send_text(a, "search at once\n");
    for (enum backend b = USER; b < BACKENDS; b++) {
        wait_for_calls(s, b, 1);
        wait_asleep(s);
        freeze(s);
        release(b, requests[b]);
        thaw(s);
    }
    receive_text(a, answer_to("at once"));
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS);
}

/* The longest request does not fit into the smallest send buffer. */
static void send_request_in_pieces(void)
{
    enum { WORDS = MAX_LINE - 16 }; /* " user query stock" is 17 bytes, and the limit is 4096 */
    set_hint("send() took only a part of the request to the backend. Send the rest, from where it "
             "stopped, until all of it is sent.",
             "make run FAULTS=small_buffers   # second terminal: make backends; third:\n"
             "(printf 'search '; head -c 4000 /dev/zero | tr '\\0' x; echo) |\n"
             "    nc -N 127.0.0.1 9000 | wc -c   # 4018");
    struct server *s = start_server(.backends = true, .faults = "small_buffers");
    shrink_backend_buffers();
    struct peer *p = connect_to(s);
    char *words = line_of('x', WORDS - 1);
    words[WORDS - 1] = '\0';
    expect_search(p, words);
}

DEFINE_SHARED_CHECK(
    backend_in_pieces, .needs = "search",
    .hint = "A backend's answer may arrive in pieces, too: it is complete when its newline is "
            "there. Ignore what follows.",
    .by_hand = "nc -lk 127.0.0.1 9001       # you are the user backend\n"
               "# in a second terminal: make run; in a third:\n"
               "echo 'search x' | nc -N 127.0.0.1 9000\n"
               "# then type in the first: one, Ctrl-D, two, Enter")
{
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, IN_PIECES);
    expect_search(a, "in pieces");
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS_WITH_EXTRA);
    expect_search(a, "and more");
    send_text(a, "hello\n");
    receive_text(a, "hello\n");

    set_hint("The longest answer has 4,096 bytes and a newline, which may arrive on its own: "
             "without it the answer is not yet too long.",
             "(head -c 4096 /dev/zero | tr '\\0' x; sleep 0.5; echo) |\n"
             "    nc -lN 127.0.0.1 9003   # you are the stock backend\n"
             "# second terminal: make backends BACKENDS='9001 9002'; third: make run\n"
             "echo 'search x' | nc -N 127.0.0.1 9000 | wc -c    # 4097");
    set_backend(USER, ANSWERS);
    set_backend(QUERY, ANSWERS);
    set_backend(STOCK, IN_PIECES);
    char *longest = line_of('x', MAX_LINE);
    set_answer(STOCK, longest, MAX_LINE + 1);
    send_text(a, "search the longest answer\n");
    receive_text(a, longest);
    answer_and_close_at_once(s, a);
    send_request_in_pieces();
    set_hint(NULL, NULL);
}

static void search_in_vain(struct server *s, struct peer *a, enum backend b, enum backend_mode mode)
{
    set_backend(b, mode);
    int before = calls_at(STOCK);
    send_text(a, "search in vain\nand on\n");
    expect_error(a, b, "failed");
    receive_text(a, "and on\n");
    if (b != STOCK && calls_at(STOCK) != before)
        fail_check(s, "no call to the stock backend after an earlier one has failed",
                   "%d more calls", calls_at(STOCK) - before);
    set_backend(b, ANSWERS);
    expect_search(a, "in luck");
}

/* An answer has the same limit as a line; with a newline or without. */
static void search_with_long_answers(struct peer *a)
{
    char *longest = line_of('x', MAX_LINE + 1);
    set_answer(QUERY, longest, MAX_LINE + 2);
    send_text(a, "search too much\n");
    expect_error(a, QUERY, "failed");
    set_answer(QUERY, longest, MAX_LINE + 1);
    send_text(a, "search too much\n");
    expect_error(a, QUERY, "failed");
    set_backend(QUERY, ANSWERS);
}

DEFINE_SHARED_CHECK(
    backend_down, .needs = "in_order",
    .hint = "A refused connect(), recv() that returns 0 before the newline, a line that is too "
            "long: in each case this backend has failed. Close its socket, send the client the "
            "error, and do not call the next backend.",
    .by_hand = "make run                    # no backends; in a second terminal:\n"
               "echo 'search x' | nc -N 127.0.0.1 9000\n"
               "# error: user backend failed")
{
    static const enum backend_mode modes[] = {REFUSES, CLOSES, CLOSES_BEFORE_NEWLINE};
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    expect_search(a, "first");
    wait_asleep(s);
    int before = count_descriptors(s);
    for (int m = 0; m < 3; m++)
        for (enum backend b = USER; b < BACKENDS; b++)
            search_in_vain(s, a, b, modes[m]);
    search_with_long_answers(a);

    struct peer *b = connect_to(s);
    set_backend(USER, REFUSES);
    send_text(b, "search without a newline");
    send_fin(b);
    receive_text(b, "error: user backend failed");
    receive_eof(b);
    set_backend(USER, ANSWERS);
    expect_search(a, "last");
    expect_descriptors(s, before, "as many as before those searches");
}

/* The first client's search hangs at user, the second's at query, the third's at stock: all within
 * the same second. */
static void hang_at_each(struct server *s, struct peer *const *clients, enum backend_mode mode)
{
    char line[40];
    for (enum backend b = USER; b < BACKENDS; b++) {
        set_backend(b, mode);
        snprintf(line, sizeof line, "search hangs at %s\n", backend_names[b]);
        send_text(clients[b], line);
        wait_for_calls(s, b, 1);
        set_backend(b, ANSWERS);
    }
}

static void expect_timeouts(struct peer *const *clients)
{
    for (enum backend b = USER; b < BACKENDS; b++)
        expect_error(clients[b], b, "timed out");
}

enum { FOURTH = BACKENDS, FIFTH, HANG_CLIENTS };

/* Silent backends, and one whose connect() hangs: this must not delay other clients. */
static void expect_timeouts_of_silence(struct server *s, struct peer *const *clients)
{
    hang_at_each(s, clients, HOLDS);
    set_backend(QUERY, DOES_NOT_ACCEPT);
    send_text(clients[FOURTH], "search nobody there\n");
    wait_connecting(s, QUERY);
    expect_echoes_while_held(s, clients + FIFTH, 1);
    expect_timeouts(clients);
    expect_error(clients[FOURTH], QUERY, "timed out");
    set_backend(QUERY, ANSWERS);
    expect_search(clients[0], "after that");
}

/* Every client's last call has timed out: a stale errno must not make the next error "timed out".
 */
static void expect_failures_after_timeouts(struct peer *const *clients)
{
    set_backend(USER, CLOSES);
    for (int i = 0; i < HANG_CLIENTS; i++)
        send_text(clients[i], "search in vain\n");
    for (int i = 0; i < HANG_CLIENTS; i++)
        expect_error(clients[i], USER, "failed");
}

/* Answers that trickle in time out; three calls that take half a second each do not. */
static void expect_deadline_per_call(struct server *s, struct peer *const *clients)
{
    hang_at_each(s, clients, TRICKLES);
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, SLOW);
    send_text(clients[FOURTH], "search slow, but in time\n");
    expect_timeouts(clients);
    receive_text(clients[FOURTH], answer_to("slow, but in time"));
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS);
    expect_search(clients[0], "after that");
}

/* The answer has arrived and the call's second is over before the server handles either: it must
 * complete the call once. With the fault the loop finds both in one round, the answer first;
 * without it, the server is stopped until the second is over, and finds the deadline first. */
static void expect_one_result(const char *faults)
{
    set_hint("The answer had arrived, and the time was up. Whichever is handled first completes "
             "the call: the other must find it completed.",
             "make run FAULTS=late_after_stop=1100\n"
             "# second terminal: make backends DELAY=300; third:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000 &\n"
             "s=$(pgrep -nf 'server 9000'); kill -STOP $s; kill -CONT $s; wait");
    struct server *s = start_server(.backends = true, .faults = faults);
    struct peer *p = connect_to(s);
    set_backend(USER, HOLDS);
    send_text(p, "search at the deadline\n");
    wait_for_calls(s, USER, 1);
    wait_asleep(s);
    freeze(s);
    release(USER, "at the deadline");
    set_backend(USER, ANSWERS);
    struct wait w = begin_wait(s);
    for (double over = now() + 1; faults == NULL && now() < over && continue_wait(&w);)
        ;
    thaw(s);
    receive_one_of(p, answer_to("at the deadline"), "error: user backend timed out\n");
    expect_search(p, "after that");
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    backend_hangs, .needs = "backend_down",
    .hint = "The timeout starts with the call, not with the last byte received: for each wait, "
            "allow only what is left of it.",
    .by_hand = "nc -lk 127.0.0.1 9001       # you are the user backend\n"
               "# in a second terminal: make run; in a third:\n"
               "echo 'search x' | nc -N 127.0.0.1 9000\n"
               "# error: user backend timed out")
{
    struct server *s = start_server(.backends = true);
    struct peer *clients[HANG_CLIENTS];
    for (int i = 0; i < HANG_CLIENTS; i++)
        clients[i] = connect_to(s);
    expect_search(clients[0], "first");
    wait_asleep(s);
    int before = count_descriptors(s);
    expect_timeouts_of_silence(s, clients);
    expect_failures_after_timeouts(clients);
    expect_deadline_per_call(s, clients);
    expect_descriptors(s, before, "as many as before those searches");
    if (workers_block)
        return; /* no loop handles answers and deadlines */
    expect_one_result(NULL);
    expect_one_result("late_after_stop=1100");
    expect_timeout_among_new_calls();
    expect_timeout_among_events();
    expect_failure_after_timeout_of_others();
}
