/* Labs 6 to 8: lines in any pieces, and lines that are too long. */
#include "search_steps.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>

DEFINE_SHARED_CHECK(
    lines, .needs = "echo_line",
    .hint = "recv() returns pieces, not lines: keep what has arrived until its newline is there, "
            "then answer every complete line.",
    .by_hand = "make run                    # and in a second terminal:\n"
               "(printf two; sleep 1; printf ' pieces\\nthree\\nlines\\nin'; sleep 1\n"
               "    echo ' one') | nc -N 127.0.0.1 9000")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    send_text(a, "two");
    wait_asleep(s); /* it has received that, and no more */
    send_text(a, " pieces\n");
    receive_text(a, "two pieces\n");
    send_text(a, "three\nlines\nin");
    receive_text(a, "three\nlines\n");
    send_text(a, " one\n\n");
    receive_text(a, "in one\n\n");
    send_text(a, "search\nsearching\n search\nSearch me\n");
    receive_text(a, "search\nsearching\n search\nSearch me\n");
    send_text(a, "sea");
    wait_asleep(s);
    send_text(a, "rch in pieces\nand more\n");
    receive_text(a, "error: no backends\nand more\n");
    char *longest = line_of('x', MAX_LINE);
    send_text(a, longest);
    receive_text(a, longest);
    send_bytes(a, longest, MAX_LINE);
    wait_asleep(s);
    send_text(a, "\n");
    receive_text(a, longest);
    send_text(a, "an end without a newline");
    wait_asleep(s); /* text and FIN at once are for half_close */
    send_fin(a);
    receive_text(a, "an end without a newline");
    receive_eof(a);
}

/* The client sends much more after the message, and must not get a reset, which could discard the
 * message. */
static void send_more_after_long_line(struct server *s)
{
    enum { MORE = 1024 * 1024 };
    struct peer *a = connect_to(s);
    send_text(a, "before\n");
    send_text(a, line_of('x', MAX_LINE + 1));
    receive_text(a, "before\nerror: line too long\n");
    receive_eof(a);
    char *text = long_text(MORE);
    send_bytes(a, text, MORE);
    free(text);
    send_fin(a);
}

/* No newline ever arrives. */
static void send_unterminated_long_lines(struct server *s)
{
    struct peer *b = connect_to(s);
    char *text = line_of('y', 16 * MAX_LINE);
    send_bytes(b, text, 16 * MAX_LINE);
    receive_text(b, "error: line too long\n");
    receive_eof(b);
    hang_up(b);

    struct peer *c = connect_to(s);
    send_bytes(c, text, MAX_LINE + 1);
    send_fin(c);
    receive_text(c, "error: line too long\n");
    receive_eof(c);
}

/* The answers to the lines before it are sent first. */
static void send_long_line_after_search(struct server *s)
{
    set_backend(USER, HOLDS);
    struct peer *d = connect_to(s);
    send_text(d, "search shoes\n");
    send_text(d, line_of('z', MAX_LINE + 1));
    wait_for_calls(s, USER, 1);
    release_all(USER);
    receive_text(d, "shoes user query stock\nerror: line too long\n");
    receive_eof(d);
    hang_up(d);
}

/* The client has not read its output. */
static void send_long_line_behind_output(struct server *s)
{
    struct peer *e = connect_small(s);
    stop_reading(e);
    size_t sent = send_until_blocked(e);
    resume_reading(e);
    receive_long_text(e, sent);
    send_bytes(e, line_of('y', MAX_LINE + 1), MAX_LINE + 1);
    receive_text(e, "error: line too long\n");
    receive_eof(e);
    reset(e);
}

DEFINE_SHARED_CHECK(
    line_too_long, .needs = "in_order silent_client",
    .hint = "After the message, call shutdown(fd, SHUT_WR), and discard input until the client has "
            "finished. close() with unread bytes sends a reset, which may discard the message: "
            "tcp(7).",
    .by_hand = "make run                    # and in a second terminal:\n"
               "(echo before; head -c 5000 /dev/zero | tr '\\0' x; echo\n"
               "    seq 1000000) | nc -N 127.0.0.1 9000")
{
    struct server *s = start_server(.backends = true);
    struct peer *other = connect_and_greet(s);
    wait_asleep(s);
    int before = count_descriptors(s);
    send_more_after_long_line(s);
    expect_descriptors(s, before, "as many as before that client connected");
    send_unterminated_long_lines(s);
    send_long_line_after_search(s);
    send_long_line_behind_output(s);
    expect_descriptors(s, before, "as many as before those clients connected");
    send_text(other, "still there?\n");
    receive_text(other, "still there?\n");
}
