/* Labs 6 to 8: searches, their order, and many at once. */
#include "checks/common.h"
#include "search_steps.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdio.h>
#include <string.h>

static void search_with_any_words(struct server *s)
{
    struct peer *b = connect_with_nc(s);
    send_text(b, "search red shoes\n");
    receive_text(b, "red shoes user query stock\n");
    set_hint(
        "\"search \" with no words after the space is a search like any other: the user backend "
        "receives an empty line.",
        "make backends               # and in a second terminal:\n"
        "make run                    # and in a third terminal:\n"
        "echo 'search ' | nc -N 127.0.0.1 9000   # user query stock, behind a space");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(b, "search \n");
    receive_text(b, " user query stock\n");
    set_hint(
        "WORDS is all that follows \"search \", up to the newline: further spaces belong to it.",
        "make backends               # and in a second terminal:\n"
        "make run                    # and in a third terminal:\n"
        "echo 'search  two spaces' | nc -N 127.0.0.1 9000   # both are there");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(b, "search  two spaces, and a search inside\n");
    receive_text(b, " two spaces, and a search inside user query stock\n");
    set_hint("Each backend call uses a connection of its own, which is closed when the answer has "
             "come: one line out, one line back.",
             NULL);
    if (calls_at(USER) != 3 || calls_at(QUERY) != 3 || calls_at(STOCK) != 3)
        fail_check(s, "one connection to each backend per search: 3 to each by now",
                   "%d to the user backend, %d to query, %d to stock", calls_at(USER),
                   calls_at(QUERY), calls_at(STOCK));
    for (enum backend which = USER; which < BACKENDS; which++)
        expect_no_calls_open(s, which);
}

static void search_at_the_limits(struct server *s)
{
    set_hint("The last line has no newline, and is a search: it is answered like any other, but "
             "without a newline, and then the connection is closed.",
             "make backends               # and in a second terminal:\n"
             "make run                    # and in a third terminal:\n"
             "printf 'search x' | nc -N 127.0.0.1 9000 | od -c   # no \\n at the end");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_hint_if(EXTRA_BYTES, OWN_HINT);
    struct peer *c = connect_to(s);
    send_text(c, "search without a newline");
    send_fin(c);
    receive_text(c, "without a newline user query stock");
    receive_eof(c);

    set_hint("A backend's answer may have 4096 bytes, and its newline is one more.", NULL);
    set_hint_if(WRONG_BYTES, OWN_HINT);
    struct peer *d = connect_to(s);
    char *longest = line_of('x', MAX_LINE);
    set_answer(STOCK, longest, MAX_LINE + 1);
    send_text(d, "search the longest answer\n");
    receive_text(d, longest);
    set_backend(STOCK, ANSWERS);
    set_hint("WORDS may contain every byte but a newline, also 0: pass on as many bytes as were "
             "received, not a string.",
             "make backends               # and in a second terminal:\n"
             "make run                    # and in a third terminal:\n"
             "printf 'search a\\0b\\n' | nc -N 127.0.0.1 9000 | od -c\n"
             "# this backend, a shell, drops the \\0; the b must be there");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    static const char bytes[] = "search \0\1\xff\n", back[] = "\0\1\xff user query stock\n";
    send_bytes(d, bytes, sizeof bytes - 1);
    receive_bytes(d, back, sizeof back - 1);
}

static void search_with_short_answer(struct peer *a)
{
    set_hint(
        "The answer to a search may be shorter than its line. Have all bytes of the answer been "
        "sent? Compare with the answer's size, not with the line's.",
        "make run BACKENDS=          # and in a second terminal:\n"
        "printf 'search for a great many words\\nand more\\n' | nc -N 127.0.0.1 9000\n"
        "# error: no backends\n"
        "# and more");
    set_hint_if(DISCONNECTED, OWN_HINT);
    set_answer(STOCK, "-\n", 2);
    send_text(a, "search for a short answer\n");
    receive_text(a, "-\n");
    send_text(a, "and more\n"); /* not before: in_order tests that */
    receive_text(a, "and more\n");
    set_backend(STOCK, ANSWERS);
    set_hint(NULL, NULL);
}

