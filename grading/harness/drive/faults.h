/* What the parts of the preloaded library share: faults.c and faults_processes.c. Hidden, so that a
 * server's own variables of these names stay apart. */
#ifndef DRIVE_FAULTS_H
#define DRIVE_FAULTS_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)
extern int fork_fails, thread_fails, late_threads, spurious_wakeup; /* as in FAULTS; 0: none */
extern int late_drain, socket_fails, accept_fails;
extern bool small_buffers;
extern int first_process;   /* the pid of the one that the library was loaded into */
extern atomic_int accepted; /* clients so far */

/* late_drain: before a read, and after a write. */
void hold_drain(int fd);
void count_wakeup(int fd);
/* accept_fails: must this accept fail, with errno set? */
bool accept_is_aborted(int listener);
#pragma GCC visibility pop

/* Begins each function below: how often it was called, and the real function. */
#define INTERCEPT(NAME)                                                                            \
    __attribute__((unused)) static atomic_int calls;                                               \
    static __typeof__(NAME) *real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, #NAME)

#endif
