/*
 * Lab 6, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

#include <stdio.h>

TRUSTS_SHORT_COUNTS
SEARCHES
WORKERS_BLOCK

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(echo_line, 4, "sends a line back to nc",
             .hint =
                 "The server now echoes lines, not whatever recv() returned: answer_line takes a "
                 "line from the input, and appends it to the pending output.")
SHARED_CHECK(lines, 4, "answers lines, in whatever pieces they arrive")
SHARED_CHECK(all_bytes, 2, "echoes every byte, including those with the value 0", .needs = "lines")
SHARED_CHECK(short_sends, 2, "sends the rest when there is room again", .needs = "lines")
SHARED_CHECK(big_message, 3, "echoes 8 MiB, every byte in its place", .needs = "short_sends")
SHARED_CHECK(half_close, 3, "sends the rest after the client's half-close, then closes")

static void expect_a_call(struct server *s)
{
    set_hint(
        "A search passes through submit_job, which wakes a worker; worker_main, which takes the "
        "job; and call_backend, which sends the user backend the line and waits for its answer. "
        "Which of these is still missing, or does not do its part?",
        "make backends DELAY=900     # and in a second terminal:\n"
        "make run                    # and in a third terminal:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000 & sleep 0.5\n"
        "ss -Htn state established 'dport = :9001' | wc -l   # 1");
    wait_for_calls(s, USER, 1);
    set_hint(NULL, NULL);
}

CHECK(fixed_threads, 4, "has one thread for the clients and four for the searches",
      .needs = "lines",
      .hint =
          "main starts the four workers: worker_main takes jobs and runs their searches until the "
          "server shuts down. The loop is the first thread, and waits in epoll_wait only.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "ps -L -o pid,lwp,stat,wchan:20,cmd -p $(make pid)")
{
    enum { WORKERS = 4, CLIENTS = 8 };
    struct server *s = start_server(.backends = true);
    struct peer *clients[CLIENTS];
    expect_threads(s, 1 + WORKERS, "one for the clients, four for the searches");
    expect_processes(s, 1, "one process");
    expect_loops_waiting(s);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    stop_reading(clients[0]);
    send_until_blocked(clients[0]);
    expect_loops_waiting(s);
    set_backend(USER, HOLDS);
    for (int i = 1; i < CLIENTS; i++)
        send_text(clients[i], "search x\n");
    expect_a_call(s);
    wait_asleep(s);
    if (count_threads(s) != 1 + WORKERS)
        fail_check(s, "5 threads, even while seven clients search", "%d threads", count_threads(s));
}

SHARED_CHECK(silent_client, 3, "serves other clients while one never writes and one never reads",
             .needs = "big_message half_close fixed_threads")
SHARED_CHECK(slow_reader, 3, "stops reading from a client that does not read, and loses nothing")
SHARED_CHECK(no_starvation, 3, "serves other clients while one never stops sending")
SHARED_CHECK(crowd, 3, "serves 100 simultaneous clients without mixing up a byte")
SHARED_CHECK(client_vanishes, 3, "survives clients that reset or leave without reading",
             .needs = "lines")
SHARED_CHECK(no_leaked_descriptors, 2, "closes each client's descriptor, exactly once")
SHARED_CHECK(search, 6, "queries three backends in turn: user, query and stock",
             .needs = "lines fixed_threads")
SHARED_CHECK(idle_is_free, 2, "uses no CPU time while nothing happens",
             .needs = "search half_close silent_client")
SHARED_CHECK(backend_in_pieces, 3, "accepts a backend's answer in whatever pieces it arrives",
             .needs = "idle_is_free")
SHARED_CHECK(loop_never_blocks, 5, "keeps echoing while backend calls are pending")
SHARED_CHECK(in_order, 5, "answers each client in the order of its lines",
             .hint = "While a client's search is pending, its next lines wait, even those that "
                     "only need an echo. collect_results continues with them, but not with the "
                     "lock held: the next line may be a search, and submit_job takes the lock.")

CHECK(workers_share, 5, "runs four searches at the same time", .needs = "loop_never_blocks",
      .hint = "A worker that holds a lock while it waits for a backend blocks the other "
              "workers, and the searches run one at a time.",
      .by_hand =
          "make backends DELAY=900     # and in a second terminal:\n"
          "make run                    # and in a third terminal, bash:\n"
          "for i in 1 2 3 4; do\n"
          "    exec {c}<>/dev/tcp/127.0.0.1/9000; yes \"search $i\" | head -n 9 >&$c; done\n"
          "for i in 1 2 3; do sleep 0.5\n"
          "    ss -Htn state established 'dport >= :9001 and dport <= :9003' | wc -l; done   # 4")
{
    enum { WORKERS = 4 };
    struct server *s = start_server(.backends = true);
    struct peer *clients[WORKERS];
    char text[40];
    for (int i = 0; i < WORKERS; i++)
        clients[i] = connect_to(s);
    for (enum backend b = USER; b < BACKENDS; b++) {
        set_backend(b, HOLDS);
        for (int i = 0; i < WORKERS; i++) {
            snprintf(text, sizeof text, "search number %d\n", i);
            send_text(clients[i], text);
        }
        wait_for_calls(s, b, WORKERS);
        release_all(b);
        set_backend(b, ANSWERS);
        for (int i = 0; i < WORKERS; i++) {
            snprintf(text, sizeof text, "number %d user query stock\n", i);
            receive_text(clients[i], text);
        }
    }
}

/* A worker that does not check the condition again takes a job from an empty queue. */
static void search_with_spurious_wakeups(void)
{
    set_hint("pthread_cond_wait() may return although nothing was signalled. Check the condition "
             "again: wait in a loop.",
             "make backends               # and in a second terminal:\n"
             "make run FAULTS=spurious_wakeup=2   # and in a third terminal:\n"
             "sleep 1; printf 'hello\\nsearch shoes\\n' | nc -N 127.0.0.1 9000\n"
             "# hello, and shoes user query stock");
    set_hint_if(CRASHED, OWN_HINT);
    set_hint_if(EXITED, OWN_HINT);
    set_hint_if(SPINNING, OWN_HINT);
    struct server *s = start_server(.backends = true, .faults = "spurious_wakeup=2");
    struct peer *client = connect_to(s);
    send_and_receive(client, "hello\n", 1);
    for (int i = 0; i < 3; i++) {
        send_text(client, "search shoes\n");
        receive_text(client, "shoes user query stock\n");
    }
    set_hint(NULL, NULL);
}