/* The loop drains the eventfd only when one more result has been added. */
static void finish_while_results_are_taken(void)
{
    struct server *s = start_server(.backends = true, .faults = "late_drain=2");
    struct peer *a = connect_to(s), *b = connect_to(s);
    set_backend(STOCK, HOLDS);
    send_text(a, "search one\n");
    send_text(b, "search two\n");
    set_calls_held(true);
    struct wait w = begin_wait(s);
    set_calls_held(false);
    while (calls_held_at(STOCK) < 2)
        if (!continue_wait(&w)) { /* loop_never_blocks and workers_share report it */
            release_late(STOCK);
            return;
        }
    release(STOCK, "one user query");
    w = begin_wait(s);
    while (unread_bytes(a) == 0 &&
           strstr(standard_error_of(s), "drains its wakeup descriptor") == NULL &&
           continue_wait(&w))
        ;
    if (strstr(standard_error_of(s), "drains its wakeup descriptor") != NULL)
        set_hint("A result was added after you took the results, and before you drained the "
                 "eventfd: its notification is gone. Drain the eventfd first, then take all "
                 "results.",
                 "make run FAULTS=late_drain=2    # and in a second terminal: make backends "
                 "DELAY=300; in a third:\n"
                 "for i in 1 2; do echo \"search $i\" | nc -N 127.0.0.1 9000 & done; wait");
    release(STOCK, "two user query");
    receive_text(a, "one user query stock\n");
    receive_text(b, "two user query stock\n");
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    search, .needs = "lines",
    .hint = "Send the words to the user backend, its answer to query, query's answer to stock, and "
            "the last answer to the client. Each call uses one connection: one line out, one line "
            "back.",
    .hint_if =
        {[WRONG_BYTES] =
             "Each backend adds its name to the line that it receives. Compare what each has "
             "received: user the client's words, query user's answer, stock query's answer, "
             "each with its newline and nothing else; stock's answer goes to the client. An "
             "error names the call that failed; EINPROGRESS from connect() is no failure."},
    .by_hand = "make backends               # and in a second terminal:\n"
               "make run                    # and in a third terminal:\n"
               "printf 'search red shoes\\n' | nc -N 127.0.0.1 9000\n"
               "# red shoes user query stock")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    set_hint("Started without backend ports, the server answers every search with \"error: no "
             "backends\".",
             "make run BACKENDS=          # and in a second terminal:\n"
             "echo 'search x' | nc -N 127.0.0.1 9000   # error: no backends");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    send_text(a, "search nobody\n");
    receive_text(a, "error: no backends\n");
    set_hint(NULL, NULL);

    s = start_server(.backends = true);
    search_with_any_words(s);
    search_at_the_limits(s);
    search_with_short_answer(connect_to(s));
    if (workers_block)
        finish_while_results_are_taken();
}

static void expect_silence(struct server *s, struct peer *a, const char *expected)
{
    wait_asleep(s);
    if (unread_bytes(a) > 0)
        fail_check(s, expected, "%zu more bytes", unread_bytes(a));
}

DEFINE_SHARED_CHECK(
    in_order, .needs = "loop_never_blocks",
    .hint = "While a client's search is pending, its next lines wait, even those that only need "
            "an echo.",
    .hint_if = {[WRONG_BYTES] =
                    "Compare the two texts: a client's answers come in the order of its lines. "
                    "While its search is pending, its next lines wait, even those that only need "
                    "an echo."},
    .by_hand = "make backends               # and in a second terminal:\n"
               "make run                    # and in a third terminal:\n"
               "printf 'search one\\nafter one\\n' | nc -N 127.0.0.1 9000")
{
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s), *b = connect_to(s);
    set_backend(USER, HOLDS);
    send_text(a, "at once\nsearch one\nafter one\nsearch two\nafter two\n");
    receive_text(a, "at once\n");
    wait_for_calls(s, USER, 1);
    send_text(b, "meanwhile\n");
    receive_text(b, "meanwhile\n");
    expect_silence(s, a, "nothing for client A while its first search is pending");
    release(USER, "one");
    receive_text(a, "one user query stock\nafter one\n");
    wait_for_calls(s, USER, 1);
    expect_silence(s, a, "nothing for client A while its second search is pending");
    release(USER, "two");
    receive_text(a, "two user query stock\nafter two\n");
    set_backend(USER, ANSWERS);

    /* Many in one piece, and pending answers after a half-close. */
    struct peer *c = connect_to(s);
    send_text(c, "search 1\n2\nsearch 3\nsearch 4\n5\nsearch 6\n7\n8\nsearch 9");
    send_fin(c);
    receive_text(c, "1 user query stock\n2\n3 user query stock\n4 user query stock\n5\n"
                    "6 user query stock\n7\n8\n9 user query stock");
    receive_eof(c);
}

