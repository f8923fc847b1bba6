#include "drive/peer_send.h"
#include "core/clock.h"
#include "core/report.h"
#include "core/text.h"
#include "drive/wait_loop.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>

void say_bytes(struct peer *p, const void *data, size_t size)
{
    asked("%s says %s%s", p->name, quoted(data, size, 0), size > QUOTED_SIZE ? " and so on" : "");
    if (size > QUOTED_SIZE)
        asked("... %zu bytes in all", size);
    size_t before = p->sent;
    append(&p->outbox, data, size);
    send_some(p);
    update_peer(p);
    struct wait w = begin_wait(p->server);
    while (buffered(&p->outbox) > 0) {
        char expected[120];
        snprintf(expected, sizeof expected, "the server reads all that %s says, %zu bytes", p->name,
                 size);
        if (p->broken)
            fail_check(p->server, expected, "it closed the connection when %zu bytes were said",
                       p->sent - before);
        if (!continue_wait(&w) && buffered(&p->outbox) > 0 && !p->broken)
            fail_check(p->server, expected, "it took in %zu bytes: %s", p->sent - before, w.why);
    }
    if (p->broken)
        fail_check(p->server, "an open connection", "the server had closed it to %s", p->name);
}

void say(struct peer *p, const char *text)
{
    say_bytes(p, text, strlen(text));
}

/* Sends what fits right now, and drops the rest. */
static size_t send_what_fits(struct peer *p, const void *data, size_t size)
{
    size_t before = p->sent;
    append(&p->outbox, data, size);
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

size_t say_what_fits(struct peer *p, const void *data, size_t size)
{
    size_t sent = send_what_fits(p, data, size), rest = rest_of_line(sent);
    asked("%s says as much as fits, %zu bytes", p->name, sent);
    append(&p->outbox, (const char *)data + sent, rest);
    update_peer(p);
    return sent + rest;
}

void try_to_say(struct peer *p, const char *text)
{
    asked("%s says %s, if it can", p->name, quoted(text, strlen(text), 0));
    send_what_fits(p, text, strlen(text));
}

size_t say_until_blocked(struct peer *p)
{
    enum { PIECE = 64 * 1024, MAX_SIZE = 64 * 1024 * 1024 };
    static char text[PIECE];
    size_t size = 0;
    double full_since = now();
    struct wait w = begin_wait(p->server);
    while (size < MAX_SIZE && !p->broken) {
        fill_text(text, size, PIECE);
        size_t sent = send_what_fits(p, text, PIECE);
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
    asked("%s says more and more and does not read: %zu bytes until there is no room", p->name,
          size);
    return size + rest;
}
