/*
 * Lab 8, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TRUSTS_SHORT_COUNTS
SEARCHES
SWITCHES_STACKS

enum { WORKERS = 2, THREADS = 1 + WORKERS };

static void expect_few_threads(struct server *s, const char *when)
{
    int n = count_threads(s);
    if (n > THREADS)
        fail_check(s, "at most 3 threads: one accepts clients, two run coroutines",
                   "%d threads, %s", n, when);
}

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(
    echo_line, 3, "sends a line back to nc",
    .hint = "main has assigned the client to a worker, whose epoll_wait reports it (TODO 10: if "
            "there is only one thread, the workers have ended). Create a coroutine for it, "
            "resume it, and resume it again whenever it can continue.")
SHARED_CHECK(lines, 3, "answers lines, in whatever pieces they arrive")
SHARED_CHECK(all_bytes, 2, "echoes every byte, including those with the value 0", .needs = "lines")
SHARED_CHECK(short_sends, 2, "sends the rest when there is room again", .needs = "lines")
SHARED_CHECK(big_message, 3, "echoes 8 MiB, every byte in its place", .needs = "short_sends")
SHARED_CHECK(
    half_close, 3, "sends the rest after the client's half-close, then closes",
    .hint = "In edge-triggered mode end-of-file is reported once, perhaps together with the last "
            "bytes. After EPOLLRDHUP, receive until recv() returns 0: no further event reports it.")

CHECK(few_threads, 3, "serves all its clients with three threads, which wait in epoll_wait",
      .needs = "lines",
      .hint = "A coroutine is not a thread: its worker waits in epoll_wait for all of its clients. "
              "Any other call that blocks delays them all.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "for i in 1 2 3 4 5; do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
                 "ps -L -o pid,lwp,stat,wchan:20,cmd -p $(make pid)")
{
    enum { CLIENTS = 8 };
    struct server *s = start_server();
    struct peer *clients[CLIENTS];
    expect_processes(s, 1, "one process");
    expect_loops_waiting(s);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    expect_few_threads(s, "with eight clients");
    for (int i = 0; i < 2; i++) { /* one on each worker, most likely */
        stop_reading(clients[i]);
        send_until_blocked(clients[i]);
    }
    expect_loops_waiting(s);
    expect_few_threads(s, "while two of eight clients do not read");
    expect_processes(s, 1, "one process");
}

SHARED_CHECK(silent_client, 3, "serves other clients while one never writes and one never reads",
             .needs = "big_message half_close few_threads")
SHARED_CHECK(slow_reader, 3, "stops reading from a client that does not read, and loses nothing")
SHARED_CHECK(no_starvation, 3, "serves other clients while one never stops sending",
             .hint = "A coroutine whose client always has more to send never has to wait. It must "
                     "yield all the same, and the worker must call epoll_wait between rounds.")
SHARED_CHECK(crowd, 3, "serves 100 simultaneous clients without mixing up a byte")
SHARED_CHECK(client_vanishes, 3, "survives clients that reset or leave without reading",
             .needs = "lines")
SHARED_CHECK(no_leaked_descriptors, 2, "closes each client's descriptor, exactly once",
             .needs = "half_close client_vanishes few_threads")

/* How often each thread has been scheduled to run: proc(5). A sleeping thread is not. */
struct runs {
    int tid;
    unsigned long times;
};

static int count_runs(struct server *s, struct runs *runs, int max)
{
    char path[300];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid_of(s));
    DIR *directory = opendir(path);
    if (directory == NULL)
        grader_error("cannot read %s", path);
    int n = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && n < max;) {
        unsigned long ran, waited;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid_of(s), entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue;
        runs[n].tid = atoi(entry->d_name);
        if (fscanf(file, "%lu %lu %lu", &ran, &waited, &runs[n].times) == 3)
            n++;
        fclose(file);
    }
    closedir(directory);
    return n;
}

