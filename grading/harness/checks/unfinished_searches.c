/* Labs 6 to 8: a client leaves, or the server stops, while searches are in flight. */
#include "checks/common.h"
#include "drive/valgrind_leaks.h"
#include "search_steps.h"
#include "shared_checks.h"
#include "steps.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* When the answer arrives: before any new client has the descriptor, or after one has it; or the
 * server finds the client's leaving and the answer at once, in either order. */
enum answer_time { BEFORE_NEWCOMER, AFTER_NEWCOMER, BATCH_LEAVE_FIRST, BATCH_ANSWER_FIRST };

/* A client leaves while backend `b` holds its search. The next client gets its descriptor number,
 * and must not get its answer. */
static void leave_during_search(struct server *s, enum backend b, bool by_reset,
                                enum answer_time when)
{
    bool in_batch = when == BATCH_LEAVE_FIRST || when == BATCH_ANSWER_FIRST;
    struct peer *a = connect_to(s);
    set_backend(b, HOLDS);
    send_text(a, "search for somebody who leaves\n");
    wait_for_calls(s, b, 1);
    wait_asleep(s);
    if (in_batch)
        freeze(s);
    if (when == BATCH_ANSWER_FIRST)
        release_late(b);
    if (by_reset)
        reset(a);
    else
        hang_up(a);
    if (when == BATCH_LEAVE_FIRST)
        release_late(b);
    if (in_batch)
        thaw(s);
    wait_asleep(s);
    if (when == BEFORE_NEWCOMER) {
        set_backend(b, ANSWERS);
        release_late(b);
        expect_searches_finished(s);
    }
    struct peer *newcomer = connect_to(s);
    wait_asleep(s);
    set_backend(b, ANSWERS);
    release_late(b);
    expect_searches_finished(s);
    send_text(newcomer, "I am somebody else\n");
    receive_text(newcomer, "I am somebody else\n");
    expect_search(newcomer, "somebody else");
    hang_up(newcomer);
    wait_asleep(s); /* it is freed before the next connects: which memory is reused is certain */
}

static void leave_in_all_ways(struct server *s)
{
    for (int by_reset = 0; by_reset < 2; by_reset++) {
        leave_during_search(s, USER, by_reset, AFTER_NEWCOMER);
        leave_during_search(s, STOCK, by_reset, BEFORE_NEWCOMER);
        leave_during_search(s, STOCK, by_reset, AFTER_NEWCOMER);
        leave_during_search(s, STOCK, by_reset, BATCH_LEAVE_FIRST);
        leave_during_search(s, STOCK, by_reset, BATCH_ANSWER_FIRST);
    }
}

/* epoll reports a reset (EPOLLERR, EPOLLHUP) even with empty interest, again and again. */
static void expect_idle_after_leaving(struct server *s, uint64_t echo)
{
    static const struct {
        bool half_close, reset;
        const char *when;
    } ways[] = {
        {false, true, "while a backend call is pending, and its client has reset"},
        {true, false, "while a backend call is pending, and its client has half-closed"},
        {true, true, "while a backend call is pending, and its client has half-closed, then reset"},
    };
    set_hint(
        "The client has gone, or has finished sending, while its search is pending. End-of-file "
        "stays readable, and a reset is reported (EPOLLERR, EPOLLHUP) even without any "
        "interest, until the descriptor is closed.",
        NULL);
    set_hint_if(SPINNING, OWN_HINT);
    set_backend(STOCK, HOLDS);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct peer *b = connect_to(s);
        send_text(b, "search and leave\n");
        wait_for_calls(s, STOCK, 1);
        if (ways[i].half_close)
            send_fin(b);
        wait_asleep(s);
        if (ways[i].reset)
            reset(b);
        set_calls_held(true);
        expect_idle(s, echo, ways[i].when);
        set_calls_held(false);
        release_late(STOCK);
        wait_asleep(s);
        if (!ways[i].reset)
            hang_up(b);
    }
    set_backend(STOCK, ANSWERS);
    expect_idle(s, echo, "after those searches");
    set_hint(NULL, NULL);
}

/* A worker's result and its client's reset are in one batch, in this order: handling the first
 * closes the client. */
