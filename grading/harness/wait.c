/*
 * The one loop in which a check waits: it moves bytes for every peer, reads what the servers
 * print, and looks now and then whether waiting still makes sense.
 */
#include "internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For failure only. A right server on a busy machine needs a few milliseconds, rarely tenths of
 * a second; nothing passes or fails by how long it took. */
#define ASLEEP_SECONDS 2.0
static const double HELD_ASLEEP_SECONDS = 0.4, MOST_SECONDS = 20, VALGRIND_FACTOR = 5;
/* A server that has used so much CPU time and not done what was asked spins. */
static const double MOST_CPU_SECONDS = 3;

/* A look costs a walk through /proc. */
static const double LOOK_SECONDS = 0.05;

static int loop = -1;

static void loop_control(int operation, struct source *source)
{
    struct epoll_event event = {.events = source->events, .data.ptr = source};
    if (loop == -1)
        loop = epoll_create1(EPOLL_CLOEXEC);
    if (loop == -1 || epoll_ctl(loop, operation, source->fd, &event) == -1)
        grader_error("epoll_ctl: %s", strerror(errno));
}

/* A source that waits for nothing is taken out: epoll would go on to tell of its EPOLLHUP. */
void watch(struct source *source, uint32_t events)
{
    uint32_t before = source->events;
    source->events = events;
    if (before == 0 && events != 0)
        loop_control(EPOLL_CTL_ADD, source);
    else if (before != 0 && events == 0)
        loop_control(EPOLL_CTL_DEL, source);
    else if (before != events)
        loop_control(EPOLL_CTL_MOD, source);
}

void unwatch(struct source *source)
{
    watch(source, 0);
}

/* True when there was something. */
static bool serve_sources(int milliseconds)
{
    struct epoll_event events[64];
    if (loop == -1)
        loop = epoll_create1(EPOLL_CLOEXEC);
    int n = epoll_wait(loop, events, 64, milliseconds);
    if (n == -1 && errno != EINTR)
        grader_error("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        if (source->events != 0) /* an earlier event of this batch may have ended it */
            source->ready(source, events[i].events);
    }
    return n > 0;
}

void process_pending(void)
{
    for (int i = 0; i < 1000 && serve_sources(0); i++)
        ;
}

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double asleep_seconds = ASLEEP_SECONDS;

void set_calls_held(bool held)
{
    asleep_seconds = held ? HELD_ASLEEP_SECONDS : ASLEEP_SECONDS;
}

bool calls_are_held(void)
{
    return asleep_seconds < ASLEEP_SECONDS;
}

struct wait begin_wait(struct server *s)
{
    double start = now();
    return (struct wait){.server = s,
                         .asleep_seconds = asleep_seconds,
                         .since = start,
                         .quiet_since = start,
                         .looked = start,
                         .cpu = UINT64_MAX,
                         .cpu_at_start = UINT64_MAX};
}

bool continue_wait(struct wait *p)
{
    static char why[160];
    bool something = serve_sources(5);
    serve_backends();
    double time = now();
    double factor = p->server != NULL && under_valgrind(p->server) ? VALGRIND_FACTOR : 1;
    if (p->server != NULL && has_ended(p->server)) {
        serve_sources(0); /* what it said last is still on its way */
        snprintf(why, sizeof why, "the server ended: %s", describe_ending(p->server));
        p->over = true;
    } else if (time - p->since > MOST_SECONDS * factor) {
        snprintf(why, sizeof why, "%.0f seconds have gone by", MOST_SECONDS * factor);
        p->over = true;
    } else if (p->server != NULL && time - p->looked > LOOK_SECONDS) {
        p->looked = time;
        uint64_t cpu = cpu_time(p->server);
        if (p->cpu_at_start == UINT64_MAX)
            p->cpu_at_start = cpu;
        double used = cpu > p->cpu_at_start ? (double)(cpu - p->cpu_at_start) / 1e9 : 0;
        if (used > MOST_CPU_SECONDS * factor) {
            snprintf(why, sizeof why, "the server used %.0f seconds of CPU time", used);
            p->over = true;
        } else if (something || cpu != p->cpu || !all_asleep(p->server)) {
            p->cpu = cpu;
            p->quiet_since = time;
        } else if (time - p->quiet_since > p->asleep_seconds * factor) {
            snprintf(why, sizeof why, "the server slept for %g seconds",
                     p->asleep_seconds * factor);
            p->over = true;
        }
    }
    p->why = why;
    return !p->over;
}

/* ---- can this machine grade at all? ------------------------------------------------------ */

static const char *network_fault(void)
{
    static char fault[200];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int a = socket(AF_INET, SOCK_STREAM, 0), b = socket(AF_INET, SOCK_STREAM, 0), c = -1;
    const char *call = a == -1 || b == -1                                         ? "socket"
                       : bind(a, (struct sockaddr *)&address, size) == -1         ? "bind"
                       : listen(a, 1) == -1                                       ? "listen"
                       : getsockname(a, (struct sockaddr *)&address, &size) == -1 ? "getsockname"
                       : connect(b, (struct sockaddr *)&address, size) == -1      ? "connect"
                       : (c = accept(a, NULL, NULL)) == -1                        ? "accept"
                                                                                  : NULL;
    if (call != NULL)
        snprintf(fault, sizeof fault, "no port to be had on 127.0.0.1 (%s: %s)", call,
                 strerror(errno));
    close(a);
    close(b);
    close(c);
    return call == NULL ? NULL : fault;
}

static const char *proc_fault(void)
{
    static char fault[200];
    char path[64], text[64];
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (child == -1) {
        snprintf(fault, sizeof fault, "fork: %s", strerror(errno));
        return fault;
    }
    snprintf(path, sizeof path, "/proc/%d/syscall", (int)child);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool well = fd != -1 && read(fd, text, sizeof text) > 0;
    if (!well)
        snprintf(fault, sizeof fault,
                 "cannot look into /proc/PID/syscall (%s): without it nobody sees where a thread "
                 "waits. Is /proc mounted, and may a parent trace its child?",
                 strerror(errno));
    close(fd);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return well ? NULL : fault;
}

const char *machine_problem(void)
{
    const char *fault = network_fault();
    return fault != NULL ? fault : proc_fault();
}
