/* Labs 6 to 8: backends that fail, hang, or answer in pieces. */
#include "call_deadlines.h"
#include "search_steps.h"
#include "shared_checks.h"

#include "core/clock.h"
#include "observe/tasks.h"

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
        release(b, requests[b]);
    }
    receive_text(a, answer_to("at once"));
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS);
}

/* The longest request does not fit into the smallest send buffer. */
static void send_request_in_pieces(void)
{
    enum { WORDS = MAX_LINE - 16 }; /* " user query stock" is 17 bytes, and the limit is 4096 */
    set_hint(
        "send() took only a part of the request to the backend. Send the rest, from where it "
        "stopped, until all of it is sent.",
        "make run FAULTS=small_buffers   # and in a second terminal: make backends; in a third:\n"
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
    .hint_if = {[WRONG_BYTES] = OWN_HINT},
    .by_hand = "make backends ANSWERS=pieces   # and in a second terminal:\n"
               "make run                       # and in a third terminal:\n"
               "printf 'search x\\nhello\\n' | nc -N 127.0.0.1 9000\n"
               "# x user query stock, hello")
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

    set_hint(
        "The longest answer has 4,096 bytes and a newline, which may arrive on its own: "
        "without it the answer is not yet too long.",
        "(head -c 4096 /dev/zero | tr '\\0' x; sleep 0.5; echo) |\n"
        "    nc -lN 127.0.0.1 9003   # you are the stock backend\n"
        "# in a second terminal: make backends BACKENDS='9001 9002 9004'; in a third: make run\n"
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

static void set_hint_for(enum backend b, enum backend_mode mode)
{
    static const char *const without[] = {
        "make backends               # and in a second terminal, without the user backend:\n"
        "make run BACKENDS='9004 9002 9003'    # and in a third terminal:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000\n"
        "# error: user backend failed",
        "make backends               # and in a second terminal, without the query backend:\n"
        "make run BACKENDS='9001 9004 9003'    # and in a third terminal:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000\n"
        "# error: query backend failed",
        "make backends               # and in a second terminal, without the stock backend:\n"
        "make run BACKENDS='9001 9002 9004'    # and in a third terminal:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000\n"
        "# error: stock backend failed"};
    if (mode == REFUSES)
        set_hint(
            "connect() fails, a non-blocking one perhaps only when it has ended: this backend has "
            "failed. The answer must name it, and the next backend is not called.",
            without[b]);
    else if (mode == CLOSES)
        set_hint(
            "The backend closed the connection without an answer: recv() returned 0 or failed, "
            "so this backend has failed. The answer must name it, and the next backend is not "
            "called.",
            "make backends ANSWERS=none  # and in a second terminal:\n"
            "make run                    # and in a third terminal:\n"
            "echo 'search x' | nc -N 127.0.0.1 9000\n"
            "# error: user backend failed");
    else
        set_hint(
            "The backend closed the connection before the newline: what came is not an answer, "
            "so this backend has failed. The answer must name it, and the next backend is not "
            "called.",
            "make backends ANSWERS=half  # and in a second terminal:\n"
            "make run                    # and in a third terminal:\n"
            "echo 'search x' | nc -N 127.0.0.1 9000\n"
            "# error: user backend failed");
}

static void search_in_vain(struct server *s, struct peer *a, enum backend b, enum backend_mode mode)
{
    set_backend(b, mode);
    int before = calls_at(STOCK);
    set_hint_for(b, mode);
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(a, "search in vain\nand on\n");
    expect_error(a, b, "failed");
    receive_text(a, "and on\n");
    if (b != STOCK && calls_at(STOCK) != before)
        fail_check(s, "no call to the stock backend after an earlier one has failed",
                   "%d more calls", calls_at(STOCK) - before);
    set_backend(b, ANSWERS);
    set_hint(
        "After a failed call the same client's next search must succeed: what is left over from "
        "the failed one?",
        NULL);
    expect_search(a, "in luck");
}

/* An answer has the same limit as a line; with a newline or without. */
static void search_with_long_answers(struct peer *a)
{
    set_hint(
        "A backend's answer has the same limit as a line, 4096 bytes: with more, with a newline "
        "or without, the backend has failed.",
        "make backends ANSWERS=long      # and in a second terminal:\n"
        "make run                        # and in a third terminal:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000\n"
        "# error: user backend failed");
    set_hint_if(WRONG_BYTES, OWN_HINT);
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

    set_hint(
        "The search was the last line, without a newline: its error has no newline either, and "
        "then the connection is closed.",
        "make run                        # no backends; in a second terminal:\n"
        "printf 'search x' | nc -N 127.0.0.1 9000 | od -c   # no \\n at the end");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(EXTRA_BYTES, OWN_HINT);
    struct peer *b = connect_to(s);
    set_backend(USER, REFUSES);
    send_text(b, "search without a newline");
    send_fin(b);
    receive_text(b, "error: user backend failed");
    receive_eof(b);
    set_backend(USER, ANSWERS);
    set_hint("Close the socket of every call, however it ended.",
             "make run                    # no backends; in a second terminal:\n"
             "s=$(make pid); ls /proc/$s/fd | wc -l\n"
             "for i in 1 2 3; do echo 'search x' | nc -N 127.0.0.1 9000; done\n"
             "ls /proc/$s/fd | wc -l      # as many as before");
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

/* An event shortly before a deadline must not postpone it. A thread that is asleep half a second
 * after it is not late because the machine is busy: it waits for something else. */
static void expect_timeout_when_due(struct server *s, struct peer *waiting, struct peer *other,
                                    double began)
{
    struct wait w = begin_wait(s);
    while (now() < began + 0.8 && continue_wait(&w))
        ;
    send_text(other, "meanwhile\n");
    receive_text(other, "meanwhile\n");
    set_hint("One second after the call began, its client must have the answer \"timed out\", "
             "whatever else has happened meanwhile. Compute how long to wait anew before each "
             "wait. And when a wait has ended, who sends that answer?",
             "make backends DELAY=5000        # and in a second terminal:\n"
             "make run                        # and in a third terminal:\n"
             "time (echo 'search x' | nc -N 127.0.0.1 9000) &\n"
             "sleep 0.9; echo hello | nc -N 127.0.0.1 9000; wait   # one second");
    w = begin_wait(s);
    set_receiving_peer(waiting);
    while (unread_bytes(waiting) == 0 && continue_wait(&w)) {
        if (now() < began + 1.5 || !all_tasks_asleep(s->pid))
            continue;
        process_pending(); /* what was sent before they fell asleep */
        if (unread_bytes(waiting) == 0)
            fail_check(s, "\"error: user backend timed out\\n\", one second after the call began",
                       "nothing, %.1f seconds after the call began; the server is asleep",
                       now() - began);
    }
    set_receiving_peer(NULL);
}

enum { FOURTH = BACKENDS, FIFTH, HANG_CLIENTS };

static const char timeout_hint[] =
    "A call that has no complete answer one second after it began has timed out, whether it was "
    "connecting, sending or receiving, and no matter how many others are pending. What ends each "
    "of these waits, and what sends the client its answer then?";

static void set_timeout_hints(void)
{
    set_hint(timeout_hint, "make backends DELAY=1500        # and in a second terminal:\n"
                           "make run                        # and in a third terminal:\n"
                           "echo 'search x' | nc -N 127.0.0.1 9000\n"
                           "# error: user backend timed out");
    set_hint_if(WRONG_BYTES, "An answer came, but not this text. A call whose second is over has "
                             "\"timed out\", while connecting as well; a backend that refuses, "
                             "closes, or sends too much has \"failed\"; and the name is that of "
                             "the backend that was called last.");
}

static void expect_echoes_while_connecting(struct server *s, struct peer *client)
{
    set_hint("A backend does not accept the connection, so connect() takes long. It must not block "
             "the thread that serves the clients: is the socket non-blocking before connect()?",
             "nc -lk 127.0.0.1 9001 & sleep 1; kill -STOP $!; sleep 1; for i in 1 2 3; do\n"
             "    nc -d 127.0.0.1 9001 & done       # its backlog is full; in a second terminal:\n"
             "make run                    # and in a third terminal:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000 & sleep 0.2\n"
             "echo hello | nc -N 127.0.0.1 9000; wait   # hello first");
    expect_echoes_while_held(s, &client, 1);
}

static void expect_timeout_while_connecting(struct peer *client)
{
    set_hint(timeout_hint,
             "nc -lk 127.0.0.1 9001 & sleep 1; kill -STOP $!; sleep 1; for i in 1 2 3; do\n"
             "    nc -d 127.0.0.1 9001 & done       # its backlog is full; in a second terminal:\n"
             "make run                    # and in a third terminal:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000   # error: user backend timed out");
    set_hint_if(WRONG_BYTES,
                "The backend does not accept the connection, so connect() takes long: this call, "
                "too, times out after a second, and has not failed before. EALREADY from a second "
                "connect() means that the first goes on.");
    expect_error(client, QUERY, "timed out");
}

static void expect_search_after_timeouts(struct peer *client)
{
    set_hint(
        "The calls before have timed out, and the backends answer again. A deadline belongs to "
        "one call: what is left over from an earlier one, even of the same descriptor?",
        NULL);
    set_hint_if(WRONG_BYTES, OWN_HINT);
    expect_search(client, "after that");
}

/* Silent backends, and one whose connect() hangs: this must not delay other clients. */
static void expect_timeouts_of_silence(struct server *s, struct peer *const *clients)
{
    set_timeout_hints();
    hang_at_each(s, clients, HOLDS);
    double began = held_since(USER);
    set_backend(QUERY, DOES_NOT_ACCEPT);
    send_text(clients[FOURTH], "search nobody there\n");
    wait_connecting(s, QUERY, clients[FOURTH]);
    expect_echoes_while_connecting(s, clients[FIFTH]);
    expect_timeout_when_due(s, clients[0], clients[FIFTH], began);
    set_timeout_hints();
    expect_timeouts(clients);
    expect_timeout_while_connecting(clients[FOURTH]);
    set_backend(QUERY, ANSWERS);
    expect_search_after_timeouts(clients[0]);
}

/* Every client's last call has timed out: a stale errno must not make the next error "timed out".
 */
static void expect_failures_after_timeouts(struct peer *const *clients)
{
    set_hint("The call before this one has timed out, and now the backend closes the connection at "
             "once.",
             "make run                    # and in a second terminal:\n"
             "make backends DELAY=1500 & sleep 1\n"
             "for i in 1 2 3 4; do echo \"search $i\" | nc -N 127.0.0.1 9000 & done; sleep 2\n"
             "kill %1; sleep 1; make backends ANSWERS=none & sleep 1\n"
             "for i in 1 2 3 4; do echo \"search $i\" | nc -N 127.0.0.1 9000 & done; sleep 2\n"
             "# error: user backend timed out, and then: failed, each four times");
    set_hint_if(WRONG_BYTES,
                "The backend closed the connection, so it has \"failed\". If the answer "
                "is \"timed out\", what was it decided by? recv() that returns 0 does "
                "not set errno: it still holds the error of an earlier call.");
    set_backend(USER, CLOSES);
    for (int i = 0; i < HANG_CLIENTS; i++)
        send_text(clients[i], "search in vain\n");
    for (int i = 0; i < HANG_CLIENTS; i++)
        expect_error(clients[i], USER, "failed");
}

/* Answers that trickle in time out; three calls that take half a second each do not. */
static void expect_deadline_per_call(struct server *s, struct peer *const *clients)
{
    set_hint("The timeout starts with the call, not with the last byte received: for each wait, "
             "allow only what is left of it.",
             "make backends ANSWERS=slowly    # and in a second terminal:\n"
             "make run                        # and in a third terminal:\n"
             "time (echo 'search x' | nc -N 127.0.0.1 9000)\n"
             "# error: user backend timed out, after one second");
    set_hint_if(WRONG_BYTES, "Each of the three calls has a second of its own, from its beginning: "
                             "bytes that trickle in do not extend it, and the time that earlier "
                             "calls took does not shorten it. Which error, if any, is due here?");
    hang_at_each(s, clients, TRICKLES);
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, SLOW);
    send_text(clients[FOURTH], "search slow, but in time\n");
    expect_timeouts(clients);
    set_hint("Each of the three calls has a second of its own, from its beginning: the time that "
             "earlier calls of the same search took does not shorten it.",
             "make backends DELAY=400     # and in a second terminal:\n"
             "make run                    # and in a third terminal:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000   # x user query stock");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    receive_text(clients[FOURTH], answer_to("slow, but in time"));
    for (enum backend b = USER; b < BACKENDS; b++)
        set_backend(b, ANSWERS);
    expect_search_after_timeouts(clients[0]);
}

/* The answer has arrived and the call's second is over before the server handles either: it must
 * complete the call once. With the fault the loop finds both in one round, the answer first;
 * without it, the server is stopped until the second is over, and finds the deadline first. */
static void expect_one_result(const char *faults)
{
    set_hint("The answer had arrived, and the time was up. Whichever is handled first completes "
             "the call: the other must find it completed.",
             "make backends DELAY=500        # and in a second terminal:\n"
             "make run FAULTS=late_after_stop=1100   # and in a third terminal:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000 & sleep 0.1\n"
             "s=$(make pid); kill -STOP $s; sleep 0.1; kill -CONT $s; wait\n"
             "echo 'search y' | nc -N 127.0.0.1 9000   # y user query stock");
    if (workers_block) /* no loop handles answers and deadlines */
        return;
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

static void expect_one_result_after_stop(void)
{
    expect_one_result(NULL);
}

static void expect_one_result_in_one_round(void)
{
    expect_one_result("late_after_stop=1100");
}

DEFINE_SHARED_CHECK(
    backend_hangs, .needs = "backend_down", .lengthy = true,
    .parts = {expect_one_result_after_stop, expect_one_result_in_one_round,
              expect_timeout_among_new_calls, expect_timeout_among_events,
              expect_failure_after_timeout_of_others, expect_timeout_when_overdue},
    .hint = "The timeout starts with the call, not with the last byte received: for each wait, "
            "allow only what is left of it.",
    .by_hand = "make backends DELAY=1500       # and in a second terminal:\n"
               "make run                       # and in a third terminal:\n"
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
    set_hint("Close the socket of every call, also of one that has timed out.", NULL);
    expect_descriptors(s, before, "as many as before those searches");
}
