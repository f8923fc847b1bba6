#include "explain/backend_lines.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/backend.h"
#include "drive/peer_receive.h"
#include "observe/sockets.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *quoted_request(const struct call *c)
{
    const char *newline = memchr(c->line, '\n', c->size);
    return quoted(c->line, newline != NULL ? (size_t)(newline - c->line) + 1 : c->size, 0);
}

/* The server's socket of an open call, or NULL. */
static const struct connection *servers_socket(const struct call *c)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (!is_open(c) || getpeername(c->source.fd, (struct sockaddr *)&address, &size) == -1)
        return NULL;
    for (enum backend b = USER; b < BACKENDS; b++)
        if (strcmp(backend_name(b), c->backend) == 0)
            return find_connection(ntohs(address.sin_port), backend_port(b));
    return NULL;
}

/* What has become of the bytes that were sent to the server. */
static const char *describe_reading(const struct call *c)
{
    const struct connection *socket = servers_socket(c);
    if (!is_open(c) && c->start < c->end)
        return ", and then the server closed the connection";
    if (!is_open(c) && (c->mode == CLOSES_BEFORE_NEWLINE || c->mode == TRICKLES))
        return ", then closed the connection";
    if (socket == NULL)
        return "";
    return socket->to_read > 0 ? ", not all of which the server has read"
                               : ", which the server has read";
}

static void describe_answer(const struct call *c, char *text, size_t size)
{
    char how_much[60] = "";
    if (c->start < c->end)
        snprintf(how_much, sizeof how_much, "%zu bytes of its answer: ", c->start);
    else if (c->end > QUOTED_SIZE)
        snprintf(how_much, sizeof how_much, "%zu bytes: ", c->end);
    if (!c->complete)
        snprintf(text, size, ", without a newline yet");
    else if (c->start > 0)
        snprintf(text, size, ", sent %s%s%s", how_much, quoted(c->answer, c->start, 0),
                 describe_reading(c));
    else if (c->mode == CLOSES)
        snprintf(text, size, ", closed the connection");
    else if (c->given_up != 0)
        snprintf(text, size, "; the server closed the connection before the answer");
    else
        snprintf(text, size, ", %s", is_held(c) ? "holds its answer" : "has not answered yet");
}

static void add_call_line(const struct call *c)
{
    char answer[300];
    describe_answer(c, answer, sizeof answer);
    if (c->size == 0)
        evidence("%s backend: %s, has received nothing", c->backend,
                 is_open(c) ? "connected" : "connected and closed again");
    else
        evidence("%s backend: received %s%s", c->backend, quoted_request(c), answer);
}

/* Open calls are those of searches that still run. */
static int add_open_calls(void)
{
    enum { MAX_LINES = 4 };
    int lines = 0, more = 0;
    for (enum backend b = USER; b < BACKENDS; b++)
        for (struct call *c = calls_of(b); c != NULL; c = c->link) {
            if (!is_open(c))
                continue;
            if (lines < MAX_LINES) {
                add_call_line(c);
                lines++;
            } else {
                more++;
            }
        }
    if (more > 0)
        evidence("... and %d more calls are open", more);
    return lines;
}

static bool begins_with(const struct call *c, const char *words, size_t size)
{
    return c->size >= size && memcmp(c->line, words, size) == 0;
}

/* The words of the search that this client has sent at last, or NULL. */
static const char *last_search(const struct peer *p, size_t *size)
{
    static const char search[] = "search ";
    const char *piece = p->history.data + p->history.end - p->last_piece;
    const char *found =
        p->last_piece == 0 ? NULL : memmem(piece, p->last_piece, search, sizeof search - 1);
    if (found == NULL)
        return NULL;
    found += sizeof search - 1;
    size_t rest = (size_t)(piece + p->last_piece - found);
    const char *newline = memchr(found, '\n', rest);
    *size = newline != NULL ? (size_t)(newline - found) : rest;
    return found;
}

static bool others_search(const struct peer *p)
{
    size_t size;
    for (const struct peer *other = first_peer(); other != NULL; other = other->next)
        if (other != p && other->server == p->server && last_search(other, &size) != NULL)
            return true;
    return false;
}

/* The latest call at this backend, accepted since then, whose request begins with these words; or
 * any. (When a call began is known only to a tick of the kernel's clock: it might seem earlier.) */
static const struct call *find_call(enum backend b, double since, const char *words, size_t size)
{
    for (const struct call *c = calls_of(b); c != NULL; c = c->link)
        if (c->accepted >= since && begins_with(c, words, size))
            return c;
    return NULL;
}

/* One call at each backend for this client's search, which has these words. A wrong request is
 * recognised only if no other client searches. */
static int add_calls_for(const struct peer *p, const char *words, size_t size)
{
    int lines = 0;
    bool alone = !others_search(p);
    for (enum backend b = USER; b < BACKENDS; b++) {
        const struct call *c = find_call(b, p->last_sent, words, size);
        if (c == NULL && alone)
            c = find_call(b, p->last_sent, "", 0);
        if (c != NULL)
            add_call_line(c);
        lines += c != NULL;
    }
    return lines;
}

void add_backend_lines(struct server *s)
{
    const struct peer *p = receiving_peer();
    size_t size;
    if (s != latest_server() || calls_at(USER) + calls_at(QUERY) + calls_at(STOCK) == 0)
        return;
    if (p == NULL) {
        add_open_calls();
        return;
    }
    const char *words = last_search(p, &size);
    if (words != NULL && (size == 0 || add_calls_for(p, words, size) == 0) && add_open_calls() == 0)
        evidence("no backend has received the words of this search");
}
