/*
 * Lab 4, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "checks/steps.h"
#include "harness.h"
#include "observe/resources.h"
#include "observe/sockets.h"

#include <sys/select.h>

WAITS_IN_SELECT

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(echo_line, 6, "sends a line back to nc",
             .hint = "In which call is it blocked? If in select: was the listening socket in the "
                     "set, and each client added? select modifies its sets: pass copies.")
SHARED_CHECK(pieces, 4, "echoes each piece at once, with or without a newline")
SHARED_CHECK(all_bytes, 3, "echoes every byte, including those with the value 0")
SHARED_CHECK(big_message, 5, "echoes 8 MiB, every byte in its place",
             .hint = "What send() did not take stays in the client's buffer until there is room "
                     "(WANT_WRITE). Do not read while the buffer is full: recv() with size 0 "
                     "returns 0, which is not end-of-file.",
             .hint_if = {[DISCONNECTED] = OWN_HINT},
             .by_hand = "make run               # and in a second terminal, a slow reader:\n"
                        "seq 10000000 | cksum\n"
                        "seq 10000000 | nc -N 127.0.0.1 9000 | (sleep 3; cksum)  # the same")
SHARED_CHECK(half_close, 6, "sends the rest after the client's half-close, then closes")
SHARED_CHECK(one_thread, 5, "serves all its clients with one thread")

/* A new client has a lower descriptor than one that has been connected for longer. */
static void expect_service_on_higher_descriptor(void)
{
    struct peer *clients[4];
    set_hint("select examines the descriptors below its first argument only: that is the highest "
             "one in any set, plus 1. The client that came or left last need not have the "
             "highest.",
             "make run                    # and in a second terminal, bash:\n"
             "exec 5<>/dev/tcp/127.0.0.1/9000 6<>/dev/tcp/127.0.0.1/9000\n"
             "exec 5>&-; exec 5<>/dev/tcp/127.0.0.1/9000   # gets the lower descriptor\n"
             "echo hello >&6; head -n 1 <&6");
    struct server *s = start_server();
    for (int i = 0; i < 4; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    hang_up(clients[0]);
    wait_asleep(s);
    struct peer *e = connect_to(s);
    send_text(e, "hello\n");
    receive_text(e, "hello\n");
    for (int i = 1; i < 4; i++) {
        send_text(clients[i], "I was here before\n");
        receive_text(clients[i], "I was here before\n");
    }
    for (int i = 3; i > 0; i--) { /* the highest leaves */
        hang_up(clients[i]);
        wait_asleep(s);
        struct peer *next = i > 1 ? clients[i - 1] : e;
        send_text(next, "and I stay\n");
        receive_text(next, "and I stay\n");
    }
}

CHECK(waits_in_select, 6, "waits in select, and nowhere else", .needs = "one_thread",
      .hint = "Any other call that blocks delays all clients: make the sockets non-blocking, and "
              "wait in select only.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "yes | nc 127.0.0.1 9000 | sleep 60 & sleep 2   # does not read\n"
                 "cat /proc/$(make pid)/syscall; kill %1\n"
                 "# x86-64: 270 is pselect6, 44 sendto, 45 recvfrom")
{
    struct server *s = start_server();
    expect_waiting_in(s, "select");
    struct peer *a = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    expect_waiting_in(s, "select");
    struct peer *b = connect_to(s);
    stop_reading(b);
    send_until_blocked(b);
    expect_waiting_in(s, "select");
    send_fin(b);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    expect_waiting_in(s, "select");
    expect_recv_of_reported_clients_only("strict_select");
    expect_service_on_higher_descriptor();
}

SHARED_CHECK(silent_client, 5, "serves other clients while one never writes and one never reads",
             .needs = "big_message waits_in_select",
             .hint = "A silent client must not block the loop, and pending output for one client "
                     "must not share a buffer with the next client's input.")
SHARED_CHECK(slow_reader, 8, "stops reading from a client that does not read, and loses nothing")
SHARED_CHECK(crowd, 5, "serves 100 simultaneous clients without mixing up a byte")
SHARED_CHECK(client_vanishes, 6, "survives clients that reset or leave without reading",
             .needs = "big_message")
SHARED_CHECK(no_leaked_descriptors, 5, "closes each client's descriptor, exactly once")

static int free_below_limit(struct server *s)
{
    char target[8];
    int n = 0;
    for (int fd = 0; fd < FD_SETSIZE; fd++)
        n += read_descriptor(s->pid, fd, target, sizeof target) == -1;
    return n;
}

/* Does the server hold a client's socket that does not fit into an fd_set? */
static bool serves_beyond_limit(struct server *s)
{
    read_connections();
    for (int fd = FD_SETSIZE; fd < 2 * FD_SETSIZE; fd++) {
        const struct connection *c = connection_of(s->pid, fd);
        if (c != NULL && c->local == s->port && c->state != STATE_LISTEN)
            return true;
    }
    return false;
}

CHECK(descriptor_limit, 7, "survives clients whose descriptors do not fit into an fd_set",
      .needs = "half_close waits_in_select",
      .hint = "An fd_set holds the descriptors 0 to FD_SETSIZE - 1, which is 1023. FD_SET with a "
              "higher one, from 1024 on, writes outside of it: select(2).",
      .hint_if = {[CRASHED] = OWN_HINT, [EXITED] = OWN_HINT},
      .by_hand =
          "make && (ulimit -n 2000; for i in $(seq 20 1015); do\n"
          "    eval \"exec $i</dev/null\"; done; ./server 9000)\n"
          "# and in a second terminal:\n"
          "(for i in {1..40}; do exec {c}<>/dev/tcp/127.0.0.1/9000; done; sleep 5) & sleep 1\n"
          "echo hello | nc -N 127.0.0.1 9000     # disconnected at once\n"
          "wait\n"
          "echo 'room again?' | nc -N 127.0.0.1 9000   # served")
{
    enum { FREE = 16, BEYOND = 24, MIN_SERVED = 4 };
    static struct peer *clients[FD_SETSIZE + BEYOND];
    need_descriptors(FD_SETSIZE + 3 * BEYOND, "some clients get a descriptor above 1,023");
    struct server *s = start_server(.first_free_fd = FD_SETSIZE - FREE);
    expect_waiting_in(s, "select");
    int served = 0, before = count_descriptors(s), room = free_below_limit(s);
    int n = room + BEYOND; /* a server may close what it has inherited: then there is more room */
    for (int i = 0; i < n; i++)
        clients[i] = connect_to(s);
    for (int i = 0; i < n; i++)
        try_to_send(clients[i], "hello\n");
    expect_waiting_in(s, "select");
    set_hint(
        "Descriptors from FD_SETSIZE on do not fit into an fd_set. A client that gets one cannot "
        "be served: close its connection at once, and go on serving the others.",
        NULL);
    for (int i = 0; i < n; i++)
        if (unread_bytes(clients[i]) > 0) {
            receive_text(clients[i], "hello\n");
            served++;
        } else if (holds_connection_of(s, clients[i])) {
            receive_eof_or_reset(clients[i]); /* accepted, but not served: disconnected */
        }
    /* One more if it has closed a descriptor that it held in reserve. */
    if (served < MIN_SERVED || served > room + 1 || serves_beyond_limit(s))
        fail_check(s, "service on descriptors below 1024, and on no others",
                   "%d of %d clients served; %d such descriptors were free", served, n, room);
    set_hint(
        "All clients have left: close the descriptors of all that were accepted, also of those "
        "that were not served, and serve the next client.",
        NULL);
    for (int i = 0; i < n; i++)
        hang_up(clients[i]);
    expect_descriptors(s, before, "all clients have left");
    struct peer *p = connect_to(s);
    send_text(p, "room again?\n");
    receive_text(p, "room again?\n");
}

SHARED_CHECK(out_of_descriptors, 6, "survives running out of descriptors, and does not spin",
             .needs = "crowd client_vanishes")
SHARED_CHECK(interrupted_calls, 4, "restarts calls that a signal interrupted",
             .needs = "pieces waits_in_select")
SHARED_CHECK(short_sends, 4, "sends the rest when send() took only a part")
SHARED_CHECK(idle_is_free, 4, "uses no CPU time while nothing happens",
             .needs = "half_close waits_in_select")
SHARED_CHECK(stop, 5, "stops on SIGTERM or SIGINT with the correct counts",
             .needs = "half_close client_vanishes waits_in_select")
SHARED_CHECK(memory, 4, "has no memory errors and leaves nothing open")
SHARED_CHECK(idle_cost, 0,
             "serves clients among idle ones (make test CHECK=idle_cost shows the cost)")