CHECK(both_workers, 4, "distributes its clients over two workers", .needs = "few_threads",
      .hint = "Assign clients to the workers in turn. Each worker has its own epoll instance, and "
              "wakes up only for its own clients.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "for i in $(seq 20); do echo hello | nc -N 127.0.0.1 9000; done >/dev/null\n"
                 "grep . /proc/$(make pid)/task/*/schedstat\n"
                 "# the third number is how often a thread ran: each about as often")
{
    enum { CLIENTS = 16 };
    struct server *s = start_server();
    struct peer *clients[CLIENTS];
    struct runs before[THREADS], after[THREADS];
    int served[THREADS] = {0};
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    for (int i = 0; i < CLIENTS; i++) {
        wait_asleep(s);
        int n = count_runs(s, before, THREADS);
        send_text(clients[i], "who serves me?\n");
        receive_text(clients[i], "who serves me?\n");
        wait_asleep(s);
        if (count_runs(s, after, THREADS) != n)
            fail_check(s, "the same threads throughout", "different threads than before");
        for (int t = 0; t < n; t++)
            served[t] += after[t].times != before[t].times;
    }
    /* A thread that wakes for every client only distributes input, and is no worker. */
    int workers = 0;
    for (int t = 0; t < THREADS; t++)
        workers += served[t] > 0 && served[t] < CLIENTS;
    for (int t = 0; t < THREADS && workers < WORKERS; t++)
        evidence("thread %d ran for %d of %d clients", t + 1, served[t], CLIENTS);
    if (workers < WORKERS)
        fail_check(s, "two threads, each of which serves some of the clients", "%d such thread%s",
                   workers, workers == 1 ? "" : "s");
}

SHARED_CHECK(ten_thousand, 3, "serves 10,000 clients without losing a byte")

/* A client that sends much at once, and stays connected. */
static void send_much_at_once(struct server *s, const char *text, size_t size)
{
    struct peer *p = connect_to(s);
    send_text(p, "hello\n");
    receive_text(p, "hello\n");
    freeze(s); /* so that the server finds all of it at once */
    send_bytes(p, text, size);
    thaw(s);
    receive_bytes(p, text, size);
}

CHECK(small_stacks, 4, "needs little memory for an idle client, and guards each stack",
      .needs = "big_message crowd",
      .hint = "A stack page stays in memory once it has been touched. Allocate what only a busy "
              "client needs, above all a buffer, on the heap, and free it.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "grep VmRSS /proc/$(make pid)/status\n"
                 "for i in $(seq 50); do\n"
                 "    (seq 5000; sleep 9) | nc -N 127.0.0.1 9000 >/dev/null & done; sleep 3\n"
                 "grep VmRSS /proc/$(make pid)/status   # at most 1,200 kB more")
{
    enum { FIRST = 20, CLIENTS = 200, SIZE = 32 * 1024, MAX_KIB = 24 };
    struct server *s = start_server();
    char *text = long_text(SIZE);
    uint64_t before = 0;
    int guards = 0;
    for (int i = 0; i < FIRST + CLIENTS; i++) {
        if (i == FIRST) {
            wait_asleep(s);
            before = memory_of(s);
            guards = count_guard_mappings(s);
        }
        send_much_at_once(s, text, SIZE);
    }
    free(text);
    wait_asleep(s);
    uint64_t more = memory_of(s) - before;
    evidence("about %.0f KiB of memory for each of %d idle clients", (double)more / 1024 / CLIENTS,
             CLIENTS);
    if (more > (uint64_t)CLIENTS * MAX_KIB * 1024)
        fail_check(s, "at most 24 KiB of memory for an idle client, however much it sent",
                   "%.1f KiB", (double)more / 1024 / CLIENTS);
    set_hint("Below each stack there must be a page that nothing can access, so that a stack that "
             "overflows crashes instead of overwriting its neighbour: mprotect(2), PROT_NONE.",
             "make run                    # and in a second terminal:\n"
             "for i in 1 2 3; do (sleep 9 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
             "grep -c -e '---p' /proc/$(make pid)/maps   # three more than without clients");
    int all = count_guards(s); /* a server may guard many stacks at once, before they are used */
    guards = all - guards;
    if (guards < CLIENTS && all < FIRST + CLIENTS)
        fail_check(s, "a guard page below each stack, mprotect(2): 200 for 200 clients",
                   "%d more stretches of inaccessible pages", guards);
}

SHARED_CHECK(search, 5, "queries three backends in turn: user, query and stock",
             .needs = "half_close few_threads")
SHARED_CHECK(idle_is_free, 2, "uses no CPU time while nothing happens",
             .needs = "search half_close silent_client")
SHARED_CHECK(backend_in_pieces, 3, "accepts a backend's answer in whatever pieces it arrives",
             .needs = "idle_is_free")
SHARED_CHECK(loop_never_blocks, 4, "keeps echoing while backend calls are pending",
             .hint =
                 "A coroutine that has to wait suspends itself, and its worker runs the others. A "
                 "blocking call stops the worker, and with it half of the clients.")
