/* System calls that are interrupted, or that transfer only a part. */
#include "checks/common.h"
#include "shared_checks.h"
#include "steps.h"

#include <stdlib.h>
#include <string.h>

/* The fault has a child end just after accept() has failed with EINTR. */
static void expect_errno_preserved(struct server *s)
{
    static const char words[] = "the handler of SIGCHLD changed errno";
    const char *found = strstr(standard_error_of(s), words);
    if (found == NULL)
        return;
    set_hint("A handler may run between a call that fails and the line that looks at errno. "
             "waitpid() sets errno, to ECHILD when there are no more children: save errno at the "
             "beginning of the handler, and restore it at the end. See signal-safety(7).",
             "make run FAULTS=eintr=2,sigchld_after_eintr    # prints when errno has changed");
    fail_check(s, "errno as it was before the handler of SIGCHLD",
               "it changed errno%.*s, between accept() and what checks its result",
               (int)strcspn(found + sizeof words - 1, "\n"), found + sizeof words - 1);
}

static void expect_close_not_repeated(void)
{
    set_hint("close() may fail with EINTR. On Linux the descriptor has been closed all the same, "
             "and may already belong to another client: do not call it again. And look at errno "
             "only after a call that has failed: what it contains may be left from another.",
             "make run FAULTS=eintr_close,strict_close    # and in a second terminal:\n"
             "echo hello | nc -N 127.0.0.1 9000           # and a message in the first?");
    struct server *s = start_server(.faults = "strict_close");
    expect_service(s);
    wait_asleep(s);
    if (has_closed_twice(s)) /* without EINTR: no_leaked_descriptors reports it */
        return;
    s = start_server(.faults = "eintr_close,strict_close");
    for (int i = 0; i < 3; i++)
        expect_service(s);
    wait_asleep(s);
    expect_closed_once(s);
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    interrupted_calls, .needs = "pieces",
    .hint = "accept(), recv() and send() may fail with EINTR: nothing has happened yet, so call "
            "them again. See signal(7).",
    .hint_if = {OWN_HINT_FOR_BYTES, [EXITED] = OWN_HINT},
    .by_hand = "make run FAULTS=eintr=2     # and in a second terminal:\n"
               "printf 'hello, server\\n' | nc -N 127.0.0.1 9000")
{
    /* The first call of every two: accept, recv and send are each interrupted and then not. */
    struct server *s = start_server(.faults = "eintr=2,sigchld_after_eintr");
    for (int i = 0; i < 2; i++) {
        struct peer *c = connect_to(s);
        send_text(c, "hello,\n");
        receive_text(c, "hello,\n");
        send_text(c, "server\n");
        receive_text(c, "server\n");
        hang_up(c);
    }
    expect_errno_preserved(s);
    expect_close_not_repeated();
    if (waits_in_select)
        expect_recv_of_reported_clients_only("strict_select,eintr=5");
    if (!searches)
        return;
    set_hint(
        "recv(), send() and connect() on a backend's socket may fail with EINTR too. An "
        "interrupted connect() continues in the background: wait until the socket is writable. See "
        "connect(2).",
        "make backends               # and in a second terminal:\n"
        "make run FAULTS=eintr=2     # and in a third terminal:\n"
        "printf 'search x\\n' | nc -N 127.0.0.1 9000   # x user query stock");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(EXITED, OWN_HINT);
    s = start_server(.faults = "eintr=2", .backends = true);
    struct peer *c = connect_to(s);
    for (int i = 0; i < 3; i++) {
        send_text(c, "search on\n");
        receive_text(c, "on user query stock\n");
    }
}

