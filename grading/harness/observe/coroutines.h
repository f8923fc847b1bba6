/* The coroutines of a process that are suspended: stacks on which no thread runs, each below the
 * stack pointer that its program has stored. Whatever is uncertain is left out. */
#ifndef OBSERVE_COROUTINES_H
#define OBSERVE_COROUTINES_H

#include "observe/stack.h"

enum { MAX_COROUTINES = 1200 };

/* Returns how many it has found. `tasks`: the threads of the process, all asleep. The stacks are
 * valid until the next call. */
int find_coroutines(pid_t pid, const char *program, const char *modules, const struct task *tasks,
                    int count, struct stack *stacks);

#endif
