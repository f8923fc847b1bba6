#include "drive/whose_bytes.h"
#include "core/report.h"
#include "core/test_data.h"
#include "drive/backend.h"

#include <string.h>

/* Shorter texts are found by chance. */
enum { MIN_SIZE = 4, MAX_SIZE = 24 };

struct text {
    const char *data;
    size_t size;
};

static struct text history_of(const struct peer *p)
{
    return (struct text){p->history.data + p->history.start, buffered(&p->history)};
}

static const char *find(struct text in, struct text what)
{
    return in.size == 0 || what.size == 0 ? NULL : memmem(in.data, in.size, what.data, what.size);
}

void remember_expected(struct peer *p, const char *data, size_t size)
{
    size_t kept = size < sizeof p->last_expected ? size : sizeof p->last_expected;
    memcpy(p->last_expected, data + size - kept, kept);
    p->last_expected_size = kept;
}

/* The only other client of this server that has sent this, or NULL. */
static const struct peer *only_sender(const struct peer *receiver, struct text what)
{
    const struct peer *found = NULL;
    if (find(history_of(receiver), what) != NULL)
        return NULL;
    for (const struct peer *p = first_peer(); p != NULL; p = p->next) {
        if (p == receiver || p->server != receiver->server || find(history_of(p), what) == NULL)
            continue;
        if (found != NULL)
            return NULL;
        found = p;
    }
    return found;
}

/* The line that contains byte `at`, with its newline if that has arrived. */
static struct text line_around(struct text all, size_t at)
{
    size_t start = at, end = at;
    while (start > 0 && all.data[start - 1] != '\n')
        start--;
    while (end < all.size && all.data[end] != '\n')
        end++;
    return (struct text){all.data + start, end - start};
}

/* The words of an answer: what comes before the backends' names. */
static struct text words_of_answer(struct text line)
{
    static const char names[] = " user query stock";
    const char *found = find(line, (struct text){names, sizeof names - 1});
    return (struct text){line.data, found == NULL ? 0 : (size_t)(found - line.data)};
}

/* Is there such a search in what a client has sent? */
static bool is_answer_to(struct text sent, struct text words)
{
    char request[300] = "search ";
    if (words.size == 0 || words.size > sizeof request - sizeof "search \n")
        return false;
    memcpy(request + 7, words.data, words.size);
    request[7 + words.size] = '\n';
    return find(sent, (struct text){request, words.size + 8}) != NULL;
}

static bool add_line_of_answer(const struct peer *receiver, struct text line)
{
    const struct peer *found = NULL;
    struct text words = words_of_answer(line);
    int searchers = 0, closed = 0;
    struct text own = history_of(receiver);
    struct text latest = {own.data + own.size - receiver->last_piece, receiver->last_piece};
    if (own.size > 0 && is_answer_to(latest, words))
        return true; /* the right answer, at the wrong time */
    if (is_answer_to(own, words)) {
        evidence("that is the answer to an earlier search of %s", receiver->name);
        return true;
    }
    for (const struct peer *p = first_peer(); p != NULL; p = p->next)
        if (p->server == receiver->server && is_answer_to(history_of(p), words)) {
            found = p;
            searchers++;
            closed += p->closed;
        }
    if (searchers == 1)
        evidence("that is the answer to %s's search%s", found->name,
                 closed > 0 ? ", and that client has left" : "");
    else if (searchers > 1 && closed == searchers)
        evidence("that is the answer to the search of a client that has left");
    return searchers == 1 || (searchers > 1 && closed == searchers);
}

/* What a backend sent after the newline of an answer: not part of it. */
static bool add_line_of_extra(struct text bytes)
{
    for (enum backend b = USER; b < BACKENDS; b++)
        for (struct call *c = calls_of(b); c != NULL; c = c->link) {
            const char *newline = c->answer == NULL ? NULL : memchr(c->answer, '\n', c->end);
            if (newline == NULL)
                continue;
            struct text extra = {newline + 1, (size_t)(c->answer + c->end - newline) - 1};
            if (find(extra, bytes) != NULL) {
                evidence("the %s backend sent these after the newline of an answer",
                         backend_name(b));
                return true;
            }
        }
    return false;
}

static bool add_line_of_sender(const struct peer *receiver, struct text bytes)
{
    const struct peer *sender = only_sender(receiver, bytes);
    if (sender != NULL)
        evidence("these are %s's bytes: %s", sender->name, quoted(bytes.data, bytes.size, 0));
    return sender != NULL;
}

/* Within the text expected: are bytes missing, or sent again? */
static bool add_line_of_distance(struct text expected, struct text bytes, size_t same)
{
    const char *found = find((struct text){expected.data + same, expected.size - same}, bytes);
    if (found != NULL) {
        evidence("these bytes should come later: %zu bytes before them are missing",
                 (size_t)(found - expected.data) - same);
        return true;
    }
    found = find((struct text){expected.data, same}, bytes);
    if (found != NULL)
        evidence("these bytes have been sent before: they are byte %zu and those after it, again",
                 (size_t)(found - expected.data) + 1);
    return found != NULL;
}

/* Something, and then what was expected: it belongs to the answer before. */
static bool add_line_of_excess(const struct peer *p, struct text expected, struct text received)
{
    const char *found = p->last_expected_size == 0 ? NULL : find(received, expected);
    if (found == NULL || found == received.data)
        return false;
    size_t excess = (size_t)(found - received.data);
    evidence("%zu excess %s after %s: %s", excess, excess == 1 ? "byte" : "bytes",
             quoted(p->last_expected, p->last_expected_size, p->last_expected_size - 1),
             quoted(received.data, excess, 0));
    return true;
}

void add_origin_of_bytes(const struct peer *p, const char *expected, size_t expected_size,
                         const char *received, size_t received_size, size_t same)
{
    struct text all = {received, received_size}, wanted = {expected, expected_size};
    struct text rest = {received + same, received_size - same};
    struct text some = {rest.data, rest.size < MAX_SIZE ? rest.size : MAX_SIZE};
    if (same == 0 && add_line_of_excess(p, wanted, all))
        return;
    if (some.size < MIN_SIZE || add_line_of_answer(p, line_around(all, same)))
        return;
    if (expected_size > QUOTED_SIZE && some.size == MAX_SIZE &&
        add_line_of_distance(wanted, some, same))
        return;
    struct text line = line_around(rest, 0);
    if (line.size >= MIN_SIZE && line.size < some.size)
        some = line;
    if (!add_line_of_extra(some))
        add_line_of_sender(p, some);
}

void add_origin_of_excess(const struct peer *p, const char *excess, size_t size)
{
    struct text all = {excess, size}, line = line_around(all, 0);
    struct text some = {excess, size < MAX_SIZE ? size : MAX_SIZE};
    if (p->last_expected_size > 0)
        evidence("they follow %s",
                 quoted(p->last_expected, p->last_expected_size, p->last_expected_size - 1));
    if (some.size < MIN_SIZE || add_line_of_answer(p, line))
        return;
    if (line.size >= MIN_SIZE && line.size < some.size)
        some = line;
    if (!add_line_of_extra(some))
        add_line_of_sender(p, some);
}
