/* The faults that decide which of two threads comes first. See faults.h. */
#include "drive/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int early_threads, late_ends;

static atomic_int waits_of_main; /* calls of the first thread that wait for a condition variable */

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Naps take longer on a busy machine: limits are those of a clock. */
long long milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

/* ---- early_threads ----------------------------------------------------------------------- */

static bool is_blocked(pid_t tid)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? 0 : read(fd, text, sizeof text - 1);
    if (fd != -1)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'S';
}

/* Returns when the new thread has ended or is blocked. Asleep once is not enough: it may wait for
 * a lock of the kernel's. */
void wait_for_early_thread(struct early_start *start)
{
    enum { MAX_MILLISECONDS = 3000, IN_A_ROW = 5 };
    int saved = errno, blocked = 0;
    long long limit = milliseconds() + MAX_MILLISECONDS;
    while (milliseconds() < limit && blocked < IN_A_ROW && !start->has_ended) {
        blocked = start->tid != 0 && is_blocked(start->tid) ? blocked + 1 : 0;
        nap();
    }
    release_early_start(start);
    errno = saved;
}

/* Both the creator and the thread use it; the second one to leave frees it. */
void release_early_start(struct early_start *start)
{
    if (atomic_fetch_sub(&start->users, 1) == 1)
        free(start);
}

/* ---- late_ends --------------------------------------------------------------------------- */

static _Thread_local bool is_ending;

void main_waits(void)
{
    if (late_ends != 0 && gettid() == first_process)
        atomic_fetch_add(&waits_of_main, 1);
}

/* A thread whose client has ended, or whose socket was shut down, goes on only when the first
 * thread waits for the second time; if it does not, for two seconds. */
void end_late(void)
{
    if (late_ends == 0 || getpid() != first_process || gettid() == first_process)
        return;
    is_ending = true;
    long long limit = milliseconds() + 2000;
    while (milliseconds() < limit && waits_of_main < 2)
        nap();
}

/* Such a thread has left the lock: whatever it still has to do comes too late for main. */
void unlock_late(void)
{
    if (!is_ending)
        return;
    is_ending = false;
    nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
}
