#include "pending_output.h"

#include "core/clock.h"
#include "search_steps.h"

#include <stdlib.h>
#include <string.h>

/* A client whose every answer is expected only when it reads at last. */
struct slow_client {
    struct server *server;
    struct peer *peer;
    char *expected; /* all answers to what it has sent */
    size_t size;
    char letter; /* the next search's words consist of it, so that no answer equals another */
};

static void expect_later(struct slow_client *c, const char *text, size_t size)
{
    c->expected = realloc(c->expected, c->size + size);
    if (c->expected == NULL)
        grader_error("out of memory");
    memcpy(c->expected + c->size, text, size);
    c->size += size;
}

/* A search whose answer, with its newline, has this many bytes. */
static void search_for(struct slow_client *c, size_t answer_size)
{
    static const char prefix[] = "search ", names[] = " user query stock\n";
    size_t size = answer_size - strlen(names);
    char line[2 * MAX_LINE];
    memcpy(line, prefix, strlen(prefix));
    memset(line + strlen(prefix), c->letter, size);
    line[strlen(prefix) + size] = '\n';
    send_bytes(c->peer, line, strlen(prefix) + size + 1);
    expect_later(c, line + strlen(prefix), size);
    expect_later(c, names, strlen(names));
    c->letter = c->letter == 'z' ? 'a' : (char)(c->letter + 1);
    expect_searches_finished(c->server);
}

/* What is not yet acknowledged counts twice, for a moment. */
static bool has_pending_output(struct slow_client *c)
{
    static const double SECONDS = 0.5;
    struct wait w = begin_wait(c->server);
    for (double over = now() + SECONDS; now() < over; continue_wait(&w))
        if (sent_to(c->server, c->peer).most < c->size)
            return true;
    return false;
}

/* Answers until one waits in the server, in a buffer that was empty before. */
static struct slow_client begin_to_pend(struct server *s)
{
    enum { MOST = 64 }; /* more than the smallest socket buffers hold */
    struct slow_client c = {.server = s, .peer = connect_small(s), .letter = 'a'};
    stop_reading(c.peer);
    for (int i = 0; i < MOST && !has_pending_output(&c); i++)
        search_for(&c, MAX_LINE);
    return c;
}

static void receive_at_last(struct slow_client *c)
{
    resume_reading(c->peer);
    receive_bytes(c->peer, c->expected, c->size);
    free(c->expected);
}

/* The sizes are those for an output buffer of 64 KiB, with one answer of 4096 bytes in it: the most
 * that may be in it when another answer of 4097 is appended, and one byte more. */
void answer_behind_pending_output(struct server *s)
{
    enum { LONGEST = MAX_LINE + 1, FULL = 64 * 1024 / MAX_LINE };
    set_hint("An answer must fit behind the output that is still pending. Answer a line only when "
             "there is room for the longest answer, 4,097 bytes, whatever kind of line it is.",
             "make && valgrind ./server 9000 9001 9002 9003\n"
             "# second terminal: make backends; third:\n"
             "(for i in $(seq 1000); do\n"
             "    echo \"search $(head -c 4000 /dev/zero | tr '\\0' x)\"; done\n"
             "    head -c 5000 /dev/zero | tr '\\0' x; sleep 9) |\n"
             "    nc 127.0.0.1 9000 | sleep 9");
    struct slow_client c = begin_to_pend(s);
    for (int i = 1; i < FULL - 1; i++)
        search_for(&c, MAX_LINE);
    search_for(&c, LONGEST); /* 4,096 bytes are left */
    search_for(&c, LONGEST);
    receive_at_last(&c);

    static const char too_long[] = "error: line too long\n";
    c = begin_to_pend(s);
    for (int i = 1; i < FULL - 2; i++)
        search_for(&c, MAX_LINE);
    search_for(&c, MAX_LINE - 1);
    search_for(&c, LONGEST); /* no byte is left */
    send_text(c.peer, line_of('!', MAX_LINE + 1));
    expect_later(&c, too_long, strlen(too_long));
    wait_asleep(s);
    receive_at_last(&c);
    receive_eof(c.peer);
}
