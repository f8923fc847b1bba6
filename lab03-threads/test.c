/*
 * Lab 3, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "checks/steps.h"
#include "harness.h"

#include <signal.h>

TASK_PER_CLIENT

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(
    echo_line, 6, "sends a line back to nc",
    .hint = "The thread serves the client, and closes its socket when the client has left. All "
            "threads share one table of descriptors: what main closes is closed for all.")
SHARED_CHECK(pieces, 3, "echoes each piece at once, with or without a newline")

CHECK(thread_per_client, 7, "gives each client a thread of its own, all in one process",
      .needs = "pieces",
      .hint = "Call pthread_create() after accept(): the new thread serves the client, main "
              "accepts the next, and does not wait for the thread to end: detach it instead of "
              "joining it.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "for i in 1 2 3; do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
                 "ps -L -o pid,lwp,stat,wchan,cmd -p $(make pid)\n"
                 "# main, and a thread for each of the three clients")
{
    struct server *s = start_server();
    wait_asleep(s);
    int processes = count_processes(s), threads = count_threads(s);
    for (int i = 0; i < 3; i++) {
        struct peer *p = connect_to(s);
        send_text(p, "hello\n");
        receive_text(p, "hello\n");
        wait_reading_from(s, p);
        expect_threads(s, threads + i + 1, "one more for each connected client");
        expect_processes(s, processes, "all threads share it");
    }
}

/* Each thread has served its client, which has left, before pthread_create() returns. */
static struct server *end_before_create_returns(void)
{
    enum { CLIENTS = 3 };
    set_hint("The new thread may run, and even end, before pthread_create() has returned: it "
             "must find everything complete. Put the client in the list first, and after that do "
             "not touch what the thread frees.",
             "make run TOOL=valgrind FAULTS=early_threads    # and in a second terminal:\n"
             "for i in 1 2 3; do echo hello | nc -N 127.0.0.1 9000; done\n"
             "# then Ctrl-C in the first");
    set_hint_if(CRASHED, OWN_HINT);
    set_hint_if(DISCONNECTED, OWN_HINT);
    struct server *s = start_server(.faults = "early_threads");
    struct peer *a = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    expect_service_at_once(s, CLIENTS);
    send_text(a, "still there?\n");
    receive_text(a, "still there?\n");
    wait_reading_from(s, a);
    return s;
}

CHECK(own_argument, 8, "gives each thread its own client, however late the thread starts",
      .needs = "thread_per_client",
      .hint = "A new thread may start long after pthread_create() has returned. By then, a "
              "variable of the accept loop holds the next client: do not pass a pointer to it.",
      .hint_if = {OWN_HINT_FOR_BYTES, [EXITED] = OWN_HINT},
      .by_hand = "make run FAULTS=late_threads=3    # and in a second terminal:\n"
                 "for i in 1 2 3; do echo client $i | nc -N -w 5 127.0.0.1 9000 & done; wait")
{
    struct server *s = start_server(.faults = "late_threads=3");
    struct peer *a = connect_to(s), *b = connect_to(s), *c = connect_to(s);
    send_text(a, "I am A\n");
    receive_text(a, "I am A\n");
    send_text(b, "I am B\n");
    receive_text(b, "I am B\n");
    send_text(c, "I am C\n");
    receive_text(c, "I am C\n");
    end_before_create_returns();
}

SHARED_CHECK(all_bytes, 3, "echoes every byte, including those with the value 0")
SHARED_CHECK(big_message, 4, "echoes 8 MiB, every byte in its place")
SHARED_CHECK(half_close, 5, "sends the rest after the client's half-close, then closes")
SHARED_CHECK(silent_client, 6, "serves other clients while one never writes and one never reads",
             .needs = "pieces thread_per_client")
SHARED_CHECK(crowd, 7, "serves 100 simultaneous clients without mixing up a byte",
             .needs = "half_close silent_client own_argument")
SHARED_CHECK(client_vanishes, 5, "survives clients that reset or leave without reading",
             .needs = "echo_line own_argument")
SHARED_CHECK(no_leaked_descriptors, 5, "closes each client's descriptor, exactly once")
SHARED_CHECK(interrupted_calls, 5, "restarts calls that a signal interrupted",
             .needs = "pieces own_argument")
SHARED_CHECK(short_sends, 4, "sends the rest when send() took only a part")
SHARED_CHECK(idle_is_free, 4, "uses no CPU time while nothing happens")

SHARED_CHECK(stop, 6, "ends all threads on SIGTERM or SIGINT, then prints the correct counts",
             .needs = "half_close client_vanishes own_argument",
             .hint = "Threads blocked in recv() or send() must be woken: main finds their sockets "
                     "in the list and shuts them down, then waits until the last client has left.",
             .by_hand = "make run                    # and in a second terminal:\n"
                        "for i in 1 2; do\n"
                        "    (echo hello; sleep 60) | nc 127.0.0.1 9000 >answer$i & done\n"
                        "until [ -s answer1 ] && [ -s answer2 ]; do sleep 0.1; done\n"
                        "rm answer1 answer2\n"
                        "# then Ctrl-C in the first: served 2 connections, 12 bytes")

