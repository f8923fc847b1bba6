/*
 * Which hint a failed check shows. A hint is for the step that failed, and true of the way in which
 * it failed: whoever reads about deadlines when the server has crashed looks in the wrong place.
 */
#ifndef CORE_HINTS_H
#define CORE_HINTS_H

#include <stddef.h>

enum failure {
    OTHER_FAILURE,   /* nothing came, or something was counted: the step's own hint is for these */
    NOT_READY,       /* it has not printed, or not done, what must precede the first client */
    CRASHED,         /* killed by a signal that no check sends */
    KILLED_BY_PIPE,  /* SIGPIPE */
    DEFAULT_ACTION,  /* killed by SIGTERM or SIGINT */
    EXITED,          /* ended by itself, too early */
    SPINNING,        /* used CPU time instead of doing what was asked */
    STOPPED_READING, /* of what a client sends, it reads only a part */
    DISCONNECTED,    /* end-of-file or a reset instead of data */
    WRONG_BYTES,
    MISSING_BYTES, /* the first ones came */
    EXTRA_BYTES,
    EXIT_STATUS,   /* stopped, but not with status 0 */
    WRONG_SUMMARY, /* stopped, but "served C connections, B bytes" differs */
    FAILURES
};

/* As a hint for one kind of failure: the step's own hint is true of that kind as well. */
#define OWN_HINT ""
#define OWN_HINT_FOR_BYTES                                                                         \
    [DISCONNECTED] = OWN_HINT, [WRONG_BYTES] = OWN_HINT, [MISSING_BYTES] = OWN_HINT,               \
    [EXTRA_BYTES] = OWN_HINT
/* For WRONG_BYTES of long_text(). */
#define HINT_NUMBERED_TEXT                                                                         \
    "Each word of the text is its own number, so what was received shows whether something was "   \
    "lost, sent twice, or overwritten. Keep what send() did not take, and send it next, once."

/* For the current step: another hint and other commands than the check's, until the next call.
 * Literals; NULL: the check's own. */
void set_hint(const char *hint, const char *by_hand);
/* For failures of this kind in the current step. Follows set_hint(). */
void set_hint_if(enum failure kind, const char *hint);

/* How the check is about to fail, as far as a wait or a comparison can tell. */
void note_failure(enum failure kind);
/* A server under test has been started, or has ended: by this signal, or by itself (0). */
void note_server_started(void);
void note_server_ended(int sig);

/* Of the failure in the report: the hint, and the commands that show it. Allocated, or NULL. */
struct check;
const char *hint_for(const struct check *check);
char *commands_for(const struct check *check);

#endif
