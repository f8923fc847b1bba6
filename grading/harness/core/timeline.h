/* grading/trace --check: what a check's clients and backends do, as JSON lines for
 * timeline/check_run.py. Without it, these functions do nothing. */
#ifndef CORE_TIMELINE_H
#define CORE_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>

/* In the process that runs the check, or a part of it. */
void begin_timeline(const char *check);

/* The check has passed or failed. */
void end_timeline(void);

/* A server is about to be started. Returns the file in which its calls are to be recorded, and the
 * library that records them; or NULL. The texts stay valid. Under a tool they are not recorded. */
const char *next_timeline_file(bool recorded);
const char *timeline_library(void);

/* Whether the calls of servers are recorded, and whether this mapped file is such a recording. */
bool is_recording(void);
bool is_timeline_file(const char *path);

/* "connects", "sends", "receives" ..., at this moment; data may be NULL. */
void note_client(const char *name, int port, const char *what, const void *data, size_t size);
/* "is asked", "answers" */
void note_backend(const char *name, int port, const char *what, const void *data, size_t size);

#endif
