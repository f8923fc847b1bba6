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

pid_t fork(void)
{
    INTERCEPT(fork);
    return fails_now(&forks, fork_fails) ? -1 : real();
}

/* POSIX.1-2024: without the handlers of pthread_atfork. */
pid_t _Fork(void)
{
    INTERCEPT(_Fork);
    return fails_now(&forks, fork_fails) ? -1 : real();
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
