/* What the backends received and answered in a search. */
#ifndef EXPLAIN_BACKEND_LINES_H
#define EXPLAIN_BACKEND_LINES_H

#include "drive/server_process.h"

/* A line for each call that is not finished, or for the last call at each backend. After
 * read_connections(). */
void add_backend_lines(struct server *s);

#endif