enum { SEARCHING = 3, ECHOING = 6 };

static void hold_searches_at(struct server *s, enum backend b, enum backend_mode mode,
                             struct peer *const *searching, struct peer *const *echoing)
{
    char words[40], line[60];
    set_backend(b, mode);
    for (int i = 0; i < SEARCHING; i++) {
        snprintf(line, sizeof line, "search %s %d\n", backend_names[b], i);
        if (i == SEARCHING - 1)
            wait_for_calls(s, b, 1); /* the last search begins while another is in flight */
        send_text(searching[i], line);
    }
    expect_echoes_while_held(s, echoing, ECHOING);
    set_backend(b, ANSWERS);
    release_all(b);
    for (int i = 0; i < SEARCHING; i++) {
        snprintf(words, sizeof words, "%s %d", backend_names[b], i);
        receive_text(searching[i], answer_to(words));
    }
}

DEFINE_SHARED_CHECK(
    loop_never_blocks, .needs = "backend_in_pieces idle_is_free",
    .hint = "While a backend is slow, even to accept a connection, the loop must wait in "
            "epoll_wait, ready for all other clients.",
    .hint_if = {[WRONG_BYTES] =
                    "Three searches are pending at once. Compare the answers: the words of a "
                    "different search, or a step too few, mean that the searches share a buffer or "
                    "a variable."},
    .by_hand = "make backends DELAY=900     # and in a second terminal:\n"
               "make run                    # and in a third terminal, bash:\n"
               "exec 3<>/dev/tcp/127.0.0.1/9000 4<>/dev/tcp/127.0.0.1/9000\n"
               "echo 'search x' >&3; echo 'search y' >&4; head -n 1 <&3 &\n"
               "echo hello | nc -N 127.0.0.1 9000; wait   # hello first")
{
    static const enum backend_mode modes[] = {HOLDS, HOLDS_HALF};
    struct server *s = start_server(.backends = true);
    struct peer *searching[SEARCHING], *echoing[ECHOING];
    for (int i = 0; i < ECHOING; i++)
        echoing[i] = connect_and_greet(s);
    for (int i = 0; i < SEARCHING; i++)
        searching[i] = connect_to(s);
    for (int m = 0; m < 2; m++)
        for (enum backend b = USER; b < BACKENDS; b++)
            hold_searches_at(s, b, modes[m], searching, echoing);
}

/* All are at the first backend at once, since none is answered before the last has been made. How
 * many get their answers before they time out depends on the machine: the others get the error. */
DEFINE_SHARED_CHECK(
    thousand_in_flight, .needs = "backend_hangs",
    .alone = true, /* all calls are made within a second */
    .hint = "Each search needs its own line, connection and next step: keep none of them in a "
            "variable that all searches share, or in a table that is too small.",
    .hint_if = {[WRONG_BYTES] = OWN_HINT, [DISCONNECTED] = OWN_HINT},
    .by_hand = "make backends DELAY=300     # and in a second terminal:\n"
               "make run                    # and in a third terminal:\n"
               "time (for i in $(seq 50); do\n"
               "    echo \"search $i\" | nc -N 127.0.0.1 9000 & done; wait)  # 0.9 s")
{
    enum { CLIENTS = 1000 };
    static const double ANSWERS_SECONDS = 0.3;
    static struct peer *clients[CLIENTS];
    char text[40];
    descriptors_for(4 * CLIENTS);
    need_backlog(CLIENTS, "all searches call the backend at once");
    struct server *s = start_server(.backends = true, .descriptors = MAX_DESCRIPTORS);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    wait_asleep(s);
    set_backend(USER, HOLDS);
    freeze(s); /* a call has one second, which must not pass while the others still send */
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "search number %d\n", i);
        send_text(clients[i], text);
    }
    double begin = now();
    thaw(s);
    wait_for_calls_made(s, USER, CLIENTS, begin);
    for (int i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "number %d", i);
        if (now() - begin < ANSWERS_SECONDS) {
            release(USER, text);
            receive_text(clients[i], answer_to(text));
        } else {
            expect_error(clients[i], USER, "timed out");
        }
    }
}
