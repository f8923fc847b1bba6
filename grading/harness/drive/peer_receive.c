#include "drive/peer_receive.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/client_calls.h"
#include "drive/peer_send.h"
#include "drive/valgrind_processes.h"
#include "drive/wait_loop.h"
#include "drive/whose_bytes.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>

static const struct peer *receiving;
static bool wrong_bytes;

const struct peer *receiving_peer(void)
{
    return receiving;
}

void set_receiving_peer(const struct peer *p)
{
    receiving = p;
}

bool receiving_wrong_bytes(void)
{
    return wrong_bytes;
}

void stop_reading(struct peer *p)
{
    asked("%s stops reading", p->name);
    p->not_reading = true;
    update_peer(p);
}

void resume_reading(struct peer *p)
{
    asked("%s resumes reading", p->name);
    p->not_reading = false;
    update_peer(p);
}

size_t unread_bytes(const struct peer *p)
{
    return buffered(&p->inbox);
}

/* Before something is reported about it: all that the server sends now, for a moment at most. */
static void receive_the_rest(struct peer *p)
{
    static const double MAX_SECONDS_MORE = 0.2;
    struct wait w = begin_wait(p->server);
    wrong_bytes = true;
    while (continue_wait(&w) && !all_tasks_asleep(p->server->pid) &&
           now() - w.since < MAX_SECONDS_MORE)
        ;
    process_pending();
}

static const char *received_so_far(const struct peer *p)
{
    return p->inbox.data + p->inbox.start;
}

/* Fails: of the `size` bytes expected, the first `same` have been received and nothing or something
 * different follows. `end` says why nothing more will follow; NULL if something different has been
 * received. */
static _Noreturn void fail_to_hear(struct peer *p, const char *data, size_t size, size_t same,
                                   const char *end)
{
    char expected[400];
    if (size <= QUOTED_SIZE)
        snprintf(expected, sizeof expected, "%s back to %s", quoted(data, size, 0), p->name);
    else
        snprintf(expected, sizeof expected, "%zu bytes back to %s; around byte %zu: %s", size,
                 p->name, same + 1, quoted(data, size, same));
    if (end == NULL)
        receive_the_rest(p);
    const char *received = received_so_far(p);
    size_t count = buffered(&p->inbox);
    bool closed = p->end != STILL_OPEN;
    if (end == NULL) {
        note_failure(WRONG_BYTES);
    } else if (closed && has_ended_or_ends(p->server)) {
        closed = false;
        end = the_server_ended(p->server);
    } else if (closed) {
        note_failure(DISCONNECTED);
    }
    if (report->failure == OTHER_FAILURE)
        note_failure(kind_of_silence(p, same > 0));
    if (end == NULL)
        add_origin_of_bytes(p, data, size, received, count, same);
    if (end == NULL && size <= QUOTED_SIZE)
        fail_check(p->server, expected, "%s, which differs from byte %zu on",
                   quoted(received, count, same), same + 1);
    if (end == NULL)
        fail_check(p->server, expected, "different bytes from byte %zu on: %s", same + 1,
                   quoted(received, count, same));
    if (same == 0)
        fail_check(p->server, expected, "%s%s", closed ? "nothing, then " : "nothing; ", end);
    fail_check(p->server, expected, "only the first %zu bytes: %s, then %s%s", same,
               quoted(received, same, same - 1), closed ? "" : "nothing; ", end);
}

/* If sending has failed before, recv() returns 0 after a reset as well. */
static const char *describe_end(const struct peer *p)
{
    if (p->end == GOT_FIN)
        return p->broken ? "the end of the connection (FIN or RST)" : "end-of-file (FIN)";
    return p->end == GOT_RST ? "a reset (RST)" : NULL;
}

