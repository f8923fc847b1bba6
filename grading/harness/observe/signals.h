/* The signals of a thread: pending, blocked, ignored, with a handler; proc_pid_status(5). */
#ifndef OBSERVE_SIGNALS_H
#define OBSERVE_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct signals {
    uint64_t pending;         /* for this thread */
    uint64_t process_pending; /* for any thread of its process */
    uint64_t blocked, ignored, handled;
};

/* False when they cannot be read: the thread is gone. */
bool read_signals(pid_t pid, pid_t tid, struct signals *signals);
bool contains_signal(uint64_t set, int signal);

#endif
