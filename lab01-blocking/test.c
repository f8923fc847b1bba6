/*
 * Lab 1, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

ONE_AT_A_TIME

SHARED_CHECK(usage, 6, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(echo_line, 14, "sends a line back to nc")
SHARED_CHECK(pieces, 6, "echoes each piece at once, with or without a newline")
SHARED_CHECK(all_bytes, 8, "echoes every byte, including those with the value 0")
SHARED_CHECK(big_message, 8, "echoes 8 MiB, every byte in its place")
SHARED_CHECK(half_close, 10, "sends the rest after the client's half-close, then closes")
SHARED_CHECK(client_vanishes, 10, "survives clients that reset or leave without reading")
SHARED_CHECK(no_leaked_descriptors, 6, "closes each client's descriptor, however the client leaves")
SHARED_CHECK(interrupted_calls, 8, "restarts calls that a signal interrupted")
SHARED_CHECK(short_sends, 8, "sends the rest when send() took only a part")
SHARED_CHECK(idle_is_free, 6, "uses no CPU time while nothing happens")
SHARED_CHECK(stop, 6, "stops on SIGTERM or SIGINT with the correct counts, wherever it waits")
SHARED_CHECK(memory, 4, "has no memory errors and leaves nothing open")

CHECK(one_at_a_time, 0, "makes the second client wait while the first is silent",
      .needs = "echo_line",
      .hint = "In this lab the second client is served only after the first has left.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "sleep 3 | nc 127.0.0.1 9000 & sleep 1\n"
                 "echo 'is anybody there?' | nc -N 127.0.0.1 9000   # after 3 seconds")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    wait_reading_from(s, a);
    struct peer *b = connect_to(s);
    send_text(b, "is anybody there?\n");
    wait_asleep(s);
    add_thread_evidence(s);
    hang_up(a);
    receive_text(b, "is anybody there?\n");
}
