/* The faults of processes and threads: fork, pthread_create, kill. See faults.c. */
#include "drive/faults.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

/* Only forks of the server's first process count: with a double fork, each client takes a second
 * one in its child. */
static bool fork_fails_now(void)
{
    return getpid() == first_process && fails_now(&forks, fork_fails);
}

pid_t fork(void)
{
    INTERCEPT(fork);
    return fork_fails_now() ? -1 : real();
}

/* POSIX.1-2024: without the handlers of pthread_atfork. */
pid_t _Fork(void)
{
    INTERCEPT(_Fork);
    return fork_fails_now() ? -1 : real();
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

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument)
{
    INTERCEPT(pthread_create);
    if (thread_fails != 0 && fails_now(&threads, thread_fails))
        return EAGAIN;
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
    return wakes_spuriously() ? 0 : real(condition, mutex);
}

int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    INTERCEPT(cnd_wait);
    return wakes_spuriously() ? thrd_success : real(condition, mutex);
}

/* kill(-1, ...) signals every process of this user, the grader included. It happens when fork's -1
 * is taken for a child's pid. */
int kill(pid_t pid, int sig)
{
    INTERCEPT(kill);
    if (pid != -1)
        return real(pid, sig);
    dprintf(2, "kill(-1, %d) would signal every process of this user; it was not sent\n", sig);
    errno = EPERM;
    return -1;
}
