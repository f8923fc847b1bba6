/* Can this machine grade at all? */
#ifndef CORE_MACHINE_H
#define CORE_MACHINE_H

/* Returns NULL, or why it cannot. */
const char *machine_problem(void);

#endif
