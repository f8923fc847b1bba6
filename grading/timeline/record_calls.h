/* What the two parts of the preloaded library share. */
#ifndef TIMELINE_RECORD_CALLS_H
#define TIMELINE_RECORD_CALLS_H

#include "recorded_calls.h"

#include <stdbool.h>

#pragma GCC visibility push(hidden)

bool is_recorded(void);

/* A call begins; fd is -1 if it has none. frame: __builtin_frame_address(0) of the intercepting
 * function. Returns NULL if it is not recorded. */
struct recorded_call *begin_call(const char *function, int fd, int64_t size, void *frame);
/* Records what it returned, and returns that. errno stays as it is. */
int64_t end_call(struct recorded_call *call, int64_t result);

/* Something that happened: a thread or a process has begun, or is about to end. */
void record_event(const char *name, void *frame);
/* In a process that has just been forked. */
void record_child(void *frame);

#pragma GCC visibility pop

#endif
