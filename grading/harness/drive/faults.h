/* What the parts of the preloaded library share: faults.c and faults_*.c. Hidden, so that a
 * server's own variables of these names stay apart. */
#ifndef DRIVE_FAULTS_H
#define DRIVE_FAULTS_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/select.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)
extern int fork_fails, thread_fails, late_threads, spurious_wakeup; /* as in FAULTS; 0: none */
extern bool strict_close, big_receive, eintr_close, no_socket, no_listen;
extern int early_threads, late_ends, timeout_elapses, strict_select;
extern int late_parent, late_children, late_kill, imaginary_children, sigchld_after_eintr;
extern int first_process;   /* the pid of the one that the library was loaded into */
extern atomic_int accepted; /* clients so far */

long long milliseconds(void); /* of a clock that only goes forward */
bool is_socket(int fd);
void end_endless(int fd); /* never_drained */

/* How a thread of early_threads begins. */
struct early_start {
    void *(*start)(void *);   /* pthread_create's, or */
    int (*start_c11)(void *); /* thrd_create's */
    void *argument;
    atomic_int users, tid;
    atomic_bool has_ended;
};
void wait_for_early_thread(struct early_start *start);
void release_early_start(struct early_start *start);
void main_waits(void);
void end_late(void);
void unlock_late(void);

bool select_times_out(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout);
int note_reported(int n, const fd_set *in, const fd_set *out, int result); /* returns result */
void note_received(int fd, ssize_t received);

pid_t fork_with_faults(pid_t (*real)(void));
int accept_imaginary(void);
int child_ends_after_eintr(void); /* returns -1 */
#pragma GCC visibility pop

/* Begins each function below: how often it was called, and the real function. */
#define INTERCEPT(NAME)                                                                            \
    __attribute__((unused)) static atomic_int calls;                                               \
    static __typeof__(NAME) *real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, #NAME)

#endif