DEFINE_SHARED_CHECK(
    short_sends, .needs = "pieces",
    .hint = "send() returns how many bytes it took, which may be fewer than you "
            "passed.",
    .hint_if =
        {[DISCONNECTED] = OWN_HINT, [MISSING_BYTES] = OWN_HINT, [WRONG_BYTES] = HINT_NUMBERED_TEXT},
    .by_hand = "make run FAULTS=short_send=7    # and in a second terminal:\n"
               "seq 9 | nc -N 127.0.0.1 9000    # 1 to 9, each once")
{
    if (trusts_short_counts) { /* a short count may mean "drained" there: none is injected */
        set_hint("send() took only part of the data, or none (EAGAIN). Keep the rest in the "
                 "client's buffer, and wait for room (EPOLLOUT) until all of it is sent.",
                 "make run FAULTS=small_buffers    # and in a second terminal:\n"
                 "(for n in {15..30}000; do        # bash; 16 times \"the same\"\n"
                 "    (seq $n >&3; sleep 1; timeout 6 head -c $(seq $n | wc -c) <&3) \\\n"
                 "        3<>/dev/tcp/127.0.0.1/9000 | cmp - <(seq $n) && echo the same &\n"
                 "done; wait)");
        set_hint_if(DISCONNECTED, OWN_HINT);
        set_hint_if(MISSING_BYTES, OWN_HINT);
        set_hint_if(NOT_SENT, "The server has received more from this client, and has not called "
                              "send() since. What should follow recv(), and what does the server "
                              "wait for instead?");
        set_hint_if(WRONG_BYTES, HINT_NUMBERED_TEXT);
        expect_delayed_echo(start_server(.faults = "small_buffers"), MANY_BYTES, false);
        return;
    }
    struct server *s = start_server(.faults = "short_send=7");
    struct peer *c = connect_to(s);
    enum { SIZE = 60 * 64 };
    char *text = long_text(SIZE);
    send_bytes(c, text, SIZE);
    receive_bytes(c, text, SIZE);
    free(text);
    send_text(c, "and no byte more\n");
    receive_text(c, "and no byte more\n");
}

/* A backend call with a timeout fails with EINTR as well, in any thread, without any handler. */
static void stop_during_backend_calls(void)
{
    static const char *const requests[] = {"on", "on user", "on user query"};
    struct server *s = start_server(.backends = true);
    struct peer *a = connect_to(s);
    set_hint(
        "The server was stopped and continued while a backend call was pending: what waits for "
        "the answer fails with EINTR, even without a signal handler. That is no failure of "
        "the backend: wait again, until the call's deadline.",
        "make backends DELAY=300     # and in a second terminal:\n"
        "make run                    # and in a third terminal:\n"
        "yes 'search x' | head -n 5 | nc -N 127.0.0.1 9000 & sleep 0.5\n"
        "s=$(make pid); kill -STOP $s; sleep 0.1; kill -CONT $s; wait\n"
        "# x user query stock, five times");
    set_hint_if(WRONG_BYTES, OWN_HINT);
    set_hint_if(EXITED, OWN_HINT);
    for (enum backend b = USER; b < BACKENDS; b++) {
        set_backend(b, HOLDS);
        send_text(a, "search on\n");
        wait_for_calls(s, b, 1);
        wait_asleep(s);
        freeze(s);
        thaw(s);
        wait_asleep(s);
        release(b, requests[b]);
        receive_text(a, "on user query stock\n");
        set_backend(b, ANSWERS);
    }
}

DEFINE_SHARED_CHECK(
    stopped_and_continued, .needs = "echo_line",
    .hint = "After SIGCONT the call in which the loop waits fails with EINTR, even without a "
            "signal handler: signal(7). It has reported nothing: call it again.",
    .hint_if = {[EXITED] = OWN_HINT, [DISCONNECTED] = OWN_HINT},
    .by_hand = "make run                    # and in a second terminal:\n"
               "s=$(make pid); kill -STOP $s; sleep 1; kill -CONT $s\n"
               "echo 'still there?' | nc -N 127.0.0.1 9000")
{
    struct server *s = start_server();
    struct peer *a = connect_to(s);
    send_text(a, "before\n");
    receive_text(a, "before\n");
    struct peer *b = connect_to(s);
    wait_asleep(s);
    freeze(s); /* and nothing else: the call in which it waits fails with EINTR */
    thaw(s);
    wait_asleep(s);
    freeze(s);
    send_text(a, "during\n");
    hang_up(b); /* not a reset: whether the server survives that is another check's question */
    thaw(s);
    receive_text(a, "during\n");
    expect_service(s);
    if (searches)
        stop_during_backend_calls();
}
