/* Signals that are pending and blocked, and what became of the one that should stop the server. */
#ifndef EXPLAIN_SIGNAL_LINES_H
#define EXPLAIN_SIGNAL_LINES_H

#include "drive/server_process.h"
#include "observe/tasks.h"

/* Of a server that runs; the tasks are those of read_named_tasks(). */
void add_signal_lines(const struct server *s, const struct task *tasks, int n);
/* Of a server that has ended. */
void add_signal_that_ended(const struct server *s);

#endif
