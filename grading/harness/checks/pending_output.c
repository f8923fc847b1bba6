#include "pending_output.h"

#include "search_steps.h"

#include <stdlib.h>
#include <string.h>

enum { LINES = 4 };

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

/* Lines of 4096 bytes that the server receives at once: more than the smallest socket buffers take
 * back, so that a part of the last ones must wait, in a buffer that was empty before. */
static struct slow_client begin_to_pend(struct server *s)
{
    struct slow_client c = {.server = s, .peer = connect_small(s), .letter = 'a'};
    stop_reading(c.peer);
    wait_asleep(s);
    freeze(s);
    for (int i = 0; i < LINES; i++) {
        char *line = line_of((char)('0' + i), MAX_LINE - 1);
        send_bytes(c.peer, line, MAX_LINE);
        expect_later(&c, line, MAX_LINE);
        free(line);
    }
    thaw(s);
    wait_asleep(s);
    return c;
}

/* If something is lost, other checks report it: this one is about memory. */
static void receive_at_last(struct slow_client *c)
{
    struct wait w = begin_wait(c->server);
    resume_reading(c->peer);
    while (unread_bytes(c->peer) < c->size)
        if (!continue_wait(&w))
            return;
    receive_bytes(c->peer, c->expected, c->size);
    free(c->expected);
}

/* The sizes are those for an output buffer of 64 KiB, which holds sixteen times 4096 bytes. */
void answer_behind_pending_output(struct server *s)
{
    enum { LONGEST = MAX_LINE + 1, FULL = 64 * 1024 / MAX_LINE };
    set_hint("An answer must fit behind the output that is still pending. Answer a line only when "
             "there is room for the longest answer, 4,097 bytes, whatever kind of line it is.",
             "make backends               # and in a second terminal:\n"
             "make run TOOL=valgrind FAULTS=small_buffers   # and in a third terminal:\n"
             "(for i in $(seq 300); do    # 18 answers: two bytes more than 64 KiB\n"
             "    echo \"search $(head -c 3623 /dev/zero | tr '\\0' x)\"; done\n"
             "    head -c 5000 /dev/zero | tr '\\0' x; sleep 9) |\n"
             "    nc 127.0.0.1 9000 | sleep 9");
    struct slow_client c = begin_to_pend(s);
    for (int i = LINES; i < FULL - 1; i++)
        search_for(&c, MAX_LINE);
    search_for(&c, LONGEST); /* 4,096 bytes are left */
    search_for(&c, LONGEST);
    receive_at_last(&c);

    c = begin_to_pend(s);
    for (int i = LINES; i < FULL - 2; i++)
        search_for(&c, MAX_LINE);
    search_for(&c, MAX_LINE - 1);
    search_for(&c, LONGEST); /* no byte is left */
    send_text(c.peer, line_of('!', MAX_LINE + 1));
    wait_asleep(s);
    reset(c.peer); /* line_too_long expects what it receives otherwise */
    free(c.expected);
}
