/* Bytes that wait: appended at the end, consumed at the start. */
#ifndef DRIVE_BUFFER_H
#define DRIVE_BUFFER_H

#include <stddef.h>

struct buffer {
    char *data;
    size_t start, end, capacity;
};

size_t buffered(const struct buffer *b);
/* Makes room for `size` more bytes and returns where they go; adding them to `end` is up to the
 * caller. */
char *reserve(struct buffer *b, size_t size);
void append(struct buffer *b, const void *data, size_t size);

#endif
