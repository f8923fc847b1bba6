#include "core/machine_limits.h"
#include "core/procfs.h"
#include "core/report.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
    MIN_DESCRIPTORS = 1024, /* coroutines_end has 400 clients */
    MIN_PROCESSES = 160,    /* threads_end has 50 clients, and other checks run at the same time */
    MIN_BACKLOG = 64,       /* out_of_descriptors has 40 clients */
    MIN_PORTS = 3000,       /* a port is in use for a minute after its client has left */
};

/* 1024 as "1,024" */
static const char *with_comma(int n)
{
    static char text[24];
    if (n < 1000)
        snprintf(text, sizeof text, "%d", n);
    else
        snprintf(text, sizeof text, "%d,%03d", n / 1000, n % 1000);
    return text;
}

static int limit_of(int resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) == -1 || limit.rlim_max > 1000000)
        return 1000000;
    return (int)(resource == RLIMIT_NPROC ? limit.rlim_cur : limit.rlim_max);
}

int descriptor_limit(void)
{
    return limit_of(RLIMIT_NOFILE);
}

static void describe_descriptors(char *text, size_t size)
{
    snprintf(text, size, "this machine allows %s descriptors (ulimit -Hn)",
             with_comma(descriptor_limit()));
}

void need_descriptors(int n, const char *why)
{
    char problem[100];
    describe_descriptors(problem, sizeof problem);
    if (descriptor_limit() < n)
        grader_error("%s; the check needs %s: %s", problem, with_comma(n), why);
}

static void *wait_for_release(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

/* How many of n processes and threads there can be: limits (ulimit -u, pids.max) also count those
 * of others, which cannot always be seen. So it creates them, as threads, which cost the least. */
static int processes_possible(int n)
{
    enum { MOST = 1000 };
    static pthread_t threads[MOST];
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_attr_t attributes;
    int possible = 0;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN);
    pthread_mutex_lock(&lock);
    while (possible < n && possible < MOST &&
           pthread_create(&threads[possible], &attributes, wait_for_release, &lock) == 0)
        possible++;
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < possible; i++)
        pthread_join(threads[i], NULL);
    pthread_attr_destroy(&attributes);
    return possible;
}

static void describe_processes(char *text, size_t size, int possible)
{
    int limit = limit_of(RLIMIT_NPROC);
    char option[40] = "cgroup's pids.max";
    if (limit < 1000000)
        snprintf(option, sizeof option, "ulimit -u: %d", limit);
    snprintf(text, size, "this machine allows %d more processes and threads (%s)", possible,
             option);
}

void need_processes(int n, const char *why)
{
    char problem[100];
    n += MIN_PROCESSES;
    int possible = processes_possible(n);
    describe_processes(problem, sizeof problem, possible);
    if (possible < n)
        grader_error("%s; the check needs %d: %s", problem, n, why);
}

static int read_backlog_limit(void)
{
    char text[32];
    int limit;
    return read_proc(text, sizeof text, "/proc/sys/net/core/somaxconn", 0, 0) > 0 &&
                   sscanf(text, "%d", &limit) == 1
               ? limit
               : INT_MAX;
}

void need_backlog(int n, const char *why)
{
    int limit = read_backlog_limit();
    if (limit < n)
        grader_error("this machine allows %d connections in a backlog (net.core.somaxconn); the "
                     "check needs %d: %s",
                     limit, n, why);
}

static bool read_ports(int *first, int *last)
{
    char text[64];
    return read_proc(text, sizeof text, "/proc/sys/net/ipv4/ip_local_port_range", 0, 0) > 0 &&
           sscanf(text, "%d %d", first, last) == 2;
}

_Noreturn void no_port_available(void)
{
    int first, last;
    if (!read_ports(&first, &last))
        grader_error("no port available for a client: %s", strerror(errno));
    grader_error("this machine has no port left for a client: it allows those from %d to %d "
                 "(net.ipv4.ip_local_port_range)",
                 first, last);
}

const char *limits_problem(void)
{
    static char problem[200];
    int first, last, possible, backlog = read_backlog_limit();
    if (descriptor_limit() < MIN_DESCRIPTORS) {
        describe_descriptors(problem, sizeof problem);
        snprintf(problem + strlen(problem), sizeof problem - strlen(problem),
                 "; the checks need %s", with_comma(MIN_DESCRIPTORS));
        return problem;
    }
    if ((possible = processes_possible(MIN_PROCESSES)) < MIN_PROCESSES) {
        describe_processes(problem, sizeof problem, possible);
        snprintf(problem + strlen(problem), sizeof problem - strlen(problem),
                 "; the checks need %d", MIN_PROCESSES);
        return problem;
    }
    if (read_ports(&first, &last) && last - first + 1 < MIN_PORTS) {
        snprintf(problem, sizeof problem,
                 "this machine allows %d ports for clients (net.ipv4.ip_local_port_range); the "
                 "checks need %d",
                 last - first + 1, MIN_PORTS);
        return problem;
    }
    if (backlog < MIN_BACKLOG) {
        snprintf(problem, sizeof problem,
                 "this machine allows %d connections in a backlog (net.core.somaxconn); the checks "
                 "need %d",
                 backlog, MIN_BACKLOG);
        return problem;
    }
    return NULL;
}
