/*
 * Lab 7, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "harness.h"

TRUSTS_SHORT_COUNTS
SEARCHES

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(echo_line, 4, "sends a line back to nc",
             .hint =
                 "Which call is it blocked in? If pause: TODO 5 is not done. If epoll_wait: the "
                 "pointer in each event is &listener, or a source with a function to call.")
SHARED_CHECK(lines, 4, "answers lines, in whatever pieces they arrive")
SHARED_CHECK(all_bytes, 2, "echoes every byte, including those with the value 0", .needs = "lines")
SHARED_CHECK(short_sends, 2, "sends the rest when there is room again", .needs = "lines")
SHARED_CHECK(big_message, 3, "echoes 8 MiB, every byte in its place", .needs = "short_sends")
SHARED_CHECK(half_close, 3, "sends the rest after the client's half-close, then closes")
SHARED_CHECK(one_thread, 4, "serves all its clients with one thread", .needs = "lines")
SHARED_CHECK(silent_client, 3, "serves other clients while one never writes and one never reads",
             .needs = "big_message half_close one_thread")
SHARED_CHECK(slow_reader, 3, "stops reading from a client that does not read, and loses nothing")
SHARED_CHECK(no_starvation, 3, "serves other clients while one never stops sending")
SHARED_CHECK(crowd, 3, "serves 100 simultaneous clients without mixing up a byte")
SHARED_CHECK(client_vanishes, 3, "survives clients that reset or leave without reading",
             .needs = "lines")
SHARED_CHECK(no_leaked_descriptors, 2, "closes each client's descriptor, exactly once")
SHARED_CHECK(search, 6, "queries three backends in turn: user, query and stock",
             .needs = "lines one_thread")
SHARED_CHECK(idle_is_free, 2, "uses no CPU time while nothing happens",
             .needs = "search half_close silent_client")
SHARED_CHECK(backend_in_pieces, 3, "accepts a backend's answer in whatever pieces it arrives",
             .needs = "idle_is_free")
SHARED_CHECK(loop_never_blocks, 5, "keeps echoing while backend calls are pending")
SHARED_CHECK(in_order, 5, "answers each client in the order of its lines")
SHARED_CHECK(backend_down, 4, "reports which backend has failed, and continues")
SHARED_CHECK(backend_hangs, 6, "gives each backend call one second, and no more")
SHARED_CHECK(thousand_in_flight, 7, "has a thousand searches in flight at once")
SHARED_CHECK(line_too_long, 3, "reports that a line is too long, and only then closes")
SHARED_CHECK(stop, 2, "stops on SIGTERM or SIGINT with the correct counts")
SHARED_CHECK(memory, 2, "has no memory errors and leaves nothing open",
             .needs = "stop in_order backend_down no_leaked_descriptors")
SHARED_CHECK(client_leaves_early, 6, "never sends an answer to a different client")
SHARED_CHECK(stop_in_flight, 2, "stops while searches are in flight")
SHARED_CHECK(out_of_descriptors, 2, "survives running out of descriptors, and does not spin",
             .needs = "backend_down")
SHARED_CHECK(stopped_and_continued, 2, "continues after SIGSTOP and SIGCONT", .needs = "in_order")
SHARED_CHECK(interrupted_calls, 2, "restarts calls that a signal interrupted",
             .needs = "stopped_and_continued client_leaves_early")
