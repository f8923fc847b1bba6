#include "memory_steps.h"

#include "checks/common.h"
#include "pending_output.h"
#include "search_steps.h"
#include "steps.h"

#include <signal.h>

void stop_within_batch(void)
{
    if (!trusts_short_counts)
        return;
    set_hint("SIGTERM arrived while the loop was handling a batch of events. Finish the batch, or "
             "at least close and free what it has already marked as closed.",
             "make && FAULTS=term_after_recv=1 LD_PRELOAD=../grading/.build/faults.so \\\n"
             "    valgrind --leak-check=full --track-fds=yes ./server 9000\n"
             "# and in a second terminal:\n"
             "echo hello | nc -N 127.0.0.1 9000");
    struct server *s = start_server(.tool = MEMCHECK, .faults = "term_after_recv=4");
    struct peer *a = connect_and_greet(s), *b = connect_and_greet(s), *c = connect_and_greet(s);
    struct ending e;
    wait_asleep(s);
    freeze(s);
    hang_up(a);
    send_text(b, "in the same batch\n");
    send_text(c, "and I\n");
    thaw(s);
    if (exited_by_fault(s, &e))
        expect_summary_line(s, e, 3, ANY_BYTES);
    expect_clean_memory(s);
}

/* Waits for so many lines; false if they do not come. */
static bool receives_lines(struct peer *p, int lines)
{
    struct wait w = begin_wait(p->server);
    for (;;) {
        int n = 0;
        for (size_t i = p->inbox.start; i < p->inbox.end; i++)
            n += p->inbox.data[i] == '\n';
        if (n >= lines)
            return true;
        if (!continue_wait(&w))
            return false;
    }
}

/* socket() fails for this backend, again and again. */
static void search_without_socket(enum backend b, const char *faults)
{
    enum { LINES = 4 };
    if (!searches)
        return;
    set_hint(
        "socket() failed: this backend has failed. Do not use a descriptor of -1, complete the "
        "call only once, and do not touch what completing it has freed.",
        "make && FAULTS=socket_fails=1 LD_PRELOAD=../grading/.build/faults.so \\\n"
        "    valgrind ./server 9000 9001 9002 9003\n"
        "# in a second terminal: make backends; in a third:\n"
        "echo 'search x' | nc -N 127.0.0.1 9000   # error: user backend failed");
    struct server *s = start_server(.tool = MEMCHECK, .backends = true, .faults = faults);
    struct peer *p = connect_to(s);
    send_text(p, "search in vain\nand on\nsearch again\nand on\n");
    if (!receives_lines(p, LINES)) /* out_of_descriptors reports it */
        return;
    for (int i = 0; i < LINES / 2; i++) {
        expect_error(p, b, "failed");
        receive_text(p, "and on\n");
    }
    expect_clean_memory(s);
}

void search_without_user_socket(void)
{
    search_without_socket(USER, "socket_fails=1");
}

void search_without_stock_socket(void)
{
    search_without_socket(STOCK, "socket_fails=3");
}

void answer_into_full_buffer(void)
{
    if (!searches)
        return;
    struct server *s = start_server(.tool = MEMCHECK, .backends = true, .faults = "small_buffers");
    answer_behind_pending_output(s);
    expect_clean_memory(s);
}
