/* Echoing: lines, pieces, arbitrary bytes, long messages, half-close. */
#include "checks/common.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>

DEFINE_SHARED_CHECK(
    echo_line,
    .hint = "socket, bind, listen, accept, recv, send: the call in which the server is blocked "
            "shows how far it got.",
    .by_hand = "make run                    # and in a second terminal:\n"
               "(printf 'hello, server\\n'; sleep 2) | nc -N 127.0.0.1 9000   # back at once")
{
    struct server *s = start_server();
    while (port_of(s) >> 8 == (port_of(s) & 0xff)) /* correct even without ntohs() */
        s = start_server();
    struct peer *a = connect_with_nc(s);
    send_text(a, "hello, server\n");
    receive_text(a, "hello, server\n");
    hang_up(a);
    wait_asleep(s);
    struct peer *b = connect_with_nc(s);
    send_text(b, "hello again\n");
    receive_text(b, "hello again\n");
}

DEFINE_SHARED_CHECK(
    pieces, .needs = "echo_line",
    .hint = "TCP is a byte stream: recv() returns what has arrived so far, whether that is half a "
            "line or three lines. Send that back, then call recv() again.",
    .hint_if = {[DISCONNECTED] = OWN_HINT, [MISSING_BYTES] = OWN_HINT},
    .by_hand = "make run                    # and in a second terminal:\n"
               "(for s in one ' two' '\\n' 'three\\nfour\\n'; do printf \"$s\"; sleep 1; done) |\n"
               "    nc -N 127.0.0.1 9000 | cat -v   # each piece at once")
{
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    static const char *const pieces[] = {"one", " two", "\n", "three\nfour\n", "f", "ive"};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        send_text(c, pieces[i]);
        receive_text(c, pieces[i]);
    }
}

DEFINE_SHARED_CHECK(
    all_bytes, .needs = "pieces",
    .hint = "recv() stores bytes, not a string: only its return value tells you how many.",
    .hint_if = {[MISSING_BYTES] = OWN_HINT,
                [DISCONNECTED] = "The message has every byte value, and begins with the byte 0. "
                                 "recv() stores bytes, not a string: only its return value tells "
                                 "you how many there are to send, not strlen(), and no value is "
                                 "special.",
                [WRONG_BYTES] = "The message has every byte value, twice. recv() stores bytes, not "
                                "a string: only its return value tells you how many, and no value "
                                "is special."},
    .by_hand = "make run                    # and in a second terminal:\n"
               "printf 'a\\0b\\r\\377\\n' | nc -N 127.0.0.1 9000 | od -c")
{
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    char bytes[513];
    for (int i = 0; i < 512; i++)
        bytes[i] = (char)i;
    bytes[512] = '\n';
    send_bytes(c, bytes, sizeof bytes);
    receive_bytes(c, bytes, sizeof bytes);
}

/* More than any buffer holds has arrived, and nothing follows: edge-triggered epoll reports it only
 * once, so a server that reads a part gets no second event for the rest. */
static void expect_all_read_at_once(void)
{
    enum { MORE_THAN_A_BUFFER = 160 * 1024 };
    struct server *s = start_server(.faults = "big_receive");
    struct peer *c = connect_and_greet(s);
    char *text = long_text(MORE_THAN_A_BUFFER);
    size_t sent = send_while_frozen(s, c, text, MORE_THAN_A_BUFFER);
    wait_to_be_read(s, c, sent);
    thaw(s);
    receive_bytes(c, text, sent);
    free(text);
}

/* Each piece is received while earlier ones still wait to be sent, and there is room for more. */
static void expect_order_behind_pending_output(void)
{
    enum { PIECES = 24, SIZE = 1000 };
    set_hint_if(WRONG_BYTES,
                "While output is pending for client A, it sends a little more. Keep what send() "
                "did not take, and put what is received then behind those bytes, which are not at "
                "the beginning of the buffer.");
    struct server *s = start_server(.faults = "small_buffers");
    struct peer *a = connect_small(s);
    char *text = long_text(PIECES * SIZE);
    stop_reading(a);
    for (int i = 0; i < PIECES; i++) {
        send_bytes(a, text + i * SIZE, SIZE);
        wait_asleep(s);
    }
    resume_reading(a);
    receive_bytes(a, text, PIECES * SIZE);
    free(text);
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    big_message, .needs = "pieces",
    .hint = "recv() returns a big message in pieces of any size. Send each piece back completely "
            "before you read the next.",
    .hint_if = {[MISSING_BYTES] = OWN_HINT, [WRONG_BYTES] = HINT_NUMBERED_TEXT},
    .by_hand = "make run                    # and in a second terminal:\n"
               "seq 1000000 | cksum; seq 1000000 | nc -N 127.0.0.1 9000 | cksum")
{
    enum { SIZE = 8 * 1024 * 1024 };
    expect_order_behind_pending_output(); /* first: later steps would notice by chance */
    struct server *s = start_server();
    struct peer *c = connect_to(s);
    char *text = long_text(SIZE);
    send_bytes(c, text, SIZE);
    receive_bytes(c, text, SIZE);
    free(text);
    expect_all_read_at_once();
    if (!trusts_short_counts) /* for those that do, short_sends has tested it */
        expect_delayed_echo(start_server(.faults = "small_buffers"), MANY_BYTES, false);
}

DEFINE_SHARED_CHECK(
    half_close, .needs = "big_message",
    .hint = "recv() returned 0: the client has finished sending, but it can still receive. "
            "close() sends what is left and then FIN, unless SO_LINGER is set.",
    .hint_if =
        {[DISCONNECTED] =
             "FIN only means that the client has finished sending. Receive until recv() returns 0, "
             "send all of it, also what send() did not take at first, and only then close: close() "
             "with input unread, or with SO_LINGER and a time of 0, resets the connection and "
             "discards output.",
         [NEVER_READ] = HINT_NEVER_READ,
         [WRONG_BYTES] = HINT_NUMBERED_TEXT},
    .by_hand = "make run FAULTS=small_buffers    # and in a second terminal:\n"
               "seq 1000000 | nc -N 127.0.0.1 9000 | tail -n 1  # prints 1000000\n"
               "nc -N 127.0.0.1 9000 </dev/null                 # ends at once")
{
    enum { FEW_BYTES = 24 * 1024 }; /* they fit into the server's send buffer */
    struct server *s = start_server();
    expect_delayed_echo(s, FEW_BYTES, true); /* the rest waits in the kernel */
    s = start_server(.faults = "small_buffers");
    expect_delayed_echo(s, MANY_BYTES, true); /* or in the server itself */

    struct peer *b = connect_to(s);
    send_fin(b);
    receive_eof(b);

    struct peer *c = connect_with_nc(s);
    send_text(c, "last words");
    send_fin(c);
    receive_text(c, "last words");
    receive_eof(c);
}
