/* Steps that several checks of labs 6 to 8 take: lines and searches. */
#ifndef SEARCH_STEPS_H
#define SEARCH_STEPS_H

#include "../harness.h"

enum { MAX_LINE = 4096 };

extern const char *const backend_names[BACKENDS];

/* The answer to a search for these words, when all backends answer. Static. */
const char *answer_to(const char *words);
/* Sends the search, and receives that answer. */
void expect_search(struct peer *p, const char *words);
/* "error: user backend failed" */
void expect_error(struct peer *p, enum backend b, const char *what);

/* `size` times the same letter, then "\n". Lives until the check ends. */
char *line_of(char letter, size_t size);

/* While calls are held, echoes continue, on every thread that serves clients, and the loops wait in
 * epoll_wait. */
void expect_echoes_while_held(struct server *s, struct peer *const *clients, int n);

#endif