CHECK(queue, 4, "queues searches while all workers are busy, and loses none",
      .needs = "workers_share",
      .hint = "Put a search that finds all workers busy into an unbounded queue. A worker that has "
              "finished a job looks there before it waits.",
      .by_hand = "make backends DELAY=500     # and in a second terminal:\n"
                 "make run                    # and in a third terminal:\n"
                 "for i in $(seq 12); do\n"
                 "    echo \"search $i\" | nc -N 127.0.0.1 9000 & done; wait   # 12 answers")
{
    enum { WORKERS = 4, CLIENTS = 12 };
    struct server *s = start_server(.backends = true);
    struct peer *clients[CLIENTS];
    char text[40];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    set_backend(USER, HOLDS);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "search number %d\n", i);
        send_text(clients[i], text);
    }
    for (int done = 0; done < CLIENTS; done += WORKERS) {
        wait_for_calls(s, USER, WORKERS);
        wait_asleep(s);
        if (calls_at(USER) != done + WORKERS)
            fail_check(s, "four searches at the backends, the others in the queue",
                       "%d at the user backend", calls_at(USER) - done);
        release_all(USER);
    }
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "number %d user query stock\n", i);
        receive_text(clients[i], text);
    }
    search_with_spurious_wakeups();
}

SHARED_CHECK(backend_down, 4, "reports which backend has failed, and continues")
SHARED_CHECK(backend_hangs, 4, "gives each backend call one second, and no more",
             .needs = "backend_down workers_share")
SHARED_CHECK(line_too_long, 3, "reports that a line is too long, and only then closes")
SHARED_CHECK(stop, 2, "stops on SIGTERM or SIGINT with the correct counts",
             .hint = "After the signal, the loop and all four workers must return from the call "
                     "that they are blocked in. A flag alone wakes nothing, and "
                     "pthread_cond_signal() wakes one thread; pthread_cond_broadcast() wakes all. "
                     "And a worker that ends must not hold the lock.")
SHARED_CHECK(memory, 2, "has no memory errors and leaves nothing open",
             .needs = "stop in_order backend_down no_leaked_descriptors")
SHARED_CHECK(client_leaves_early, 4, "never sends an answer to a different client")
SHARED_CHECK(stop_in_flight, 2, "stops while searches are in flight")
SHARED_CHECK(out_of_descriptors, 2, "survives running out of descriptors, and does not spin",
             .needs = "backend_down")
SHARED_CHECK(stopped_and_continued, 2, "continues after SIGSTOP and SIGCONT", .needs = "in_order",
             .hint = "After SIGCONT epoll_wait fails with EINTR even without a signal handler, and "
                     "so does a call on a socket with a timeout: signal(7). Call it again.")
SHARED_CHECK(interrupted_calls, 2, "restarts calls that a signal interrupted",
             .needs = "stopped_and_continued client_leaves_early")

static void share_work(struct server *s)
{
    enum { CLIENTS = 6 };
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\nsearch shoes\nbye\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        receive_text(clients[i], "hello\nshoes user query stock\nbye\n");
    send_text(clients[0], "search and leave\n");
    reset(clients[0]);
    send_text(clients[1], "search and stay\n");
    receive_text(clients[1], "and stay user query stock\n");
    expect_searches_finished(s); /* so the next call is that of "search on" */
    /* One worker is in the middle of a search when the server stops: since the loop held the lock
     * for the last time, this worker has looked whether the server shuts down. */
    set_backend(USER, HOLDS);
    send_text(clients[2], "search on\n");
    wait_for_calls(s, USER, 1);
}

CHECK(no_data_race, 2, "has no data race (helgrind)", .needs = "stop_in_flight", .lengthy = true,
      .hint =
          "Access what the workers and the loop share (the queues, the shutting_down flag) only "
          "under the lock. Clients belong to the loop.",
      .by_hand = "make backends               # and in a second terminal:\n"
                 "make run TOOL='valgrind --tool=helgrind'    # and in a third terminal:\n"
                 "for i in 1 2 3 4; do\n"
                 "    printf 'hello\\nsearch x\\n' | nc -N 127.0.0.1 9000 & done; wait\n"
                 "# then Ctrl-C in the second terminal")
{
    struct server *s = start_server(.tool = HELGRIND, .backends = true);
    share_work(s);
    if (is_second_opinion_needed(s)) {
        s = start_server(.tool = THREAD_SANITIZER, .backends = true);
        share_work(s);
        expect_no_race_found(s);
    } else {
        expect_no_data_race(s);
    }
}
