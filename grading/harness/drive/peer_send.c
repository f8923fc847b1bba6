#include "drive/peer_send.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/server_state.h"
#include "drive/wait_loop.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>

/* For add_origin_of_bytes(): what was sent last, and only the beginning of what is long. */
static void remember_sent(struct peer *p, const void *data, size_t size)
{
    enum { MAX_HISTORY = 4096, MAX_PIECE = 256 };
    p->last_piece = size < MAX_PIECE ? size : MAX_PIECE;
    p->last_sent = now();
    append(&p->history, data, p->last_piece);
    if (buffered(&p->history) > MAX_HISTORY)
        p->history.start = p->history.end - MAX_HISTORY;
}

/* Of what this client has sent since `before`, without what still waits in the two sockets. */
static size_t read_by_server(struct peer *p, size_t before)
{
    size_t sent = p->sent - before, waiting = unread_from(p->server, p);
    const struct connection *c = read_connection(p->port, port_of(p->server));
    if (c != NULL)
        waiting += c->to_send;
    return sent > waiting ? sent - waiting : 0;
}

#define fail_disconnected(PEER, EXPECTED, ...)                                                     \
    do {                                                                                           \
        fail_if_ended((PEER)->server, EXPECTED);                                                   \
        note_failure(DISCONNECTED);                                                                \
        fail_check((PEER)->server, EXPECTED, __VA_ARGS__);                                         \
    } while (0)

/* There and back. A server that sends without end moves no more than it was sent. */
static size_t bytes_moved(const struct peer *p)
{
    return p->sent + (p->received < p->sent ? p->received : p->sent);
}

void send_bytes(struct peer *p, const void *data, size_t size)
{
    if (size <= QUOTED_SIZE)
        asked("%s sends %s", p->name, quoted(data, size, 0));
    else
        asked("%s sends %zu bytes: %s", p->name, size, quoted(data, size, 0));
    size_t before = p->sent;
    set_client_of_step(p);
    append(&p->outbox, data, size);
    remember_sent(p, data, size);
    send_some(p);
    update_peer(p);
    struct wait w = begin_wait(p->server);
    for (size_t last = 0; buffered(&p->outbox) > 0;) {
        char expected[120];
        if (bytes_moved(p) > last)
            note_progress(&w);
        last = bytes_moved(p);
        snprintf(expected, sizeof expected, "the server reads all that %s sends: %zu bytes",
                 p->name, size);
        if (p->broken)
            fail_disconnected(p, expected, "it closed the connection after %zu bytes",
                              p->sent - before);
        if (!continue_wait(&w) && buffered(&p->outbox) > 0 && !p->broken) {
            if (report->failure == OTHER_FAILURE)
                note_failure(STOPPED_READING);
            fail_check(p->server, expected, "it read %zu bytes; %s", read_by_server(p, before),
                       w.why);
        }
    }
    if (p->broken)
        fail_disconnected(p, "an open connection", "the server had closed the connection to %s",
                          p->name);
}

void send_text(struct peer *p, const char *text)
{
    send_bytes(p, text, strlen(text));
}

/* Sends what fits right now, and drops the rest. */
static size_t send_now(struct peer *p, const void *data, size_t size)
{
    size_t before = p->sent;
    set_client_of_step(p);
    append(&p->outbox, data, size);
    remember_sent(p, data, size);
    send_some(p);
    p->outbox.end = p->outbox.start;
    return p->sent - before;
}

/* How many bytes the last line of long text lacks after so many. */
static size_t rest_of_line(size_t size)
{
    enum { LINE = 64 };
    return (LINE - size % LINE) % LINE;
}

size_t send_what_fits(struct peer *p, const void *data, size_t size)
{
    size_t sent = send_now(p, data, size), rest = rest_of_line(sent);
    asked("%s sends as much as fits: %zu bytes", p->name, sent);
    append(&p->outbox, (const char *)data + sent, rest);
    update_peer(p);
    return sent + rest;
}

void try_to_send(struct peer *p, const char *text)
{
    asked("%s tries to send %s", p->name, quoted(text, strlen(text), 0));
    send_now(p, text, strlen(text));
}

size_t send_until_blocked(struct peer *p)
{
    enum { PIECE = 64 * 1024, MAX_SIZE = 64 * 1024 * 1024 };
    static char text[PIECE];
    size_t size = 0;
    double full_since = now();
    struct wait w = begin_wait(p->server);
    while (size < MAX_SIZE && !p->broken) {
        fill_text(text, size, PIECE);
        size_t sent = send_now(p, text, PIECE);
        size += sent;
        if (sent > 0) {
            full_since = now();
            w = begin_wait(p->server);
            continue;
        }
        /* No room for a while, and no thread awake to make some; or the server will never. */
        if ((now() - full_since > 0.1 && all_tasks_asleep(p->server->pid)) || !continue_wait(&w))
            break;
    }
    /* A server may work line by line: the rest of this one follows as soon as there is room. */
    size_t rest = p->broken ? 0 : rest_of_line(size);
    fill_text(text, size, rest);
    append(&p->outbox, text, rest);
    update_peer(p);
    asked("%s sends without reading until all buffers are full: %zu bytes", p->name, size);
    return size + rest;
}
