/* One call of the server to a backend: a connection, a line in, a line out. */
#ifndef DRIVE_BACKEND_CALL_H
#define DRIVE_BACKEND_CALL_H

#include "drive/event_loop.h"

#include <stddef.h>

enum backend_mode {
    ANSWERS,
    ANSWERS_WITH_EXTRA,    /* answers, and sends more after the newline */
    IN_PIECES,             /* each when the one before has been read, the newline alone */
    SLOW,                  /* answers after half a second, which is in time */
    HOLDS,                 /* answers when the check calls release() */
    HOLDS_HALF,            /* the same, but sends half of the answer at once */
    TRICKLES,              /* a byte now and then, and never a newline */
    HOLDS_THEN_CLOSES,     /* the same, and closes at once when the answer is sent */
    ANSWERS_AND_CLOSES,    /* ... without holding it */
    CLOSES,                /* closes when it has received the line */
    CLOSES_BEFORE_NEWLINE, /* closes when it has sent all but the newline */
    REFUSES,               /* connect fails */
    DOES_NOT_ACCEPT,       /* connect blocks */
};

enum { CALL_MAX_LINE = 4096 };

struct fixed_answer {
    const void *text; /* NULL: the usual answer */
    size_t size;
};

struct call {
    struct source source;
    const char *backend; /* its name */
    int port;            /* the server's end of this connection */
    enum backend_mode mode;
    const struct fixed_answer *fixed;
    char line[2 * CALL_MAX_LINE]; /* received so far */
    size_t size;
    bool complete; /* a whole line has been received */
    bool done;     /* the whole answer has been sent, or the call is closed */
    bool answered; /* the whole answer has been sent, and not been left unread */
    char *answer;
    size_t start, end;
    bool half_closed;     /* the server has sent FIN, and has not closed its socket */
    double looked;        /* when that was last found out */
    double began, next;   /* when the server connected; when the next piece is due, or 0 */
    double arrived, read; /* when the line was complete; when we saw it */
    double given_up;      /* when the server closed while the answer was held, or 0 */
    double accepted;
    double asleep;         /* asleep_while_waiting() when it was accepted */
    double closed;         /* when the server had closed it, or 0 */
    double asleep_then;    /* asleep_while_waiting() at that time */
    double accounted;      /* of the server's time, so many seconds, when it was accepted */
    double accounted_then; /* the same when it was closed, if that was late */
    struct call *link;
};

struct call *new_call(int fd, const char *backend, enum backend_mode mode,
                      const struct fixed_answer *fixed);
void free_call(struct call *c);

bool is_open(const struct call *c);
bool is_held(const struct call *c);
/* Nothing arrives when the server closes a socket of which it has shut down its side before. */
void notice_close(struct call *c);
/* Sends the next piece of an answer that is slow, trickles or is sent in pieces, if it is due. */
void send_due_piece(struct call *c);
/* Sends a held answer. With in_time, the machine is at fault if a correct server may have given
 * up. */
void release_call(struct call *c, bool in_time);
void check_held_time(const struct call *c);
/* When a check has failed: the machine is at fault if the answer was not sent in time. */
void excuse_late_answer(const struct call *c);
/* Whether a correct server may have given up by now a call that began then: after a second. */
bool may_be_given_up(double began);
/* Whether the server gave the call up before it had sent the request, a second or more after
 * `since`, and was not asleep in that second: on a busy machine, a correct server may. */
bool expired_unsent(const struct call *c, double since);

#endif
