/* Reads files of /proc: proc(5). */
#ifndef CORE_PROCFS_H
#define CORE_PROCFS_H

#include <sys/types.h>

/* Reads a small file, whose path is `format` with a and b, into text. Returns its size; 0 or less
 * when it cannot be read. */
ssize_t read_proc(char *text, size_t size, const char *format, int a, int b);

/* A thread's state (R S D T Z ...) and its process's parent; '-' and -1 when it is gone. */
char read_task_state(pid_t pid, pid_t tid, pid_t *parent);

#endif
