#include "call_deadlines.h"

#include "core/clock.h"
#include "search_steps.h"
#include "steps.h"

#include <stdio.h>
#include <string.h>

static void wait_seconds(struct server *s, double seconds)
{
    struct wait w = begin_wait(s);
    for (double over = now() + seconds; now() < over && continue_wait(&w);)
        ;
}

/* A new call starts every quarter of a second, each before the one before it expires. */
void expect_timeout_among_new_calls(void)
{
    enum { CLIENTS = 16 };
    static const double PAUSE = 0.25;
    if (workers_block)
        return;
    set_hint("Each call has a second of its own. Calls that start later must not hide one that "
             "expires: which call in the queue expires first?",
             "make backends DELAY=9000    # and in a second terminal: make run; in a third:\n"
             "for i in $(seq 12); do (echo \"search $i\" | nc -N 127.0.0.1 9000 &)\n"
             "    sleep 0.25; done           # the first error comes with the fifth");
    struct server *s = start_server(.backends = true);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    set_backend(USER, HOLDS);
    for (int i = 0; i < CLIENTS && unread_bytes(clients[0]) == 0; i++) {
        char line[40];
        snprintf(line, sizeof line, "search number %d\n", i);
        send_text(clients[i], line);
        wait_seconds(s, PAUSE);
    }
    if (unread_bytes(clients[0]) == 0)
        fail_check(s, "\"error: user backend timed out\\n\" for client A after one second",
                   "nothing after %.0f seconds, while new calls kept starting", CLIENTS * PAUSE);
    expect_error(clients[0], USER, "timed out");
    set_hint(NULL, NULL);
}

void expect_timeout_among_events(void)
{
    if (workers_block)
        return;
    set_hint(
        "Events were ready all the time. Deadlines must be checked in every round of the "
        "loop, not only when epoll_wait() reports nothing.",
        "make run FAULTS=never_drained=1   # and in a second terminal: make backends DELAY=9000\n"
        "echo more | nc 127.0.0.1 9000 & sleep 1   # third; it never stops\n"
        "echo 'search x' | nc -N 127.0.0.1 9000    # error: user backend timed out\n"
        "kill %1");
    struct server *s = start_server(.backends = true, .faults = "never_drained=1");
    struct peer *endless = connect_to(s), *p = connect_and_greet(s), *q = connect_and_greet(s);
    set_backend(USER, HOLDS);
    send_text(endless, "more and more, and never an end\n");
    if (!are_served(s, p, q)) /* on each thread; no_starvation reports it */
        return;
    send_text(endless, "more\n"); /* it is never received, so there is always an event */
    send_text(p, "search x\n");
    send_text(q, "search y\n");
    expect_error(p, USER, "timed out");
    expect_error(q, USER, "timed out");
    set_hint(NULL, NULL);
}

/* Each pair is served by the same thread, if there are two. */
void expect_failure_after_timeout_of_others(void)
{
    enum { CLIENTS = 4, FIRST = 2 };
    if (workers_block)
        return;
    set_hint("errno was left over from a different call: it is only set by a call that fails, and "
             "recv() that returns 0 has not failed. \"timed out\" needs a reason of its own.",
             "make test CHECK=backend_hangs");
    struct server *s = start_server(.backends = true);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    set_backend(USER, HOLDS);
    send_text(clients[0], "search first\n");
    send_text(clients[1], "search first\n");
    wait_for_calls(s, USER, FIRST);
    wait_seconds(s, 0.75);
    set_backend(USER, HOLDS_THEN_CLOSES);
    set_answer(USER, "", 0);
    double began = now();
    for (int i = FIRST; i < CLIENTS; i++)
        send_text(clients[i], "search second\n");
    for (int i = 0; i < FIRST; i++)
        expect_error(clients[i], USER, "timed out");
    wait_for_calls_made(s, USER, CLIENTS, began); /* they may still be on the way */
    for (int i = FIRST; i < CLIENTS; i++)
        release(USER, "second");
    for (int i = FIRST; i < CLIENTS; i++)
        expect_error(clients[i], USER, "failed");
    set_hint(NULL, NULL);
}

/* With two workers, B or C is served by the one that also serves A and is held up. */
void expect_timeout_when_overdue(void)
{
    if (workers_block)
        return;
    set_hint("The loop was held up for a second, as it may be on a busy machine, just before it "
             "computed how long to wait: the oldest call is overdue then. A negative timeout "
             "means for ever: wait for 0 milliseconds.",
             "make test CHECK=backend_hangs");
    struct server *s = start_server(.backends = true, .faults = "close_after_stop=1100");
    struct peer *a = connect_to(s), *b = connect_to(s), *c = connect_to(s);
    set_backend(STOCK, HOLDS);
    send_text(a, "search nearly done\n");
    wait_for_calls(s, STOCK, 1);
    set_backend(USER, HOLDS);
    send_text(b, "search overdue\n");
    send_text(c, "search overdue\n");
    wait_for_calls(s, USER, 2);
    wait_asleep(s);
    freeze(s);
    release(STOCK, "nearly done user query");
    thaw(s);
    /* stopped_and_continued reports a server that takes the interruption for a timeout. */
    receive_one_of(a, answer_to("nearly done"), "error: stock backend timed out\n");
    expect_error(b, USER, "timed out");
    expect_error(c, USER, "timed out");
    set_hint(NULL, NULL);
}
