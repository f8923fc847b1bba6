/* What else /proc, the server's memory and the backends show about its state. */
#ifndef EXPLAIN_STATE_LINES_H
#define EXPLAIN_STATE_LINES_H

#include "drive/server_process.h"

/* Adds a line for each thing that is remarkable. After read_connections(), if the server runs. */
void add_state_lines(struct server *s);

#endif
