/* Recorded calls in words: "recv(4096) = 5, send(5) = EPIPE, 1,000 times". */
#ifndef EXPLAIN_CALL_TEXT_H
#define EXPLAIN_CALL_TEXT_H

#include "drive/call_log.h"

#include <stdbool.h>
#include <stddef.h>

/* Appends to a text of this size. */
void append_text(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Appends one call; `in_it` is what follows if it has not returned. */
void append_call(char *text, size_t size, const struct recorded_call *c, const char *in_it);
/* What the first ready descriptor was ready for: "EPOLLIN | EPOLLHUP"; "readable", for select. */
const char *events_text(const struct recorded_call *c);

/* Of the functions that take or give bytes. */
bool is_receiving(const struct recorded_call *c);
bool is_sending_call(const struct recorded_call *c);

#endif
