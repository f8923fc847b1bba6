/* What a check reports: what it did, what it expected, what it received, and the evidence. */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include "core/failures.h"

#include <stdbool.h>

struct server; /* opaque in this layer */

enum status { UNFINISHED, PASSED, FAILED, ERROR };

enum { ASKED_SIZE = 8192 };

/* In memory that outlives the check's process. */
struct report {
    enum status status;
    char asked[ASKED_SIZE]; /* one sentence per line */
    char expected[4096];
    char received[4096];
    char evidence[8192];        /* lines */
    const char *hint, *by_hand; /* for the current step, instead of the check's; literals */
    const char *hint_if[FAILURES];
    enum failure failure;
    bool server_ended;
    bool can_be_traced; /* its last server did not run under a tool: grading/trace can draw it */
    int killed_by;      /* the signal that ended it, or 0 */
    bool was_too_slow;  /* ERROR: the machine was; the check may succeed when it is less busy */
};

extern struct report *report; /* the current check's */

/* Adds a sentence to what the server was asked to do. Most functions of the harness do so. */
__attribute__((format(printf, 1, 2))) void asked(const char *what, ...);
/* Many steps that are worth one line: what was asked before them, and how to return to it. */
struct asked_text {
    char text[ASKED_SIZE];
};
struct asked_text save_asked(void);
void restore_asked(const struct asked_text *saved);
void clear_asked(void);

/* Adds a line to the evidence, also of a check that passes. */
__attribute__((format(printf, 1, 2))) void evidence(const char *line, ...);

/* The check failed. `s` is the server to inspect, or NULL. Neither text ends with a full stop. */
__attribute__((noreturn, format(printf, 3, 4))) void
fail_check(struct server *s, const char *expected, const char *received, ...);
/* Called by fail_check: adds evidence about this server. */
extern void (*evidence_hook)(struct server *s);
/* fail_check will call this function, which calls machine_too_slow if it was not the server
 * that failed. Two at most. */
void add_excuse(void (*excuse)(void));
/* Called when the body of a check has returned: it may fail the check after all. */
extern void (*passed_hook)(void);

/* The machine or the harness failed: the check has no score. */
__attribute__((noreturn, format(printf, 1, 2))) void grader_error(const char *what, ...);
/* The same, because this machine is too slow: the check is run once more, alone. */
__attribute__((noreturn, format(printf, 1, 2))) void machine_too_slow(const char *what, ...);

#endif
