/* How the evidence names the server's threads, or processes: "thread 2". */
#ifndef EXPLAIN_TASK_NAMES_H
#define EXPLAIN_TASK_NAMES_H

#include "observe/tasks.h"

/* Reads the server's threads anew, into an array that lives until the next call. */
int read_named_tasks(pid_t root, const struct task **tasks);
/* "thread 2"; in a server with several processes "process 2". Of those read last; NULL if it is
 * none of them. */
const char *task_name(pid_t tid);
bool has_several_processes(void);

/* What one of them in futex waits for: "waits for a mutex that thread 3 holds". NULL: not known. */
const char *describe_lock(const struct task *task);

#endif