CHECK(threads_end, 7, "ends a client's thread when the client leaves, and frees its stack",
      .needs = "thread_per_client crowd stop",
      .hint = "A thread must return when its client has left. Its stack is then kept until it is "
              "joined, unless it is detached: pthread_detach(3).",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "for i in $(seq 50); do echo hello | nc -N 127.0.0.1 9000; done >/dev/null\n"
                 "s=$(make pid); ls /proc/$s/task    # no more than before\n"
                 "wc -l /proc/$s/maps                # about 40 lines")
{
    enum { CLIENTS = 50 };
    struct server *s = start_server();
    struct peer *clients[CLIENTS];
    wait_asleep(s);
    int threads = count_threads(s), mappings = 0;
    for (int i = 0; i < CLIENTS; i++) { /* one after the other ... */
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
        hang_up(clients[i]);
        expect_threads(s, threads, "all clients have left");
        if (i == 5)
            mappings = count_mappings(s);
    }
    for (int i = 0; i < CLIENTS; i++) { /* ... and all at once */
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        hang_up(clients[i]);
    expect_threads(s, threads, "all clients have left");
    /* A stack that is kept has two mappings; allocators keep a few of their own. */
    expect_mappings(s, mappings, "after the first clients", CLIENTS,
                    "stacks freed when their threads have ended");
    s = end_before_create_returns();
    struct ending e = stop_server(s, SIGTERM);
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0 after SIGTERM", "%s", describe_ending(s));
}

CHECK(thread_fails, 6, "loses only one client when pthread_create() fails",
      .needs = "thread_per_client stop",
      .hint =
          "pthread_create() returns an error number, never -1, and does not set errno. There is "
          "no thread then, but there is a client: undo what was done for it. That includes a lock, "
          "if the evidence shows a thread that waits for one.",
      .hint_if = {[EXITED] = OWN_HINT},
      .by_hand = "make run FAULTS=thread_fails=1    # and in a second terminal:\n"
                 "for i in 1 2 3; do\n"
                 "    echo client $i | timeout 5 nc -N 127.0.0.1 9000; echo $?; done")
{
    struct server *s = start_server(.faults = "thread_fails=2");
    struct peer *a = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    struct peer *b = connect_to(s);
    receive_eof_or_reset(b);
    struct peer *c = connect_to(s);
    send_text(c, "hello\n");
    receive_text(c, "hello\n");
    hang_up(c);
    send_text(a, "still there?\n");
    receive_text(a, "still there?\n");
    wait_reading_from(s, a);
    set_hint(
        "pthread_create() failed once, and now the signal does not end the server. What does main "
        "wait for: a client that no thread will ever remove from the list, or a lock that was "
        "not released?",
        "make run FAULTS=thread_fails=1    # and in a second terminal:\n"
        "echo hello | timeout 5 nc -N 127.0.0.1 9000\n"
        "# then Ctrl-C in the first terminal must end it");
    expect_summary_line(s, stop_server(s, SIGTERM), 3, 25);
}

static void serve_four(struct server *s)
{
    enum { CLIENTS = 4 };
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    for (int i = 0; i < CLIENTS; i++)
        send_text(clients[i], "hello\n");
    for (int i = 0; i < CLIENTS; i++)
        receive_text(clients[i], "hello\n");
    /* One leaves, one resets, two are still connected when the server stops. */
    send_fin(clients[0]);
    receive_eof(clients[0]);
    reset(clients[1]);
    for (int i = 2; i < CLIENTS; i++) {
        send_text(clients[i], "again\n");
        receive_text(clients[i], "again\n");
        wait_reading_from(s, clients[i]);
    }
}

CHECK(no_data_race, 4, "uses a lock to protect what its threads share (helgrind)",
      .needs = "crowd client_vanishes stop", .lengthy = true,
      .hint = "Two threads access the same memory, at least one of them writes, and no lock orders "
              "the accesses.",
      .by_hand = "make run TOOL='valgrind --tool=helgrind'\n"
                 "# in a second terminal:\n"
                 "for i in 1 2 3; do echo hello | nc -N 127.0.0.1 9000 & done; wait\n"
                 "# then Ctrl-C in the first terminal")
{
    struct server *s = start_server(.tool = HELGRIND);
    serve_four(s);
    if (is_second_opinion_needed(s)) {
        s = start_server(.tool = THREAD_SANITIZER);
        serve_four(s);
        expect_no_race_found(s);
    } else {
        expect_no_data_race(s);
    }
}

SHARED_CHECK(memory, 3, "has no memory errors and leaves nothing open")
SHARED_CHECK(price, 0, "serves 1,000 clients at once (make test CHECK=price shows the cost)")
