/* The system calls in which a server may be blocked. */
#ifndef OBSERVE_SYSCALL_TABLE_H
#define OBSERVE_SYSCALL_TABLE_H

#include <stdbool.h>

enum call_kind {
    CALL_OTHER,
    CALL_READS,
    CALL_WRITES,
    CALL_POLLS, /* waits for several descriptors */
    CALL_WAITS, /* for something else: its first argument is not a descriptor */
};

/* NULL for -1 and for calls that are not in the list. */
const char *call_name(long number);
enum call_kind call_kind(long number);
/* epoll_wait's first argument is a descriptor; those of select and poll are not. */
bool is_epoll_wait(long number);

#endif
