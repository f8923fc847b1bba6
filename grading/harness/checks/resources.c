/* What a server must give back, and what it may run out of: descriptors, memory. */
#include "checks/common.h"
#include "memory_steps.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>

DEFINE_SHARED_CHECK(
    no_leaked_descriptors, .needs = "half_close client_vanishes",
    .hint =
        "Close each client's descriptor exactly once, on every path through the code. shutdown() "
        "does not free it.",
    .by_hand = "make run                    # and in a second terminal:\n"
               "for i in 1 2 3; do echo hi | nc -N 127.0.0.1 9000; done\n"
               "(echo hello; sleep 1) >/dev/tcp/127.0.0.1/9000   # bash: resets\n"
               "ls -l /proc/$(make pid)/fd")
{
    struct server *s = start_server(.faults = "strict_close");
    expect_service(s);
    wait_asleep(s);
    int before = count_descriptors(s);
    for (int i = 0; i < 20; i++) {
        struct peer *p = connect_and_greet(s);
        if (i % 2 == 0)
            hang_up(p);
        else
            reset(p);
        wait_asleep(s); /* a second close must not hit the next client's descriptor */
    }
    struct peer *p = connect_to(s); /* leaves while output for it is pending */
    stop_reading(p);
    send_until_blocked(p);
    reset(p);
    expect_descriptors(s, before, "as many as after the first client had left");
    expect_closed_once(s);
}

/* Expects an echo for each client that has received anything. Returns how many there are. */
static int count_served(struct peer *const *clients, int n)
{
    int served = 0;
    for (int i = 0; i < n; i++)
        if (unread_bytes(clients[i]) > 0) {
            receive_text(clients[i], "hello\n");
            served++;
        }
    return served;
}

DEFINE_SHARED_CHECK(
    out_of_descriptors, .needs = "echo_line",
    .hint = "accept() fails with EMFILE, the client stays in the backlog, and the listening socket "
            "stays ready. Do not retry at once: close a connection, or wait until one ends.",
    .hint_if = {[SPINNING] = OWN_HINT, [EXITED] = OWN_HINT},
    .by_hand = "make && (ulimit -n 16; ./server 9000)   # in a second terminal:\n"
               "(for i in {1..20}; do exec {c}<>/dev/tcp/127.0.0.1/9000; done; sleep 9) & sleep 1\n"
               "s=$(make pid)\n"
               "cat /proc/$s/schedstat; sleep 1; cat /proc/$s/schedstat")
{
    enum { LIMIT = 24, CLIENTS = 40, MIN_SERVED = 4 };
    struct server *s = start_server(.descriptors = LIMIT, .backends = searches);
    struct peer *clients[CLIENTS];
    wait_asleep(s);
    bool was_idle = is_idle(s, ECHO_NANOSECONDS); /* if not, idle_is_free reports it */
    int before = count_descriptors(s);
    freeze(s); /* all have connected before the server can close the first */
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
    }
    thaw(s);
    if (was_idle)
        expect_no_spinning(s, ECHO_NANOSECONDS, "when there are no descriptors left");
    set_hint("accept() has failed with EMFILE for the clients that came last. It may cost only "
             "those: all that were accepted before must be served.",
             NULL);
    set_hint_if(EXITED, OWN_HINT);
    wait_asleep(s);
    int served = count_served(clients, CLIENTS);
    if (served < MIN_SERVED)
        fail_check(s, "service for as many clients as there are descriptors",
                   "%d of %d clients served", served, CLIENTS);
    if (searches && count_descriptors(s) == LIMIT) {
        set_hint("No descriptor is left for a backend call: socket() fails with EMFILE, and the "
                 "answer is \"error: user backend failed\". The client stays connected.",
                 NULL);
        set_hint_if(WRONG_BYTES, OWN_HINT);
        set_hint_if(DISCONNECTED, OWN_HINT);
        set_hint_if(EXITED, OWN_HINT);
        send_text(clients[0], "search without a descriptor\n");
        receive_text(clients[0], "error: user backend failed\n");
    }
    set_hint("All clients have left, so there are descriptors again. Close those of all that were "
             "accepted, accept those in the backlog, and keep waiting for new ones: what makes the "
             "server call accept() again after EMFILE?",
             NULL);
    for (int i = 0; i < CLIENTS; i++)
        hang_up(clients[i]);
    expect_descriptors(s, before, "all clients have left");
    expect_service(s);
}

/* What a server allocates only for a slow reader: freed when it has caught up, when it resets, and
 * when the server stops. */
static void use_slow_readers(struct server *s)
{
    struct peer *d = connect_and_greet(s);
    wait_reading_from(s, d);
    struct peer *e = connect_and_greet(s);
    struct peer *f = connect_and_greet(s);
    stop_reading(e);
    size_t sent = send_until_blocked(e);
    resume_reading(e);
    receive_long_text(e, sent);
    stop_reading(e);
    send_until_blocked(e);
    reset(e);
    stop_reading(f);
    send_until_blocked(f);
}

static void search_with_and_without_stock(struct server *s, struct peer *c)
{
    set_backend(STOCK, REFUSES);
    send_text(c, "search in vain\nand on\n");
    receive_text(c, "error: stock backend failed\nand on\n");
    set_backend(STOCK, ANSWERS);
    send_text(c, "search again\n");
    receive_text(c, "again user query stock\n");
    wait_reading_from(s, c);
}

DEFINE_SHARED_CHECK(
    memory, .needs = "half_close no_leaked_descriptors stop", .lengthy = true,
    .parts = {stop_within_batch, search_without_user_socket, search_without_stock_socket,
              answer_into_full_buffer},
    .hint =
        "Never use memory that is freed, uninitialised or outside its block. Before main returns, "
        "free what was allocated and close what was opened, the listening socket too.",
    .hint_if = {[LEAKED] =
                    "Before main returns, free what was allocated and close what was opened, "
                    "the listening socket too. Where should this block have been freed, or "
                    "this descriptor been closed?"},
    .by_hand = "make run TOOL='valgrind --leak-check=full --track-fds=yes'\n"
               "# in a second terminal:\n"
               "seq 5000 | nc -N 127.0.0.1 9000 | tail -n 1\n"
               "# then Ctrl-C in the first terminal")
{
    struct server *s = start_server(.tool = MEMCHECK, .backends = searches);
    struct peer *a = connect_to(s);
    enum { SIZE = 300 * 64 };
    char *text = long_text(SIZE);
    send_bytes(a, text, SIZE);
    receive_bytes(a, text, SIZE);
    free(text);
    send_fin(a);
    receive_eof(a);
    struct peer *b = connect_and_greet(s);
    reset(b);
    struct peer *c = connect_and_greet(s);
    wait_reading_from(s, c);
    if (!one_at_a_time)
        use_slow_readers(s);
    if (searches)
        search_with_and_without_stock(s, c);
    expect_clean_memory(s);
}
