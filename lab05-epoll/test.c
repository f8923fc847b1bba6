/*
 * Lab 5, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

TRUSTS_SHORT_COUNTS

SHARED_CHECK(usage, 2, "says how it is called, and which port it cannot have")
SHARED_CHECK(echo_line, 6, "sends a line back to nc",
             .hint =
                 "In which call does it sit? If in epoll_wait: was the listener added, and after "
                 "accept the client? What stands in event.data comes back.")
SHARED_CHECK(pieces, 4, "sends each piece back at once, newline or not")
SHARED_CHECK(stopped_and_continued, 3, "goes on after SIGSTOP and SIGCONT", .needs = "pieces")
SHARED_CHECK(all_bytes, 3, "sends every byte back, also those with the value 0")
SHARED_CHECK(short_sends, 4, "sends the rest when there is room again",
             .needs = "pieces stopped_and_continued")
SHARED_CHECK(
    big_message, 4, "sends 8 MiB back, every byte in its place", .needs = "short_sends",
    .hint = "What send() did not take stays in the client's buffer, and goes out when there is "
            "room (TO_WRITE). When the buffer is full nothing is received: recv() with no room "
            "returns 0, and that is not the end.",
    .by_hand = "make run                    # and in a second terminal, a slow reader:\n"
               "seq 10000000 | cksum\n"
               "seq 10000000 | nc -N 127.0.0.1 9000 | (sleep 3; cksum)   # the same")
SHARED_CHECK(half_close, 5, "sends the rest after the client's half-close, then closes",
             .needs = "big_message stopped_and_continued")
SHARED_CHECK(one_thread, 4, "serves all its clients with one thread")

CHECK(waits_in_epoll, 5, "waits in epoll_wait, and nowhere else", .needs = "one_thread short_sends",
      .hint = "Any other call that blocks, blocks for everybody: the sockets must be non-blocking, "
              "and epoll_wait the only place where the loop waits.",
      .by_hand =
          "make run                    # and in a second terminal, a client that does not read:\n"
          "yes | nc 127.0.0.1 9000 | sleep 60 & sleep 2\n"
          "cat /proc/$(pgrep -nf 'server 9000')/syscall; kill %1\n"
          "# x86-64: 232 is epoll_wait, 281 epoll_pwait, 44 sendto, 45 recvfrom")
{
    struct server *s = start_server();
    expect_waiting_in(s, "epoll_wait");
    struct peer *a = connect_to(s);
    say(a, "hello\n");
    hear(a, "hello\n");
    expect_waiting_in(s, "epoll_wait");
    struct peer *b = connect_to(s);
    stop_reading(b);
    say_until_blocked(b);
    expect_waiting_in(s, "epoll_wait");
    finish_saying(b);
    say(a, "hello\n");
    hear(a, "hello\n");
    expect_waiting_in(s, "epoll_wait");
}

SHARED_CHECK(
    silent_client, 4, "serves everybody else while one never writes and one never reads",
    .needs = "half_close waits_in_epoll",
    .hint = "Who waits, and whose bytes came? One client's silence may hold up nobody, and what "
            "waits for one client must not stand where the next one's bytes come in.")
SHARED_CHECK(slow_reader, 6, "reads no more from a client who does not read, and loses nothing")
SHARED_CHECK(no_starvation, 4, "serves the others while one client never stops talking")
SHARED_CHECK(crowd, 4, "serves 100 clients who come at once, no byte astray")

CHECK(descriptor_limit, 3, "serves clients whose descriptors are beyond 1,023", .needs = "crowd",
      .hint =
          "Nothing of select may be left: an fd_set, or a table of that size, ends at descriptor "
          "1,023. epoll knows no such limit.",
      .by_hand = "make && (ulimit -n 2000; for i in $(seq 20 1015); do eval \"exec $i</dev/null\"; "
                 "done; ./server 9000)\n"
                 "# and in a second terminal:\n"
                 "for i in $(seq 40); do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
                 "echo hello | nc -N 127.0.0.1 9000   # hello, at once")
{
    enum { CLIENTS = 40, FREE = 16 };
    struct server *s = start_server(.taken = 1024 - FREE);
    struct peer *clients[CLIENTS];
    connect_many(s, clients, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        say_and_hear(clients[i], "hello\n", 1);
}

SHARED_CHECK(ten_thousand, 6, "serves 10,000 clients, each of their bytes",
             .needs = "descriptor_limit")
SHARED_CHECK(flat_cost, 5, "pays for an echo, not for the 5,000 clients who are idle")
SHARED_CHECK(client_vanishes, 5, "outlives clients that reset or are gone without reading",
             .needs = "big_message stopped_and_continued")
SHARED_CHECK(no_leaked_descriptors, 4, "closes each client's descriptor, once")
SHARED_CHECK(out_of_descriptors, 5,
             "lives without a descriptor for the next client, and does not spin",
             .needs = "crowd client_vanishes")
SHARED_CHECK(interrupted_calls, 3, "calls again what a signal interrupted",
             .needs = "pieces stopped_and_continued")
SHARED_CHECK(idle_is_free, 3, "uses no CPU time while nothing happens",
             .needs = "half_close waits_in_epoll")
SHARED_CHECK(stop, 5, "ends at SIGTERM or SIGINT with the right counts",
             .needs = "half_close client_vanishes waits_in_epoll")
SHARED_CHECK(memory, 3, "makes no memory errors and leaves nothing open")
SHARED_CHECK(idle_cost, 0, "pays nothing for idle clients: see for yourself")
