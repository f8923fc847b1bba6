/* Labs 5 to 8: rare events, under memcheck. */
#ifndef MEMORY_STEPS_H
#define MEMORY_STEPS_H

/* An answer that does not fit behind pending output, a socket() that fails, SIGTERM in the middle
 * of a batch: each with a server of its own, which must leave nothing behind. */
void expect_clean_memory_in_rare_cases(void);

#endif
