/*
 * Which hint a failed check shows. A hint is for the step that failed, and true of the way in which
 * it failed: whoever reads about deadlines when the server has crashed looks in the wrong place.
 */
#ifndef CORE_HINTS_H
#define CORE_HINTS_H

#include "core/failures.h"

#include <stdbool.h>

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

bool server_crashed(void);

/* Of the failure in the report: the hint, and the commands that show it. Allocated, or NULL. */
struct check;
const char *hint_for(const struct check *check);
char *commands_for(const struct check *check);

#endif
