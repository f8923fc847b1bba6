/* Why a loop spins: what is ready all the time. */
#ifndef EXPLAIN_SPIN_LINES_H
#define EXPLAIN_SPIN_LINES_H

#include "drive/server_process.h"

/* Only of a server that does not sleep now. Takes some milliseconds. */
void add_spin_lines(struct server *s);

#endif
