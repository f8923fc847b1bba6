/* Test data, and how it is quoted in a report. */
#ifndef CORE_TEST_DATA_H
#define CORE_TEST_DATA_H

#include <stddef.h>

/* "hello\n" as a C string literal, including its last byte; of data that does not fit on a line of
 * the screen, the part around offset `around`. The result lives until the check ends. */
const char *quoted(const void *data, size_t size, size_t around);

enum { QUOTED_SIZE = 56 }; /* longer data is described by its size as well */

/* Text without NUL bytes, in lines of 64 bytes, that does not repeat within 80 MB: `size` bytes
 * from `offset` on. long_text() returns its beginning, to be freed by the caller. */
void fill_text(char *text, size_t offset, size_t size);
char *long_text(size_t size);

#endif
