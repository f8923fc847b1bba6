#include "core/hints.h"
#include "core/check_registry.h"
#include "core/report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* True of every failure of that kind, whatever the step. */
static const char *const general_hints[FAILURES] = {
    [NOT_READY] = "Before the first client can connect, the server binds 127.0.0.1, listens, and "
                  "prints \"listening on 127.0.0.1:PORT\" and flushes. PORT is the number that "
                  "getsockname() returns, in host byte order.",
    [CRASHED] = "The server crashed: a signal killed it. Start it under valgrind, as below, which "
                "prints what went wrong, and the line of your code.",
    [KILLED_BY_PIPE] = "SIGPIPE killed the server: send() raises it when the other side is gone. "
                       "Pass MSG_NOSIGNAL; then send() fails with EPIPE, which ends this "
                       "connection only.",
    [DEFAULT_ACTION] =
        "The signal's default action ended the server: at that moment there was no "
        "handler for it. Install one for SIGTERM and for SIGINT, sigaction(2), before "
        "the first client can connect; keep it, and end by returning from main.",
    [EXITED] = "The server ended by itself: main returned, or something called exit(). Its last "
               "message on standard error, if there is one, names the call that failed.",
    [SPINNING] = "The server spins: a call fails, or returns, at once every time, and the loop "
                 "repeats it. The evidence names the call, or strace does, as below: why does it "
                 "return at once, and what should the loop wait for instead?",
    [STOPPED_READING] = "The server has read only a part of what this client sends, although the "
                        "client reads all that is sent back. What makes it call recv() for this "
                        "client again, when there is room in the buffer (is there, once all in it "
                        "has been sent?), or when recv() returned less than there was?",
    [DISCONNECTED] = "The server closed this connection while the client was still owed bytes. "
                     "Which path through the code closes it? If recv() or send() was called before "
                     "that, what had it returned?",
    [WRONG_BYTES] = "Something arrived, but not the bytes that were expected. Compare the two "
                    "texts from the first byte that differs.",
    [MISSING_BYTES] = "The first bytes arrived, and the rest did not: it was dropped, or it still "
                      "waits in the server. Follow it from recv() to send(): what did each "
                      "return?",
    [EXTRA_BYTES] = "More arrived than this client is owed. Was something sent twice, or sent to "
                    "the wrong client?",
    [EPOLL_CTL_FAILED] =
        "epoll_ctl() failed for this client's socket, so the events registered earlier stay in "
        "effect. "
        "EEXIST: EPOLL_CTL_ADD registers a descriptor once, and EPOLL_CTL_MOD changes its events. "
        "ENOENT: it has not been registered yet.",
    [EXIT_STATUS] = "Whichever signal ends it, the server must exit with status 0. If it did not "
                    "choose this status, its last message on standard error names the call that "
                    "failed.",
    [WRONG_SUMMARY] =
        "On standard output this line follows \"listening on\", and nothing else. Compare "
        "its words and both numbers: every connection that accept() returned, and "
        "the sum of what send() returned, also for clients still connected.",
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
    report->server_ended = false;
    report->killed_by = 0;
}

void note_server_ended(int sig)
{
    report->server_ended = true;
    report->killed_by = sig;
}

static enum failure kind_of_failure(void)
{
    switch (report->killed_by) {
    case 0:
    case SIGKILL:
        return report->failure == NOT_READY && report->server_ended ? EXITED : report->failure;
    case SIGTERM:
    case SIGINT:
        return DEFAULT_ACTION;
    case SIGPIPE:
        return KILLED_BY_PIPE;
    default:
        return CRASHED;
    }
}

bool server_crashed(void)
{
    return kind_of_failure() == CRASHED;
}

/* A kind that contains this one, or the same. */
static enum failure broader(enum failure kind)
{
    return kind == NOT_SENT ? MISSING_BYTES : kind == NEVER_READ ? OTHER_FAILURE : kind;
}

/* What the step, or the check, says about failures of this kind; OWN_HINT; or NULL. */
static const char *special_hint(const struct check *check, enum failure kind)
{
    const char *hint = report->hint_if[kind];
    return hint == NULL && report->hint == NULL ? check->hint_if[kind] : hint;
}

const char *hint_for(const struct check *check)
{
    enum failure kind = kind_of_failure();
    const char *own = report->hint != NULL ? report->hint : check->hint;
    const char *hint = special_hint(check, kind);
    if (hint == NULL)
        hint = special_hint(check, broader(kind));
    if (hint == NULL)
        hint = general_hints[broader(kind)];
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

/* The same commands, and then what shows whether the first line is flushed. */
static char *with_first_line(const char *commands)
{
    static const char pipe[] = "make && timeout -s KILL 1 ./server 9004 | cat   # must print "
                               "\"listening\" at once";
    char *result = NULL;
    if (asprintf(&result, "%s\n%s", commands, pipe) == -1)
        abort();
    return result;
}

/* The same commands, and then those that show which call is repeated, before what ends the clients.
 */
static char *with_trace(const char *commands)
{
    char *result = NULL;
    /* A server that was told to stop may not listen any more: then `make pid` does not find it. */
    const char *pid = strstr(commands, "s=$(make pid)") != NULL ? "$s" : "$(make pid)";
    const char *end = strstr(commands, "; kill %");
    if (end == NULL)
        end = commands + strlen(commands);
    int length = (int)strcspn(end, "\n");
    if (asprintf(&result,
                 "%.*s%s\n# and while the server spins:\n"
                 "timeout 1 strace -f -p %s 2>&1 | tail -n 20%.*s",
                 (int)(end - commands), commands, end + length, pid, length, end) == -1)
        abort();
    return result;
}

char *commands_for(const struct check *check)
{
    const char *commands = report->by_hand != NULL ? report->by_hand : check->by_hand;
    enum failure kind = kind_of_failure();
    if (commands == NULL)
        return NULL;
    if (kind == CRASHED && special_hint(check, kind) == NULL)
        return under_valgrind_by_hand(commands);
    if (kind == NOT_READY)
        return with_first_line(commands);
    if (kind == SPINNING && strstr(commands, "strace") == NULL)
        return with_trace(commands);
    return strdup(commands);
}
