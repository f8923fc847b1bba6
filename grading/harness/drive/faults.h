/*
 * Preloaded into the server (LD_PRELOAD, ld.so(8)): makes rare events certain. The environment
 * variable FAULTS lists them, as "short_send=7,short_recv=100,eintr=2":
 *
 *   short_send=N   a send takes at most N bytes
 *   short_recv=N   a recv returns at most N bytes
 *   eintr=N        each function's first call of every N fails with EINTR. Each function has its
 *                  own count: with one for all, every other recv could fail forever.
 *   eintr_close    the first close of every two sockets closes it and fails with EINTR
 *   sigchld_after_eintr  a child ends just after a call has failed with EINTR
 *   no_socket, no_listen  socket or listen fails
 *   fork_fails=N   the Nth fork after the first accept fails with EAGAIN
 *   thread_fails=N the Nth pthread_create after the first accept fails with EAGAIN
 *   late_parent    fork returns in the parent only when the child has ended
 *   late_kill      kill returns only when the child that it signals has ended
 *   late_children=N  in the first N children, fork returns only when a signal has arrived
 *   imaginary_children=N  after the first client, accept returns a socket N times without a client;
 *                  the first N forks return a pid without a child
 *   early_threads  pthread_create returns only when the new thread has ended or is blocked
 *   late_ends      a thread whose client has ended goes on only when the first thread waits for a
 *                  condition variable for the second time; and one second after it has unlocked
 *                  a mutex
 *   late_threads=N no new thread starts before N clients are accepted and N threads created
 *   spurious_wakeup=N  of every N calls that wait for a condition variable, the first returns at
 *                  once: pthread_cond_wait(3p) allows it
 *   term_before_accept=N, term_after_accept=N  SIGTERM arrives just before, or just after, the
 *                  Nth accept: too early to interrupt a call, or too late
 *   term_before_wait=N  SIGTERM arrives just before the first select, poll or epoll_wait after
 *                  the Nth accept. While blocked it stays pending until a call unblocks it.
 *   late_after_stop=N  after a stop (SIGSTOP, SIGCONT), the first select, poll or epoll_wait that
 *                  finds something ready returns N milliseconds late, as on a busy machine
 *   pause_after_stop=N  after a stop, the next such call begins N milliseconds late: what becomes
 *                  ready meanwhile, it finds in one batch
 *   close_after_stop=N  after a stop, the first close of a socket by a thread that was stopped
 *                  while it waited takes N milliseconds, as on a busy machine
 *   timeout_elapses  the first select with a timeout returns 0 at once, and no time is left
 *   strict_select  recv is reported on standard error when it fails with EAGAIN for eight clients
 *                  that select has not reported
 *   small_buffers  each accepted socket has the smallest possible send buffer, and so has each that
 *                  is created after the first accept, to call a backend
 *   big_receive    each accepted socket has a large receive buffer from the beginning
 *   strict_close   a close that fails with EBADF is reported on standard error
 *   late_drain=N   the first read of an eventfd or a pipe after the Nth accept waits until there
 *                  has been another write to one
 *   socket_fails=N after the first accept, every Nth socket() fails with EMFILE
 *   accept_fails=N the Nth accept that would find a client fails with ECONNABORTED, as if that
 *                  client had left; the next one finds it
 *   term_after_recv=N  SIGTERM arrives just after the Nth recv of a client's bytes
 *   never_drained=N  the Nth accepted client, after its first bytes, always has more to send: each
 *                  recv is full, and a send takes everything, which goes nowhere; until the server
 *                  shuts the client's socket down, or receives SIGINT
 *
 * read and write are affected on sockets only: pipes, eventfds and signalfds are left alone.
 * EAGAIN is never injected: a server may take it to mean "drained".
 * The variants __recv_chk and so on are what _FORTIFY_SOURCE turns the plain names into.
 */
#ifndef DRIVE_FAULTS_H
#define DRIVE_FAULTS_H

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/select.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)
extern int fork_fails, thread_fails, late_threads, spurious_wakeup; /* as in FAULTS; 0: none */
extern int late_drain, socket_fails, accept_fails, never_drained;
extern bool small_buffers, strict_close, big_receive, eintr_close, no_socket, no_listen;
extern int early_threads, late_ends, timeout_elapses, strict_select;
extern int late_parent, late_children, late_kill, imaginary_children, sigchld_after_eintr;
extern int first_process;   /* the pid of the one that the library was loaded into */
extern atomic_int accepted; /* clients so far */

/* late_drain: before a read, and after a write. */
void hold_drain(int fd);
void count_wakeup(int fd);
/* accept_fails: must this accept fail, with errno set? */
bool accept_is_aborted(int listener);

long long milliseconds(void); /* of a clock that only goes forward */
bool is_socket(int fd);
void close_late(int fd); /* before a close */
/* never_drained is over if this is its client, which has been closed or shut down; -1: in any case.
 */
void end_endless(int fd);
bool stop_is_pending(void);
/* Ends the process, with a list of the faults, if FAULTS is wrong. */
void refuse_unknown(const char *faults);

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

/* Reports to the harness what the server did wrong: where the server itself cannot write, nor close
 * it; on standard error if no harness listens. */
__attribute__((format(printf, 1, 2))) void report_fault(const char *format, ...);

pid_t fork_with_faults(pid_t (*real)(void));
int accept_imaginary(void);
int child_ends_after_eintr(void); /* returns -1 */
#pragma GCC visibility pop

/* In call_recorder.so, if that is loaded as well. False: there is nowhere to record it. */
__attribute__((weak)) bool record_message(const char *text, size_t size);

/* Begins each function below: how often it was called, and the real function. */
#define INTERCEPT(NAME)                                                                            \
    __attribute__((unused)) static atomic_int calls;                                               \
    static __typeof__(NAME) *real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, #NAME)

#endif
