#include "steps.h"

#include "checks/common.h"

#include <stdlib.h>
#include <string.h>

bool one_at_a_time, task_per_client, waits_in_select, trusts_short_counts, searches;

void greet(struct peer *p)
{
    send_text(p, "hello\n");
    receive_text(p, "hello\n");
}

struct peer *connect_and_greet(struct server *s)
{
    struct peer *p = connect_to(s);
    greet(p);
    return p;
}

size_t send_while_frozen(struct server *s, struct peer *p, const char *text, size_t size)
{
    wait_asleep(s);
    freeze(s);
    return send_what_fits(p, text, size);
}

void expect_delayed_echo(struct server *s, size_t size, bool half_close)
{
    struct peer *a = connect_small(s); /* bytes that are lost must not be in its buffer already */
    greet(a);
    char *text = long_text(size);
    size_t sent = send_while_frozen(s, a, text, size);
    if (half_close)
        send_fin(a);
    stop_reading(a);
    thaw(s);
    wait_asleep(s);
    resume_reading(a);
    receive_bytes(a, text, sent);
    if (half_close)
        receive_eof(a);
    free(text);
}

void expect_service(struct server *s)
{
    wait_asleep(s); /* a server that the last client has killed must not serve the next one first */
    struct peer *p = connect_to(s);
    send_text(p, "still there?\n");
    receive_text(p, "still there?\n");
    hang_up(p);
}

static bool is_served(struct server *s, struct peer *p)
{
    static const char line[] = "hello\n";
    struct wait w = begin_wait(s);
    send_text(p, line);
    while (unread_bytes(p) < strlen(line))
        if (!continue_wait(&w))
            return false;
    receive_text(p, line);
    return true;
}

bool are_served(struct server *s, struct peer *p, struct peer *q)
{
    return is_served(s, p) && is_served(s, q) && is_served(s, p) && is_served(s, q);
}

static bool has_closed_no_descriptor(struct server *s)
{
    return strstr(standard_error_of(s), "there is no such descriptor") != NULL;
}

void expect_service_at_once(struct server *s, int count)
{
    struct peer *clients[count];
    wait_asleep(s);
    freeze(s);
    for (int i = 0; i < count; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        send_fin(clients[i]);
    }
    thaw(s);
    for (int i = 0; i < count; i++) {
        receive_text(clients[i], "hello\n");
        receive_eof(clients[i]);
    }
    wait_asleep(s);
}

bool has_closed_twice(struct server *s)
{
    return strstr(standard_error_of(s), "this descriptor is not open") != NULL ||
           has_closed_no_descriptor(s);
}

void expect_closed_once(struct server *s)
{
    const char *err = standard_error_of(s);
    if (has_closed_no_descriptor(s)) {
        set_hint("close(-1) closes nothing. Why does the variable hold -1: was it overwritten "
                 "before close(), was its descriptor closed before, or had the call failed that "
                 "should have returned one?",
                 "make run FAULTS=strict_close    # and in a second terminal:\n"
                 "echo hello | nc -N -w 1 127.0.0.1 9000     # and a message in the first?");
        const char *line = strstr(err, "close(-");
        fail_check(s, "every close() is given an open descriptor", "%s",
                   quoted(line, strcspn(line, "\n"), 0));
    }
    if (has_closed_twice(s))
        fail_check(s,
                   "each descriptor closed once: a second close() may close a new client's socket",
                   "%s", quoted(err, strlen(err), 0));
}

void expect_recv_of_reported_clients_only(const char *faults)
{
    enum { CLIENTS = 20, ROUNDS = 10 };
    struct peer *clients[CLIENTS];
    set_hint("select returns which descriptors are ready (FD_ISSET), and nothing when it fails. A "
             "recv() for every client costs a system call for each in every round.",
             "make run FAULTS=strict_select    # and in a second terminal:\n"
             "(for i in {1..20}; do exec {c}<>/dev/tcp/127.0.0.1/9000; done; sleep 9) & sleep 1\n"
             "echo hello | nc -N 127.0.0.1 9000    # and a message in the first?");
    struct server *s = start_server(.faults = faults);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(s);
        wait_asleep(s);
    }
    for (int i = 0; i < ROUNDS; i++) {
        send_text(clients[i], "only I\n");
        receive_text(clients[i], "only I\n");
    }
    wait_asleep(s);
    if (strstr(standard_error_of(s), "that select had not reported") != NULL)
        fail_check(s, "recv() for the clients that select has reported, and for no others",
                   "in one round, recv() for eight or more that it had not reported (EAGAIN)");
    set_hint(NULL, NULL);
}

uint64_t cost_of_echo(struct server *s, struct peer *p)
{
    enum { ECHOES = 50 };
    uint64_t before = cpu_time(s);
    send_and_receive(p, "hello\n", ECHOES);
    uint64_t echo = (cpu_time(s) - before) / ECHOES + 1;
    asked("an echo uses %.4f ms of CPU time; up to ten times that counts as idle",
          (double)echo / 1e6);
    return echo;
}
