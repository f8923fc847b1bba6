/* Runs work so that no process outlives it, whichever process is killed, and when. */
#ifndef CORE_SUPERVISOR_H
#define CORE_SUPERVISOR_H

/* Runs work() in a grandchild and returns its result. Whatever happens to this process, to the
 * supervisor or to work() itself, every process descended from work() is killed and reaped. */
int run_supervised(int (*work)(void));
/* Kills all descendants of this process, which must be a subreaper. */
void kill_descendants(void);

#endif