void receive_bytes(struct peer *p, const void *data, size_t size)
{
    const char *wanted = data;
    size_t same = 0;
    set_client_of_step(p);
    struct wait w = begin_wait(p->server);
    w.server_must_act = true;
    receiving = p;
    for (;;) {
        size_t n = buffered(&p->inbox) < size ? buffered(&p->inbox) : size, before = same;
        while (same < n && received_so_far(p)[same] == wanted[same])
            same++;
        if (same > before)
            note_progress(&w);
        if (same == size)
            break;
        if (same < n)
            fail_to_hear(p, wanted, size, same, NULL);
        const char *end = describe_end(p);
        if (end == NULL && continue_wait(&w))
            continue;
        if (buffered(&p->inbox) > n || (p->end != STILL_OPEN && end == NULL))
            continue; /* it arrived at the last moment */
        fail_to_hear(p, wanted, size, same, end != NULL ? end : w.why);
    }
    if (size <= QUOTED_SIZE)
        asked("%s receives %s", p->name, quoted(data, size, 0));
    else
        asked("%s receives all %zu bytes", p->name, size);
    receiving = NULL;
    expect_served_under_valgrind(p);
    remember_expected(p, wanted, size);
    p->inbox.start += size;
}

void receive_text(struct peer *p, const char *text)
{
    receive_bytes(p, text, strlen(text));
}

void receive_one_of(struct peer *p, const char *one, const char *other)
{
    struct wait w = begin_wait(p->server);
    while (unread_bytes(p) == 0 && p->end == STILL_OPEN && continue_wait(&w))
        ;
    receive_text(p, unread_bytes(p) > 0 && *received_so_far(p) == *other ? other : one);
}

void receive_long_text(struct peer *p, size_t size)
{
    enum { PIECE = 64 * 1024 };
    static char text[PIECE];
    struct asked_text before = save_asked();
    for (size_t offset = 0, part; offset < size; offset += part) {
        part = size - offset < PIECE ? size - offset : PIECE;
        fill_text(text, offset, part);
        receive_bytes(p, text, part);
    }
    restore_asked(&before);
    asked("%s receives all %zu bytes", p->name, size);
}

void send_and_receive(struct peer *p, const char *text, int times)
{
    struct asked_text before = save_asked();
    for (int i = 0; i < times; i++) {
        send_text(p, text);
        receive_text(p, text);
    }
    restore_asked(&before);
    const char *sent = quoted(text, strlen(text), 0);
    if (times == 1)
        asked("%s sends %s and receives it back", p->name, sent);
    else
        asked("%s sends %s and receives it back, %d times", p->name, sent, times);
}

static void expect_end(struct peer *p, bool reset_allowed)
{
    char expected[120];
    set_client_of_step(p);
    const char *end = reset_allowed ? "end-of-file or a reset" : "end-of-file (FIN)";
    snprintf(expected, sizeof expected, "%s%s for %s, and no more bytes",
             p->received > 0 ? "then " : "", end, p->name);
    receiving = p;
    struct wait w = begin_wait(p->server);
    w.server_must_act = true;
    for (;;) {
        if (buffered(&p->inbox) > 0) {
            note_failure(EXTRA_BYTES);
            receive_the_rest(p);
            add_origin_of_excess(p, received_so_far(p), buffered(&p->inbox));
            fail_check(p->server, expected, "%zu more %s: %s", buffered(&p->inbox),
                       buffered(&p->inbox) == 1 ? "byte" : "bytes",
                       quoted(received_so_far(p), buffered(&p->inbox), 0));
        }
        if (p->end == GOT_RST && !reset_allowed) {
            fail_if_ended(p->server, expected);
            fail_check(p->server, expected, "a reset (RST)");
        }
        if (p->end != STILL_OPEN)
            break;
        if (!continue_wait(&w) && p->end == STILL_OPEN && buffered(&p->inbox) == 0)
            fail_check(p->server, expected, "the connection stays open; %s", w.why);
    }
    receiving = NULL;
    asked("%s receives %s", p->name, end);
}

void receive_eof(struct peer *p)
{
    expect_end(p, false);
}

void receive_eof_or_reset(struct peer *p)
{
    expect_end(p, true);
}
