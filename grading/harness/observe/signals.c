#include "observe/signals.h"
#include "core/procfs.h"

#include <stdlib.h>
#include <string.h>

static bool read_set(const char *status, const char *name, uint64_t *set)
{
    const char *found = strstr(status, name);
    if (found == NULL)
        return false;
    *set = strtoull(found + strlen(name), NULL, 16);
    return true;
}

bool read_signals(pid_t pid, pid_t tid, struct signals *signals)
{
    char status[4096];
    return read_proc(status, sizeof status, "/proc/%d/task/%d/status", pid, tid) > 0 &&
           read_set(status, "\nSigPnd:", &signals->pending) &&
           read_set(status, "\nShdPnd:", &signals->process_pending) &&
           read_set(status, "\nSigBlk:", &signals->blocked) &&
           read_set(status, "\nSigIgn:", &signals->ignored) &&
           read_set(status, "\nSigCgt:", &signals->handled);
}

bool contains_signal(uint64_t set, int signal)
{
    return (set >> (signal - 1) & 1) != 0;
}
