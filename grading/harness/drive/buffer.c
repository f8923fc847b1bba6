#include "drive/buffer.h"
#include "core/report.h"

#include <stdlib.h>
#include <string.h>

size_t buffered(const struct buffer *b)
{
    return b->end - b->start;
}

char *reserve(struct buffer *b, size_t size)
{
    if (b->capacity - b->end < size) {
        memmove(b->data, b->data + b->start, b->end - b->start);
        b->end -= b->start;
        b->start = 0;
    }
    if (b->capacity - b->end < size) {
        b->capacity = 2 * b->capacity + size;
        b->data = realloc(b->data, b->capacity);
        if (b->data == NULL)
            grader_error("out of memory");
    }
    return b->data + b->end;
}

void append(struct buffer *b, const void *data, size_t size)
{
    memcpy(reserve(b, size), data, size);
    b->end += size;
}
