#include "drive/backend_wait.h"
#include "core/clock.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/wait_loop.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>

/* Calls that wait for an answer. */
int calls_held_at(enum backend b)
{
    int n = 0;
    for (struct call *c = calls_of(b); c != NULL; c = c->link) {
        notice_close(c);
        n += c->complete && !c->done;
    }
    return n;
}

static double busy_since; /* of wait_for_calls_made() */

/* Calls whose line has been received, or could not be sent in time. */
static int count_made(enum backend b)
{
    int n = 0;
    for (struct call *c = calls_of(b); c != NULL; c = c->link)
        n += c->complete || expired_unsent(c, busy_since);
    return n;
}

static int count_open(enum backend b)
{
    int n = 0;
    for (struct call *c = calls_of(b); c != NULL; c = c->link) {
        notice_close(c);
        n += is_open(c);
    }
    return n;
}

/* The calls were made, but on a busy machine a server may have given them up before we looked. */
static void excuse_calls_given_up(enum backend b, double since)
{
    for (struct call *c = calls_of(b); c != NULL; c = c->link)
        if (c->given_up > since || expired_unsent(c, since))
            check_held_time(c);
}

static void wait_for_count(int (*count)(enum backend b), struct server *s, enum backend b, int n)
{
    struct wait w = begin_wait(s);
    char expected[120];
    while (count(b) < n)
        if (!continue_wait(&w) && count(b) < n) {
            if (count == calls_held_at)
                excuse_calls_given_up(b, w.since);
            snprintf(expected, sizeof expected, "%d %s at the %s backend at once", n,
                     n == 1 ? "call" : "calls", backend_name(b));
            fail_check(s, expected, "%d %s; %s", count(b), count(b) == 1 ? "call" : "calls", w.why);
        }
}

void wait_for_calls(struct server *s, enum backend b, int n)
{
    set_calls_held(true); /* for a second at most: then the server gives up those that came first */
    wait_for_count(calls_held_at, s, b, n);
    set_calls_held(false);
    asked("%d %s at the %s backend", n, n == 1 ? "call waits" : "calls wait", backend_name(b));
}

void wait_for_calls_made(struct server *s, enum backend b, int n, double since)
{
    busy_since = since;
    wait_for_count(count_made, s, b, n);
    asked("%d %s made to the %s backend", n, n == 1 ? "call is" : "calls are", backend_name(b));
}

static bool is_connecting_to(enum backend b)
{
    int count;
    read_connections();
    const struct connection *connections = all_connections(&count);
    for (int i = 0; i < count; i++)
        if (connections[i].state == STATE_SYN_SENT && connections[i].remote == backend_port(b) &&
            !is_backlog_filler(connections[i].local))
            return true;
    return false;
}

void wait_connecting(struct server *s, enum backend b, struct peer *client)
{
    struct wait w = begin_wait(s);
    double begin = now();
    char expected[80];
    while (!is_connecting_to(b) && !(may_be_given_up(begin) && unread_bytes(client) > 0))
        if (!continue_wait(&w)) {
            snprintf(expected, sizeof expected, "a connection attempt to the %s backend",
                     backend_name(b));
            fail_check(s, expected, "none; %s", w.why);
        }
}

/* ---- releasing --------------------------------------------------------------------------- */

static bool requests(const struct call *c, const char *words)
{
    size_t size = strlen(words);
    return c->complete && c->size > size && memcmp(c->line, words, size) == 0 &&
           c->line[size] == '\n';
}

double held_since(enum backend b)
{
    double since = now();
    for (const struct call *c = calls_of(b); c != NULL; c = c->link)
        if (c->complete && !c->done && c->began < since)
            since = c->began;
    return since;
}

void release(enum backend b, const char *words)
{
    const char *request = quoted(words, strlen(words), 0);
    char expected[120];
    bool closed = false;
    for (struct call *c = calls_of(b); c != NULL; c = c->link) {
        if (!requests(c, words))
            continue;
        notice_close(c);
        if (is_open(c) && !c->done) {
            asked("the %s backend answers %s", backend_name(b), request);
            release_call(c, true);
            return;
        }
        if (c->given_up != 0) /* after its second, so it is not the server's fault */
            check_held_time(c);
        closed |= !is_open(c);
    }
    snprintf(expected, sizeof expected, "a pending call to the %s backend: %s", backend_name(b),
             request);
    struct server *s = latest_server();
    fail_if_ended(s, expected);
    fail_check(s, expected, "%s", closed ? "the server closed it before the answer" : "none");
}

static int release_held(enum backend b, bool in_time)
{
    int n = 0;
    for (struct call *c = calls_of(b); c != NULL; c = c->link) {
        notice_close(c);
        if (c->given_up != 0 && in_time) {
            check_held_time(c);
        } else if (is_open(c) && !c->complete && is_held(c)) {
            c->mode = ANSWERS; /* its line is still in transit */
        } else if (c->complete && !c->done && is_open(c)) {
            release_call(c, in_time);
            n++;
        }
    }
    if (n > 0)
        asked("the %s backend answers %d %s", backend_name(b), n, n == 1 ? "call" : "calls");
    return n;
}

int release_all(enum backend b)
{
    return release_held(b, true);
}

int release_late(enum backend b)
{
    return release_held(b, false);
}

/* ---- the end of all calls ---------------------------------------------------------------- */

void expect_searches_finished(struct server *s)
{
    struct wait w = begin_wait(s);
    for (;;) {
        /* In this order: the connections of a server that is asleep are in the backlog, from which
         * process_pending() accepts them. */
        bool asleep = all_tasks_asleep(s->pid);
        process_pending();
        int open = count_open(USER) + count_open(QUERY) + count_open(STOCK);
        if (asleep && open == 0)
            return;
        if (!continue_wait(&w) && open > 0)
            fail_check(s, "no connection to a backend is left open", "%d are; %s", open, w.why);
        if (w.over)
            return;
    }
}

void expect_no_calls_open(struct server *s, enum backend b)
{
    struct wait w = begin_wait(s);
    char expected[120];
    for (int open; (open = count_open(b)) > 0;)
        if (!continue_wait(&w)) {
            snprintf(expected, sizeof expected, "no connection to the %s backend is left open",
                     backend_name(b));
            fail_check(s, expected, "%d are; %s", open, w.why);
        }
}
