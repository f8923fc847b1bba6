/* What a server costs: CPU time when idle and per echo, memory per client. */
#include "checks/common.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>

static void expect_idle_around_slow_reader(struct server *s, struct peer *a, uint64_t echo)
{
    stop_reading(a);
    size_t sent = send_until_blocked(a);
    expect_idle(s, echo, "while its client does not read");
    resume_reading(a);
    receive_long_text(a, sent);
    expect_idle(s, echo, "when its client has caught up");
    hang_up(a);
    expect_idle(s, echo, "with no client, after pending output has drained");
}

/* On a server of its own. */
static uint64_t usual_cost_of_echo(void)
{
    struct server *s = start_server();
    return cost_of_echo(s, connect_to(s));
}

static void expect_idle_around_search(void)
{
    if (!searches)
        return;
    uint64_t echo = usual_cost_of_echo();
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    send_text(a, "search first\n");
    receive_text(a, "first user query stock\n");
    expect_idle(s, echo, "after a search");
    set_backend(STOCK, HOLDS);
    send_text(a, "search again\n");
    wait_for_calls(s, STOCK, 1);
    set_calls_held(true);
    set_hint(NULL, "make backends DELAY=900     # and in a second terminal:\n"
                   "make run                    # and in a third terminal:\n"
                   "s=$(make pid); echo 'search x' | nc -N 127.0.0.1 9000 & sleep 0.3\n"
                   "cat /proc/$s/schedstat; sleep 0.4; cat /proc/$s/schedstat; wait\n"
                   "# CPU time in nanoseconds, ..., how often it ran: these two must not grow");
    expect_idle(s, echo, "while a backend call is pending");
    set_hint(NULL, NULL);
    set_calls_held(false);
}

/* Small buffers, so that all the client sends and its FIN arrive while the output has no room. */
static void expect_idle_after_half_close(void)
{
    uint64_t echo = usual_cost_of_echo();
    struct server *s = start_server(.faults = "small_buffers");
    struct peer *b = connect_small(s);
    greet(b);
    stop_reading(b);
    char *text = long_text(MANY_BYTES);
    size_t sent = send_while_frozen(s, b, text, MANY_BYTES);
    send_fin(b);
    thaw(s);
    expect_idle(s, echo, "while its client does not read, and has half-closed");
    resume_reading(b);
    receive_bytes(b, text, sent);
    free(text);
}

/* Linux subtracts the time that select() has waited from its timeout. */
static void expect_idle_after_timeout(void)
{
    uint64_t echo = usual_cost_of_echo();
    struct server *s = start_server(.faults = "timeout_elapses");
    set_hint("select() may change its timeout to the time that is left. When that is 0, it returns "
             "at once: set the timeout again before every call.",
             NULL);
    expect_idle(s, echo, "after select() has reached its timeout once");
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    idle_is_free, .needs = "half_close", .lengthy = true,
    .parts = {expect_idle_around_search, expect_idle_after_half_close, expect_idle_after_timeout},
    .hint = "The server must sleep until there is something to do. Does it poll, or wait for a "
            "descriptor that is always ready (at end-of-file, or with room to send)?",
    .hint_if = {[SPINNING] = OWN_HINT},
    .by_hand = "make run                    # and in a second terminal:\n"
               "s=$(make pid); sleep 3 | nc 127.0.0.1 9000 & sleep 1\n"
               "cat /proc/$s/schedstat; sleep 1; cat /proc/$s/schedstat\n"
               "# CPU time in nanoseconds, ..., how often it ran: these two must not grow")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    uint64_t echo = cost_of_echo(s, a);
    expect_idle(s, echo, "while its client sends nothing");
    expect_idle_around_slow_reader(s, a, echo);
}

/* CPU time per echo in nanoseconds, in one round. */
static uint64_t measure_echoes(struct server *s, struct peer *p, int echoes)
{
    uint64_t before = cpu_time(s);
    send_and_receive(p, "hello\n", echoes);
    return (cpu_time(s) - before) / (uint64_t)echoes;
}

/* Two servers in turns, so that other load on the machine affects both, and the best round of each.
 */
DEFINE_SHARED_CHECK(
    flat_cost, .needs = "ten_thousand", .alone = true,
    .hint = "The kernel keeps the interest list and reports only ready descriptors. A loop over "
            "all clients, or an epoll_ctl for each of them, makes idle clients cost CPU time.",
    .by_hand = "make test CHECK=flat_cost")
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
        send_and_receive(peers[i], "hello\n", ECHOES);
    }
    asked("there are two such servers; %d idle clients connect to this one only:", count);
    connect_many(servers[1], NULL, count);
    wait_asleep(servers[1]);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 2; i++) {
            uint64_t cost = measure_echoes(servers[i], peers[i], ECHOES);
            best[i] = cost < best[i] ? cost : best[i];
        }
    evidence("CPU time per echo: %.1f us alone, %.1f us among %d idle clients",
             (double)best[0] / 1000, (double)best[1] / 1000, count);
    if (best[1] > 2 * best[0])
        fail_check(servers[1], "an echo costs at most twice as much among idle clients",
                   "%.1f times as much", (double)best[1] / (double)best[0]);
}

DEFINE_SHARED_CHECK(price, .needs = "pieces",
                    .hint = "For your information: what it costs to serve 1,000 clients at once.",
                    .by_hand = "make test CHECK=price", .alone = true, .only_on_request = true)
{
    enum { CLIENTS = 1000 };
    struct server *s = start_server();
    struct peer *p = connect_and_greet(s);
    hang_up(p);
    wait_asleep(s);
    uint64_t memory = memory_of(s), cpu = cpu_time(s);
    int processes = count_processes(s), threads = count_threads(s);
    for (int i = 0; i < CLIENTS; i++)
        connect_and_greet(s);
    wait_asleep(s);
    memory = memory_of(s) - memory;
    cpu = cpu_time(s) - cpu;
    evidence("%d clients are connected, and each has received one echo", CLIENTS);
    evidence("processes: %d more, threads: %d more", count_processes(s) - processes,
             count_threads(s) - threads);
    evidence("memory: about %.0f KiB per client, not counting kernel memory",
             (double)memory / 1024 / CLIENTS);
    evidence("CPU time: about %.0f microseconds per client", (double)cpu / 1000 / CLIENTS);
}

/* CPU time per echo for several numbers of idle clients. 900: select holds no more. */
DEFINE_SHARED_CHECK(idle_cost, .needs = "crowd",
                    .hint = "For your information: how idle clients slow down the busy ones.",
                    .by_hand = "make test CHECK=idle_cost", .alone = true, .only_on_request = true)
{
    enum { ROUNDS = 10, ECHOES = 100 };
    static const int idle[] = {0, 100, 300, 900};
    struct server *s = start_server();
    share_one_cpu(s);
    struct peer *p = connect_to(s);
    int connected = 0;
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        connect_many(s, NULL, idle[i] - connected);
        connected = idle[i];
        wait_asleep(s);
        uint64_t best = UINT64_MAX;
        for (int round = 0; round < ROUNDS; round++) {
            uint64_t cost = measure_echoes(s, p, ECHOES);
            best = cost < best ? cost : best;
        }
        evidence("CPU time per echo: about %.0f microseconds, with %d idle clients",
                 (double)best / 1000, connected);
    }
}
