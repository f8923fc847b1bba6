/*
 * Lab 7, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

TRUSTS_SHORT_COUNTS
SEARCHES

SHARED_CHECK(usage, 2, "says how it is called, and which port it cannot have")
SHARED_CHECK(echo_line, 4, "sends a line back to nc")
SHARED_CHECK(lines, 4, "answers lines, in whatever pieces they come")
SHARED_CHECK(all_bytes, 2, "sends every byte back, also those with the value 0", .needs = "lines")
SHARED_CHECK(short_sends, 2, "sends the rest when there is room again", .needs = "lines")
SHARED_CHECK(big_message, 3, "sends 8 MiB back, every byte in its place", .needs = "short_sends")
SHARED_CHECK(half_close, 3, "sends the rest after the client's half-close, then closes")
SHARED_CHECK(one_thread, 4, "serves all its clients with one thread", .needs = "lines")
SHARED_CHECK(silent_client, 3, "serves everybody else while one never writes and one never reads",
             .needs = "big_message half_close one_thread")
SHARED_CHECK(slow_reader, 3, "reads no more from a client who does not read, and loses nothing")
SHARED_CHECK(no_starvation, 3, "serves the others while one client never stops talking")
SHARED_CHECK(crowd, 3, "serves 100 clients who come at once, no byte astray")
SHARED_CHECK(client_vanishes, 3, "outlives clients that reset or are gone without reading",
             .needs = "lines")
SHARED_CHECK(no_leaked_descriptors, 2, "closes each client's descriptor, once")
SHARED_CHECK(search, 6, "asks user, query and stock in turn", .needs = "lines one_thread")
SHARED_CHECK(idle_is_free, 2, "uses no CPU time while nothing happens",
             .needs = "search half_close silent_client")
SHARED_CHECK(backend_in_pieces, 3, "takes a backend's answer in whatever pieces it comes",
             .needs = "idle_is_free")
SHARED_CHECK(loop_never_blocks, 5, "echoes while backends think")
SHARED_CHECK(in_order, 5, "answers each client in the order of its lines")
SHARED_CHECK(backend_down, 4, "tells the client which backend has failed, and goes on")
SHARED_CHECK(backend_hangs, 6, "gives each backend one second, and no more")
SHARED_CHECK(thousand_in_flight, 7, "has a thousand searches in flight at once")
SHARED_CHECK(line_too_long, 3, "says that a line is too long, and only then closes")
SHARED_CHECK(stop, 2, "ends at SIGTERM or SIGINT with the right counts")
SHARED_CHECK(memory, 2, "makes no memory errors and leaves nothing open",
             .needs = "stop in_order backend_down no_leaked_descriptors")
SHARED_CHECK(client_leaves_early, 6, "gives nobody the answer of somebody who has left")
SHARED_CHECK(stop_in_flight, 2, "ends while searches are in flight")
SHARED_CHECK(out_of_descriptors, 2,
             "lives without a descriptor for the next client, and does not spin",
             .needs = "backend_down")
SHARED_CHECK(stopped_and_continued, 2, "goes on after SIGSTOP and SIGCONT", .needs = "in_order")
SHARED_CHECK(interrupted_calls, 2, "calls again what a signal interrupted",
             .by_hand = "make backends                # in one terminal, in a second: make run "
                        "FAULTS=eintr=2, and in a third:\n"
                        "printf 'search x\\n' | nc -N 127.0.0.1 9000    # x user query stock",
             .needs = "stopped_and_continued client_leaves_early")
