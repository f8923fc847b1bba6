/* Runs an untrusted server in namespaces of its own. */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

/* From now on servers run in a sandbox. The file holds bwrap's arguments, each ending with a NUL;
 * the other files (a list that ends with NULL) are visible in it, read-only. */
void use_sandbox(const char *arguments_file, const char *const *files);
bool sandbox_is_used(void);

/* fork(), but the child is in a new sandbox. The child must exec: nothing that this process had
 * before is visible there. */
pid_t fork_into_sandbox(void);

#endif