static void leave_in_the_batch_of_the_result(void)
{
    if (!workers_block)
        return;
    set_hint("The result and the client's reset were in one batch of events. Handling the first "
             "closed the client, and the second still points to it: free clients only after the "
             "batch.",
             "make test CHECK=client_leaves_early");
    struct server *s =
        start_server(.backends = true, .tool = MEMCHECK, .faults = "pause_after_stop=1500");
    struct peer *a = connect_to(s), *other = connect_and_greet(s);
    set_backend(STOCK, HOLDS);
    send_text(a, "search and leave\n");
    send_fin(a);
    wait_for_calls(s, STOCK, 1);
    wait_asleep(s);
    freeze(s);
    release(STOCK, "and leave user query");
    thaw(s);
    expect_no_calls_open(s, STOCK);
    wait_asleep(s);
    reset(a);
    greet(other);
    expect_clean_memory(s);
    set_hint(NULL, NULL);
}

static void leave_under_memcheck(void)
{
    struct server *s = start_server(.backends = true, .tool = MEMCHECK);
    leave_in_all_ways(s);
    expect_clean_memory(s);
}

DEFINE_SHARED_CHECK(
    client_leaves_early, .needs = "memory in_order backend_down", .lengthy = true,
    .parts = {leave_under_memcheck, leave_in_the_batch_of_the_result},
    .hint = "When the answer arrives, its client may have left, and the descriptor may belong to "
            "another client by then.",
    .hint_if = {[WRONG_BYTES] = OWN_HINT, [EXTRA_BYTES] = OWN_HINT},
    .by_hand = "make backends DELAY=900     # and in a second terminal:\n"
               "make run                    # and in a third terminal, bash:\n"
               "exec 3<>/dev/tcp/127.0.0.1/9000; env printf 'hello\\nhello\\nsearch x\\n' >&3\n"
               "read -ru 3; exec 3>&-       # it has not read all: resets\n"
               "timeout 4 nc 127.0.0.1 9000 </dev/null   # must receive nothing")
{
    struct server *s = start_server(.backends = true, .faults = "strict_close");
    struct peer *a = connect_to(s);
    expect_search(a, "first");
    uint64_t echo = cost_of_echo(s, a);
    hang_up(a);
    wait_asleep(s);
    int before = count_descriptors(s);
    expect_idle_after_leaving(s, echo);
    leave_in_all_ways(s);
    expect_descriptors(s, before, "all clients that searched have left");
    expect_closed_once(s);
}

enum { SEARCHERS = 6 };

static void stop_with_held_searches(enum backend b)
{
    struct server *s = start_server(.backends = true);
    struct peer *clients[SEARCHERS];
    set_backend(b, HOLDS);
    for (int i = 0; i < SEARCHERS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "six\nsearch in flight\n");
        receive_text(clients[i], "six\n");
    }
    wait_for_calls(s, b, 1);
    struct ending e = stop_server(s, SIGTERM);
    expect_summary_line(s, e, SEARCHERS, ANY_BYTES);
    unsigned long long bytes = 0;
    if (sscanf(e.out, "served 6 connections, %llu bytes\n", &bytes) != 1 || bytes < SEARCHERS * 4)
        fail_check(s, "at least the 24 bytes that the clients have received", "%s",
                   quoted(e.out, strlen(e.out), 0));
}

static void stop_during_last_call(void)
{
    stop_with_held_searches(STOCK);
}

static void stop_under_memcheck(void)
{
    struct server *s = start_server(.backends = true, .tool = MEMCHECK);
    set_backend(QUERY, HOLDS);
    wait_asleep(s);
    freeze(s); /* more searches than can run at once, before the first begins */
    for (int i = 0; i < SEARCHERS; i++)
        send_text(connect_to(s), "search in flight\n");
    thaw(s);
    wait_for_calls(s, QUERY, 1);
    expect_clean_memory(s);
    expect_all_freed(s);
}

DEFINE_SHARED_CHECK(
    stop_in_flight, .needs = "client_leaves_early backend_hangs", .lengthy = true,
    .parts = {stop_during_last_call, stop_under_memcheck},
    .hint = "A search in flight may be cancelled or completed when the signal arrives, but every "
            "descriptor must be closed, all memory freed, every thread joined.",
    .by_hand =
        "make backends DELAY=900     # and in a second terminal:\n"
        "make run TOOL='valgrind --leak-check=full --track-fds=yes'   # and in a third terminal:\n"
        "for i in 1 2 3 4 5 6; do\n"
        "    yes \"search $i\" | head -n 20 | nc -N 127.0.0.1 9000 & done; sleep 0.5\n"
        "# then Ctrl-C in the second terminal")
{
    stop_with_held_searches(USER);
}
