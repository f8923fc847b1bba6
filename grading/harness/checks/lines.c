/* Labs 6 to 8: lines in any pieces, and lines that are too long. */
#include "search_steps.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>

DEFINE_SHARED_CHECK(
    lines, .needs = "echo_line",
    .hint = "recv() returns pieces, not lines: keep what has arrived until its newline is there, "
            "then answer every complete line.",
    .by_hand = "make run                    # and in a second terminal, bash:\n"
               "exec 3<>/dev/tcp/127.0.0.1/9000; printf two >&3; sleep 1\n"
               "env printf ' pieces\\nthree\\nlines\\nin' >&3   # by one write()\n"
               "timeout 3 head -n 3 <&3                      # two pieces, three, lines")
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
    set_hint("Only a line that begins with \"search \", with the space, is a search. Every other "
             "line is echoed.",
             "make run                    # and in a second terminal:\n"
             "printf 'search\\nsearching\\n search\\nSearch me\\n' | nc -N 127.0.0.1 9000");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(a, "search\nsearching\n search\nSearch me\n");
    receive_text(a, "search\nsearching\n search\nSearch me\n");
    set_hint("A line, also a search, may arrive in any pieces: decide what it is when its newline "
             "is there. Without backend ports the answer is \"error: no backends\".",
             "make run BACKENDS=          # and in a second terminal:\n"
             "(printf sea; sleep 1; printf 'rch in pieces\\nand more\\n') |\n"
             "    nc -N 127.0.0.1 9000    # error: no backends, and more");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(a, "sea");
    wait_asleep(s);
    send_text(a, "rch in pieces\nand more\n");
    receive_text(a, "error: no backends\nand more\n");
    char *longest = line_of('x', MAX_LINE);
    set_hint("A line may have 4096 bytes, and its newline is one more: only longer lines are an "
             "error.",
             "make run                    # and in a second terminal:\n"
             "(head -c 4096 /dev/zero | tr '\\0' x; echo) | nc -N 127.0.0.1 9000 | wc -c  # 4097");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(DISCONNECTED, OWN_HINT);
    send_text(a, longest);
    receive_text(a, longest);
    send_bytes(a, longest, MAX_LINE);
    wait_asleep(s);
    send_text(a, "\n");
    receive_text(a, longest);
    set_hint(
        "The client has finished sending, and its last line has no newline: answer it as it is, "
        "without one, then close.",
        "make run                    # and in a second terminal:\n"
        "printf 'an end without a newline' | nc -N 127.0.0.1 9000 | od -c");
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_hint_if(EXTRA_BYTES, OWN_HINT);
    set_hint_if(WRONG_BYTES, OWN_HINT);
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
    set_hint("No newline comes: a line is too long as soon as 4097 bytes of it have arrived.",
             "make run                    # and in a second terminal:\n"
             "(head -c 5000 /dev/zero | tr '\\0' x; sleep 5) | nc 127.0.0.1 9000\n"
             "# error: line too long, at once");
    set_hint_if(WRONG_BYTES, OWN_HINT);
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
    set_hint("A search is pending when the line turns out to be too long: first its answer, then "
             "the message, then FIN.",
             NULL);
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(DISCONNECTED, OWN_HINT);
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
    set_hint("The line came behind output that the client had not read yet: keep the message until "
             "there is room for it, then send FIN.",
             NULL);
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_hint_if(MISSING_BYTES, OWN_HINT);
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
    .hint_if = {[DISCONNECTED] = OWN_HINT, [STOPPED_READING] = OWN_HINT},
    .by_hand = "make run                    # and in a second terminal:\n"
               "(echo before; head -c 5000 /dev/zero | tr '\\0' x; echo\n"
               "    seq 1000000 && echo 'all sent' >&2) | nc -N 127.0.0.1 9000\n"
               "# before, error: line too long, and all sent")
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
    set_hint("When the client has finished sending, or has reset, the connection must be closed, "
             "also after a line that was too long.",
             NULL);
    expect_descriptors(s, before, "as many as before those clients connected");
    send_text(other, "still there?\n");
    receive_text(other, "still there?\n");
}
