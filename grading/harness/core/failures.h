/* The ways in which a step of a check fails, as far as they need different hints. */
#ifndef CORE_FAILURES_H
#define CORE_FAILURES_H

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
    MISSING_BYTES,    /* the first ones came */
    NOT_SENT,         /* the same: the server has received the rest, and not called send() since */
    NEVER_READ,       /* nothing came: the server has accepted this client, and not called recv() */
    EPOLL_CTL_FAILED, /* something is missing, and the last call for this client was epoll_ctl() */
    EXTRA_BYTES,
    EXIT_STATUS,   /* stopped, but not with status 0 */
    LEAKED,        /* memory, or an open descriptor, when the server ended */
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
/* For NEVER_READ, when other clients have been served before. */
#define HINT_NEVER_READ                                                                            \
    "The server has accepted this client, and has not called recv() for it once. What serves a "   \
    "new client, and why not this one? Its descriptor may have the number of an earlier client, "  \
    "about which something is still recorded."

#endif
