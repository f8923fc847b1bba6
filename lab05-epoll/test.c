/*
 * Lab 5, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

TRUSTS_SHORT_COUNTS

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(
    echo_line, 6, "sends a line back to nc",
    .hint = "Which call is it blocked in? If epoll_wait: was the listening socket added, and each "
            "client added after accept? epoll_wait returns the event.data you registered.")
SHARED_CHECK(pieces, 4, "echoes each piece at once, with or without a newline")
SHARED_CHECK(stopped_and_continued, 3, "continues after SIGSTOP and SIGCONT", .needs = "pieces")
SHARED_CHECK(all_bytes, 3, "echoes every byte, including those with the value 0")
SHARED_CHECK(short_sends, 4, "sends the rest when there is room again",
             .needs = "pieces stopped_and_continued")
SHARED_CHECK(big_message, 4, "echoes 8 MiB, every byte in its place", .needs = "short_sends",
             .hint = "What send() did not take stays in the client's buffer until there is room "
                     "(WANT_WRITE). Do not read while the buffer is full: recv() with size 0 "
                     "returns 0, which is not end-of-file.",
             .hint_if = {[DISCONNECTED] = OWN_HINT},
             .by_hand = "make run               # and in a second terminal, a slow reader:\n"
                        "seq 10000000 | cksum\n"
                        "seq 10000000 | nc -N 127.0.0.1 9000 | (sleep 3; cksum)  # the same")
SHARED_CHECK(half_close, 5, "sends the rest after the client's half-close, then closes",
             .needs = "big_message stopped_and_continued")
SHARED_CHECK(one_thread, 4, "serves all its clients with one thread")

CHECK(waits_in_epoll, 5, "waits in epoll_wait, and nowhere else", .needs = "one_thread short_sends",
      .hint = "Any other call that blocks delays all clients: make the sockets non-blocking, and "
              "wait in epoll_wait only.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "yes | nc 127.0.0.1 9000 | sleep 60 & sleep 2   # does not read\n"
                 "cat /proc/$(make pid)/syscall; kill %1\n"
                 "# x86-64: 232 epoll_wait, 281 epoll_pwait, 44 sendto, 45 recvfrom")
{
    struct server *s = start_server();
    expect_waiting_in(s, "epoll_wait");
    struct peer *a = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    expect_waiting_in(s, "epoll_wait");
    struct peer *b = connect_to(s);
    stop_reading(b);
    send_until_blocked(b);
    expect_waiting_in(s, "epoll_wait");
    send_fin(b);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    expect_waiting_in(s, "epoll_wait");
}

SHARED_CHECK(silent_client, 4, "serves other clients while one never writes and one never reads",
             .needs = "half_close waits_in_epoll",
             .hint = "A silent client must not block the loop, and pending output for one client "
                     "must not share a buffer with the next client's input.")
SHARED_CHECK(slow_reader, 6, "stops reading from a client that does not read, and loses nothing")
SHARED_CHECK(no_starvation, 4, "serves other clients while one never stops sending")
SHARED_CHECK(crowd, 4, "serves 100 simultaneous clients without mixing up a byte")

CHECK(descriptor_limit, 3, "serves clients whose descriptors are above 1,023", .needs = "crowd",
      .hint = "An fd_set, or a table of that size, ends at descriptor 1,023. epoll has no such "
              "limit: remove what was left over from select.",
      .hint_if = {[DISCONNECTED] = OWN_HINT, [CRASHED] = OWN_HINT, [EXITED] = OWN_HINT},
      .by_hand =
          "make && (ulimit -n 2000; for i in $(seq 20 1015); do\n"
          "    eval \"exec $i</dev/null\"; done; ./server 9000)\n"
          "# and in a second terminal:\n"
          "(for i in {1..40}; do exec {c}<>/dev/tcp/127.0.0.1/9000; done; sleep 9) & sleep 1\n"
          "echo hello | nc -N 127.0.0.1 9000   # hello, at once")
{
    enum { CLIENTS = 40, FREE = 16 };
    need_descriptors(1024 + CLIENTS, "some clients get a descriptor above 1,023");
    struct server *s = start_server(.first_free_fd = 1024 - FREE);
    struct peer *clients[CLIENTS];
    connect_many(s, clients, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        send_and_receive(clients[i], "hello\n", 1);
}

SHARED_CHECK(ten_thousand, 6, "serves 10,000 clients without losing a byte",
             .needs = "descriptor_limit")
SHARED_CHECK(flat_cost, 5, "echoes at the same cost with 5,000 idle clients as with none")
SHARED_CHECK(client_vanishes, 5, "survives clients that reset or leave without reading",
             .needs = "big_message stopped_and_continued")
SHARED_CHECK(no_leaked_descriptors, 4, "closes each client's descriptor, exactly once")
SHARED_CHECK(out_of_descriptors, 5, "survives running out of descriptors, and does not spin",
             .needs = "crowd client_vanishes")
SHARED_CHECK(interrupted_calls, 3, "restarts calls that a signal interrupted",
             .needs = "pieces stopped_and_continued")
SHARED_CHECK(idle_is_free, 3, "uses no CPU time while nothing happens",
             .needs = "half_close waits_in_epoll")
SHARED_CHECK(stop, 5, "stops on SIGTERM or SIGINT with the correct counts",
             .needs = "half_close client_vanishes waits_in_epoll")
SHARED_CHECK(memory, 3, "has no memory errors and leaves nothing open")
SHARED_CHECK(idle_cost, 0, "pays nothing for idle clients: see make test CHECK=idle_cost")
