/* What a thread in futex(2) waits for, as far as glibc's calls show it. */
#ifndef OBSERVE_LOCKS_H
#define OBSERVE_LOCKS_H

#include "observe/tasks.h"

/* The thread that holds the mutex which this one waits to lock, or 0: it waits for something else,
 * or this cannot be told. Both are among the `n` threads of the server. */
pid_t owner_of_mutex(const struct task *waiting, const struct task *tasks, int n);
/* The thread that this one waits for in pthread_join, or 0. */
pid_t thread_joined_by(const struct task *waiting, const struct task *tasks, int n);

#endif