SHARED_CHECK(in_order, 3, "answers each client in the order of its lines")

SHARED_CHECK(backend_down, 3, "reports which backend has failed, and continues")
SHARED_CHECK(backend_hangs, 3, "gives each backend call one second, and no more",
             .needs = "backend_down")
SHARED_CHECK(thousand_in_flight, 4, "has a thousand searches in flight at once",
             .hint = "Each client has a coroutine, and each search waits in its own. Share nothing "
                     "between searches, and do not limit their number.")
SHARED_CHECK(line_too_long, 3, "reports that a line is too long, and only then closes")
SHARED_CHECK(stop, 2, "stops on SIGTERM or SIGINT with the correct counts")
SHARED_CHECK(memory, 2, "has no memory errors and leaves nothing open",
             .needs = "stop in_order backend_down no_leaked_descriptors")

CHECK(coroutines_end, 4, "frees each coroutine when its client has left", .needs = "crowd search",
      .hint =
          "When serve_client returns, the coroutine has ended: close the client's socket, switch "
          "to the worker's own stack, and only then unmap the coroutine's.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "wc -l /proc/$(make pid)/maps\n"
                 "for i in $(seq 100); do (echo hello | nc -N 127.0.0.1 9000 &); done >/dev/null\n"
                 "sleep 2\n"
                 "wc -l /proc/$(make pid)/maps    # about as many as before")
{
    enum { FIRST = 50, CLIENTS = 400, MORE = 100 };
    struct server *s = start_server(.backends = true, .descriptors = MAX_DESCRIPTORS);
    struct peer *clients[CLIENTS];
    wait_asleep(s);
    int descriptors = count_descriptors(s);
    for (int i = 0; i < FIRST; i++) { /* one after the other ... */
        struct peer *p = connect_to(s);
        send_text(p, "hello\nsearch x\n");
        receive_text(p, "hello\nx user query stock\n");
        send_fin(p);
        receive_eof(p);
    }
    expect_descriptors(s, descriptors, "all clients have left");
    wait_asleep(s);
    int mappings = count_mappings(s);
    for (int i = 0; i < CLIENTS; i++) { /* ... and all at once */
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        if (i % 2 == 0)
            reset(clients[i]);
        else
            hang_up(clients[i]);
    expect_descriptors(s, descriptors, "all clients have left");
    /* A stack that is kept has two mappings; a few may be kept for the next clients. */
    expect_mappings(s, mappings, "before 400 clients connected", MORE,
                    "stacks freed: about as many mappings as before");
}

SHARED_CHECK(client_leaves_early, 3, "never sends an answer to a different client")
SHARED_CHECK(stop_in_flight, 2, "stops while searches are in flight")
SHARED_CHECK(out_of_descriptors, 2, "survives running out of descriptors, and does not spin",
             .needs = "backend_down")
SHARED_CHECK(stopped_and_continued, 2, "continues after SIGSTOP and SIGCONT", .needs = "in_order")
SHARED_CHECK(interrupted_calls, 2, "restarts calls that a signal interrupted",
             .needs = "stopped_and_continued client_leaves_early")

CHECK(no_data_race, 2, "has no data race (helgrind)", .needs = "stop_in_flight both_workers",
      .lengthy = true,
      .hint = "Two threads access the same memory, at least one of them writes, and no lock orders "
              "the accesses. Give each worker its own coroutines, buffers and counts.",
      .by_hand = "make backends               # and in a second terminal:\n"
                 "make run TOOL='valgrind --tool=helgrind'    # and in a third terminal:\n"
                 "for i in 1 2 3 4; do\n"
                 "    printf 'hello\\nsearch x\\n' | nc -N 127.0.0.1 9000 & done; wait\n"
                 "# then Ctrl-C in the second terminal")
{
    enum { CLIENTS = 6 };
    struct server *s = start_server(.tool = HELGRIND, .backends = true);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\nsearch shoes\nbye\n");
    }
    for (int i = 0; i < CLIENTS; i++)
        receive_text(clients[i], "hello\nshoes user query stock\nbye\n");
    for (int i = 0; i < 2; i++) {
        send_text(clients[i], "search and leave\n");
        reset(clients[i]);
    }
    struct peer *newcomer = connect_to(s);
    send_text(newcomer, "search and stay\n");
    receive_text(newcomer, "and stay user query stock\n");
    expect_no_data_race(s);
}
