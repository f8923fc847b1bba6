/* Processes of a server whose parent has exited. */
#ifndef OBSERVE_ORPHANS_H
#define OBSERVE_ORPHANS_H

#include "observe/process_tree.h"

#include <stdbool.h>

/* Is this process, which does not descend from `root`, one of that server's all the same, and still
 * running? Whatever group or session it has joined. */
bool is_orphan_of(pid_t root, const struct process *p);

#endif
