/* Can this machine grade at all? */
#ifndef CORE_PREFLIGHT_H
#define CORE_PREFLIGHT_H

/* Returns NULL, or why it cannot. */
const char *machine_problem(void);

#endif
