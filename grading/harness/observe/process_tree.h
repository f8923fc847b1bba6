/* All processes that the current check has started. */
#ifndef OBSERVE_PROCESS_TREE_H
#define OBSERVE_PROCESS_TREE_H

#include <sys/types.h>

enum { MAX_IN_TREE = 8192 };

struct process {
    pid_t pid, parent;
};

/* Returns how many, zombies included, at most MAX_IN_TREE. Where the kernel does not list the
 * children of a process, these are all processes of the machine. */
int read_process_tree(struct process *all);

#endif
