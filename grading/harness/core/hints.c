#include "core/hints.h"
#include "core/check_registry.h"
#include "core/report.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* True of every failure of that kind, whatever the step. */
static const char *const general_hints[FAILURES] = {
    [CRASHED] = "The server crashed: a signal killed it. Start it under valgrind, as below, which "
                "prints what went wrong, and the line of your code.",
    [KILLED_BY_PIPE] = "SIGPIPE killed the server: send() raises it when the other side is gone. "
                       "Pass MSG_NOSIGNAL; then send() fails with EPIPE, which ends this "
                       "connection only.",
    [DEFAULT_ACTION] = "The signal's default action ended the server: at that moment there was no "
                       "handler for it. Install one for SIGTERM and one for SIGINT, sigaction(2), "
                       "before the first client can connect.",
    [EXITED] = "The server ended by itself: main returned, or something called exit(). Its last "
               "message on standard error, if there is one, names the call that failed.",
    [SPINNING] = "The server spins: some call fails, or returns, at once every time, and the loop "
                 "repeats it. Which call is it, and what does it return?",
    [DISCONNECTED] = "The server closed this connection, or the process that served it ended, "
                     "while the client was still owed bytes. Which path through the code closes "
                     "it, and what had recv() or send() returned?",
    [WRONG_BYTES] = "Something arrived, but not the bytes that were expected. Compare the two "
                    "texts from the first byte that differs.",
    [MISSING_BYTES] = "The first bytes arrived, and the rest did not: it was dropped, or it still "
                      "waits in the server. Follow it from recv() to send(): what did each "
                      "return?",
    [EXTRA_BYTES] = "More arrived than this client is owed. Was something sent twice, or sent to "
                    "the wrong client?",
    [EXIT_STATUS] = "The signal ended the server, but not with status 0. Its last message on "
                    "standard error, if there is one, names the call that failed.",
    [WRONG_SUMMARY] = "Compare the line: its words, and both numbers. Count every connection that "
                      "accept() returned, and add up what send() returned, also for clients that "
                      "are still connected.",
};

void set_hint(const char *hint, const char *by_hand)
{
    report->hint = hint;
    report->by_hand = by_hand;
    memset(report->hint_if, 0, sizeof report->hint_if);
}

void set_hint_if(enum failure kind, const char *hint)
{
    report->hint_if[kind] = hint;
}

void note_failure(enum failure kind)
{
    report->failure = kind;
}

void note_server_started(void)
{
    report->killed_by = 0;
}

void note_killed_by(int sig)
{
    report->killed_by = sig;
}

static enum failure kind_of_failure(void)
{
    switch (report->killed_by) {
    case 0:
    case SIGKILL:
        return report->failure;
    case SIGTERM:
    case SIGINT:
        return DEFAULT_ACTION;
    case SIGPIPE:
        return KILLED_BY_PIPE;
    default:
        return CRASHED;
    }
}

const char *hint_for(const struct check *check)
{
    enum failure kind = kind_of_failure();
    const char *own = report->hint != NULL ? report->hint : check->hint;
    const char *hint = report->hint_if[kind];
    if (hint == NULL && report->hint == NULL)
        hint = check->hint_if[kind];
    if (hint == NULL)
        hint = general_hints[kind];
    return hint == NULL || *hint == '\0' ? own : hint;
}

/* Returns the text with the first `old` replaced by `new`, or NULL if it has none. Spaces before a
 * comment on that line make room. */
static char *replace_first(const char *text, const char *old, const char *new)
{
    const char *found = strstr(text, old);
    if (found == NULL)
        return NULL;
    char *result = calloc(1, strlen(text) + strlen(new) + 1);
    if (result == NULL)
        abort();
    memcpy(result, text, (size_t)(found - text));
    strcat(result, new);
    const char *rest = found + strlen(old);
    size_t more = strlen(new) - strlen(old), spaces = strspn(rest, " ");
    if (spaces > 2 && rest[spaces] == '#')
        rest += more < spaces - 2 ? more : spaces - 2;
    return strcat(result, rest);
}

/* The same commands, with the server under valgrind. */
static char *under_valgrind_by_hand(const char *commands)
{
    char *result = NULL;
    if (strstr(commands, "valgrind") == NULL &&
        (result = replace_first(commands, "make run", "make run TOOL=valgrind")) == NULL)
        result = replace_first(commands, "./server ", "valgrind ./server ");
    return result != NULL ? result : strdup(commands);
}

char *commands_for(const struct check *check)
{
    const char *commands = report->by_hand != NULL ? report->by_hand : check->by_hand;
    enum failure kind = kind_of_failure();
    if (commands == NULL)
        return NULL;
    if (kind == CRASHED)
        return under_valgrind_by_hand(commands);
    return strdup(commands);
}
