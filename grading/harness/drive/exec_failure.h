/* Why a server could not be run, from a source that the server has no access to: what it prints
 * on standard error may be its own invention. */
#ifndef DRIVE_EXEC_FAILURE_H
#define DRIVE_EXEC_FAILURE_H

#include <stdbool.h>

/* Before the child is created that will exec. */
void forget_exec_failure(void);
/* In the child: exec, or what precedes it, has failed, and errno says why. */
void note_exec_failure(const char *what);
/* In the parent: a sentence, or NULL. */
const char *exec_failure(void);

/* Does valgrind run a program that is known to be correct? */
bool valgrind_works(void);

#endif
