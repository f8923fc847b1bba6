/* What this machine allows. Too little of it is the machine's failure, never the server's. */
#ifndef CORE_MACHINE_LIMITS_H
#define CORE_MACHINE_LIMITS_H

/* The hard limit of descriptors of a process. */
int descriptor_limit(void);

/* A check that needs more than there is ends with an error that says `why`. */
void need_descriptors(int n, const char *why);
void need_processes(int n, const char *why); /* and threads: the kernel counts both */
void need_backlog(int n, const char *why);   /* of a listening socket */
/* No port was available for a client. */
_Noreturn void no_port_available(void);

/* What most checks need, and does not exist; NULL if all of it does. */
const char *limits_problem(void);

#endif
