/* Labs 5 to 8: rare events, under memcheck. */
#ifndef MEMORY_STEPS_H
#define MEMORY_STEPS_H

/* Parts of `memory`: SIGTERM in the middle of a batch, a socket() that fails, an answer that does
 * not fit behind pending output. Each has a server of its own, which must leave nothing behind. */
void stop_within_batch(void);
void search_without_user_socket(void);
void search_without_stock_socket(void);
void answer_into_full_buffer(void);

#endif
