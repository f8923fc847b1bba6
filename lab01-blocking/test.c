/*
 * Lab 1, the specification: a right server ... `make test` runs these checks in this order. What
 * those of every lab ask in detail is in ../grading/harness/every_lab.c.
 */
#include "harness.h"

ONE_AT_A_TIME

EVERY_LAB(usage, 6, "says how it is called, and which port it cannot have")
EVERY_LAB(echo_line, 14, "sends a line back to nc")
EVERY_LAB(pieces, 6, "sends each piece back at once, newline or not")
EVERY_LAB(all_bytes, 8, "sends every byte back, also those with the value 0")
EVERY_LAB(big_message, 8, "sends 8 MiB back, every byte in its place")
EVERY_LAB(half_close, 10, "sends the rest after the client's half-close, then closes")
EVERY_LAB(client_vanishes, 10, "outlives clients that reset or are gone without reading")
EVERY_LAB(no_leaked_descriptors, 6, "closes each client's descriptor, however the client left")
EVERY_LAB(interrupted_calls, 8, "calls again what a signal interrupted")
EVERY_LAB(short_sends, 8, "sends the rest when send() took only a part")
EVERY_LAB(idle_is_free, 6, "uses no CPU time while nothing happens")
EVERY_LAB(stop, 6, "ends at SIGTERM or SIGINT with the right counts, wherever it waits")
EVERY_LAB(memory, 4, "makes no memory errors and leaves nothing open")

CHECK(one_at_a_time, 0, "lets the second client wait while the first is silent: see where",
      .needs = "echo_line",
      .hint = "In this lab the second client is served when the first has left, and not before.",
      .by_hand = "make run                    # then, in two more terminals:\n"
                 "nc 127.0.0.1 9000           # A: type nothing\n"
                 "nc 127.0.0.1 9000           # B: type a line; then press Ctrl-C in A")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    wait_reading_from(s, a);
    struct peer *b = connect_to(s);
    say(b, "is anybody there?\n");
    wait_asleep(s);
    show_evidence(s);
    hang_up(a);
    hear(b, "is anybody there?\n");
}
