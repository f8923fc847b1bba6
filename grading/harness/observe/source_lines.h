/* Where in its source a thread was: the functions and lines on its stack, found by libdw. */
#ifndef OBSERVE_SOURCE_LINES_H
#define OBSERVE_SOURCE_LINES_H

#include "observe/stack.h"

enum { SOURCE_LINES_SIZE = 400, MAX_DESCRIPTORS_FOUND = 8 };

struct source_lines {
    char text[SOURCE_LINES_SIZE];
    /* Of a coroutine: descriptors that its functions were called with. */
    int descriptors[MAX_DESCRIPTORS_FOUND], descriptor_count;
};

/* For each stack its innermost functions in the program's own source, as "serve_client,
 * server.c:110, called from main, server.c:144"; "" if they cannot be found. Valid until the next
 * call; NULL if nothing can be found, which takes at most a few seconds. */
const struct source_lines *find_source_lines(const char *program, const struct stack *stacks,
                                             int count);

#endif
