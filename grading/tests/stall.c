/* stall - makes the whole machine stand still now and then, until it is killed, as a virtual
 * machine does when its host is busy: for up to two seconds, nothing else gets a CPU. In between,
 * all goes on for up to three seconds. Needs root. If there is a limit to the CPU time of real-time
 * tasks (sched_rt_runtime_us, usually 95 %), each second of a stall is interrupted for a moment. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_STALL = 2000, MAX_PAUSE = 3000 }; /* milliseconds */

static atomic_llong stalled_until; /* milliseconds, as now() returns them */

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void pause_for(long long milliseconds)
{
    nanosleep(
        &(struct timespec){.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000},
        NULL);
}

/* The threads that it creates inherit this. */
static void become_real_time(int priority)
{
    if (sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = priority}) == 0)
        return;
    fprintf(stderr, "stall: sched_setscheduler: %s\n", strerror(errno));
    exit(1);
}

static void *occupy(void *cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)(intptr_t)cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    for (;;) {
        while (now() < stalled_until)
            ;
        pause_for(2);
    }
}

int main(void)
{
    become_real_time(1);
    cpu_set_t usable;
    sched_getaffinity(0, sizeof usable, &usable);
    for (intptr_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        pthread_t thread;
        if (CPU_ISSET((size_t)cpu, &usable) &&
            pthread_create(&thread, NULL, occupy, (void *)cpu) != 0)
            return 1;
    }
    become_real_time(2); /* before the threads that occupy the CPUs */
    for (;;) {
        pause_for(rand() % MAX_PAUSE);
        double part = (double)rand() / RAND_MAX;
        stalled_until = now() + (long long)(MAX_STALL * part * part); /* mostly for a short time */
        pause_for(stalled_until - now());
    }
}
