/* What select, poll or epoll_wait is interested in, where that explains why the server waits or
 * does not. */
#ifndef EXPLAIN_INTEREST_LINES_H
#define EXPLAIN_INTEREST_LINES_H

#include "drive/server_process.h"
#include "observe/tasks.h"

/* After read_connections(); the tasks are those of read_named_tasks(). */
void add_interest_lines(struct server *s, const struct task *tasks, int n);
#endif
