/* The faults of creating processes and threads, and of condition variables. See faults.h. */
#include "drive/faults.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static atomic_int forks, threads;

/* Is this call, counted from the first accept on, the one that fails? */
static bool fails_now(atomic_int *calls, int which)
{
    if (which == 0 || accepted == 0 || atomic_fetch_add(calls, 1) + 1 != which)
        return false;
    errno = EAGAIN;
    return true;
}

static bool fork_fails_now(void)
{
    return getpid() == first_process && fails_now(&forks, fork_fails);
}

pid_t fork(void)
{
    INTERCEPT(fork);
    return fork_fails_now() ? -1 : fork_with_faults(real);
}

/* POSIX.1-2024: without the handlers of pthread_atfork. */
pid_t _Fork(void)
{
    INTERCEPT(_Fork);
    return fork_fails_now() ? -1 : fork_with_faults(real);
}

/* Without other flags it is fork, but that the child runs a function, on a stack of its own; here,
 * on its copy of the caller's. */
int clone(int (*start)(void *), void *stack, int flags, void *argument, ...)
{
    INTERCEPT(clone);
    if (flags == SIGCHLD) {
        pid_t pid = _Fork(); /* which is recorded, and has its faults */
        if (pid == 0)
            _exit(start(argument));
        return pid;
    }
    if ((flags & CLONE_VM) == 0 && fork_fails_now())
        return -1;
    va_list more;
    va_start(more, argument);
    pid_t *parent_tid = va_arg(more, pid_t *);
    void *tls = va_arg(more, void *);
    pid_t *child_tid = va_arg(more, pid_t *);
    va_end(more);
    return real(start, stack, flags, argument, parent_tid, tls, child_tid);
}

struct late_start {
    void *(*start)(void *);   /* pthread_create's, or */
    int (*start_c11)(void *); /* thrd_create's */
    void *argument;
};

/* Waits until enough threads have been created; if fewer are, for five seconds. */
static struct late_start wait_to_start(void *argument)
{
    struct late_start late = *(struct late_start *)argument;
    free(argument);
    for (int i = 0; i < 5000 && (accepted < late_threads || threads < late_threads); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return late;
}

static void *start_late(void *argument)
{
    struct late_start late = wait_to_start(argument);
    return late.start(late.argument);
}

static int start_late_c11(void *argument)
{
    struct late_start late = wait_to_start(argument);
    return late.start_c11(late.argument);
}

static void note_end(void *start)
{
    ((struct early_start *)start)->has_ended = true;
    release_early_start(start);
}

static void *start_early(void *argument)
{
    struct early_start *early = argument;
    void *result;
    early->tid = gettid();
    pthread_cleanup_push(note_end, early);
    result = early->start(early->argument);
    pthread_cleanup_pop(1);
    return result;
}

static int start_early_c11(void *argument)
{
    struct early_start *early = argument;
    int result;
    early->tid = gettid();
    pthread_cleanup_push(note_end, early);
    result = early->start_c11(early->argument);
    pthread_cleanup_pop(1);
    return result;
}

static struct early_start *new_early_start(void *argument)
{
    struct early_start *early = calloc(1, sizeof *early);
    if (early != NULL)
        *early = (struct early_start){.argument = argument, .users = 2};
    return early;
}

static int create_early(__typeof__(pthread_create) *real, pthread_t *thread,
                        const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    struct early_start *early = new_early_start(argument);
    if (early == NULL)
        return EAGAIN;
    early->start = start;
    int error = real(thread, attributes, start_early, early);
    if (error != 0)
        free(early);
    else
        wait_for_early_thread(early);
    return error;
}

static int create_early_c11(__typeof__(thrd_create) *real, thrd_t *thread, thrd_start_t start,
                            void *argument)
{
    struct early_start *early = new_early_start(argument);
    if (early == NULL)
        return thrd_nomem;
    early->start_c11 = start;
    int result = real(thread, start_early_c11, early);
    if (result != thrd_success)
        free(early);
    else
        wait_for_early_thread(early);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    INTERCEPT(pthread_create);
    if (thread_fails != 0 && fails_now(&threads, thread_fails))
        return EAGAIN;
    if (early_threads != 0)
        return create_early(real, thread, attributes, start, argument);
    if (late_threads == 0)
        return real(thread, attributes, start, argument);
    struct late_start *late = malloc(sizeof *late);
    if (late == NULL)
        return EAGAIN;
    *late = (struct late_start){.start = start, .argument = argument};
    int error = real(thread, attributes, start_late, late);
    atomic_fetch_add(&threads, 1);
    return error;
}

int thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
    INTERCEPT(thrd_create);
    if (thread_fails != 0 && fails_now(&threads, thread_fails))
        return thrd_error;
    if (early_threads != 0)
        return create_early_c11(real, thread, start, argument);
    if (late_threads == 0)
        return real(thread, start, argument);
    struct late_start *late = malloc(sizeof *late);
    if (late == NULL)
        return thrd_nomem;
    *late = (struct late_start){.start_c11 = start, .argument = argument};
    int result = real(thread, start_late_c11, late);
    atomic_fetch_add(&threads, 1);
    return result;
}

static bool wakes_spuriously(void)
{
    static atomic_int calls;
    return spurious_wakeup != 0 && atomic_fetch_add(&calls, 1) % spurious_wakeup == 0;
}

/* By version: on x86-64 the unversioned name is that of an older, smaller pthread_cond_t. */
int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    static int (*real)(pthread_cond_t *, pthread_mutex_t *);
    if (real == NULL)
        *(void **)&real = dlvsym(RTLD_NEXT, "pthread_cond_wait", "GLIBC_2.3.2");
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_wait");
    main_waits();
    return wakes_spuriously() ? 0 : real(condition, mutex);
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    INTERCEPT(cnd_wait);
    main_waits();
    return wakes_spuriously() ? thrd_success : real(condition, mutex);
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    INTERCEPT(pthread_mutex_unlock);
    int error = real(mutex);
    unlock_late();
    return error;
}

int mtx_unlock(mtx_t *mutex)
{
    INTERCEPT(mtx_unlock);
    int result = real(mutex);
    unlock_late();
    return result;
}
