/* Where in the student's source the server's threads are. */
#ifndef EXPLAIN_PLACES_H
#define EXPLAIN_PLACES_H

#include "drive/server_process.h"
#include "observe/source_lines.h"

enum { MAX_PLACE = SOURCE_LINES_SIZE };

/* Finds out where these threads of a server are. Threads of a server under valgrind are not known:
 * the tool runs their code in its own way. */
void find_places(struct server *s, const struct task *tasks, int count);

/* What was found about one of them, as "serve_client, server.c:110, called from main,
 * server.c:144", or "". */
const char *place_of_task(int which);

/* The same for the coroutines of a server whose threads are these; returns how many there are. */
int find_coroutine_places(struct server *s, const struct task *tasks, int count);
const char *place_of_coroutine(int which);
/* The client that a coroutine serves, as far as its descriptors show, or NULL. */
const char *client_of_coroutine(int which);

/* The same for where a signal killed the server's first process (which: 0), or another one of its
 * processes (1 to MAX_CRASHES - 1); "" if it was none of these signals: SIGSEGV, SIGBUS, SIGILL,
 * SIGFPE, SIGABRT. */
const char *place_of_crash(const struct server *s, int which, int *signal);

#endif
