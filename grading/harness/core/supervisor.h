/* Runs work so that no process outlives it, whichever process is killed, and when. */
#ifndef CORE_SUPERVISOR_H
#define CORE_SUPERVISOR_H

#include <stdbool.h>
#include <sys/types.h>

/* Runs work() in a grandchild and returns its result. Whatever happens to this process, to the
 * supervisor or to work() itself, every process descended from work() is killed and reaped. */
int run_supervised(int (*work)(void));
/* Kills all descendants of this process, which must be a subreaper. */
void kill_descendants(void);
/* The same, but for those of its children for which is_spared() is true, and their descendants. */
void kill_unless(bool (*is_spared)(pid_t child));

#endif
