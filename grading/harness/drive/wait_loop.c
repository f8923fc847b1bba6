#include "drive/wait_loop.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/procfs.h"
#include "core/report.h"
#include "drive/never_wakes.h"
#include "drive/peer.h"
#include "observe/resources.h"
#include "observe/tasks.h"

#include <stdio.h>

/* These matter for a failure only. A correct server on a busy machine needs a few milliseconds,
 * rarely tenths of a second; no check passes or fails by how long something took. */
#define ASLEEP_SECONDS 2.0
static const double HELD_ASLEEP_SECONDS = 0.4, MAX_SECONDS = 20, VALGRIND_FACTOR = 5;
/* It is not worth while to find out earlier whether anything can wake the server. */
static const double BRIEFLY_ASLEEP_SECONDS = 0.2;
/* A server that has used so much CPU time without doing any of what was asked is spinning. */
static const double MAX_CPU_SECONDS = 3;
enum { SPINNING_NANOSECONDS = 500 * 1000 * 1000 };
/* The same for a server that spun in an earlier wait, and has not been seen asleep since. */
static const double MAX_CPU_SECONDS_IF_KNOWN = 1;
enum { SPINNING_NANOSECONDS_IF_KNOWN = 20 * 1000 * 1000 };

/* A server that is slow by sleeping, in naps too short for ASLEEP_SECONDS: in one check, all those
 * together. References sleep for five seconds at most while something is waited for. */
static const double MAX_ASLEEP_IN_CHECK = 30;
static double asleep_in_check, sampled;

static const struct server *known_to_spin;

/* An inspection costs a walk through /proc. */
static const double INSPECTION_SECONDS = 0.05;

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
    note_failure(OTHER_FAILURE);
    return (struct wait){.server = s,
                         .asleep_seconds = asleep_seconds,
                         .since = start,
                         .quiet_since = start,
                         .inspected = start,
                         .cpu = UINT64_MAX,
                         .cpu_at_start = UINT64_MAX,
                         .cpu_at_progress = UINT64_MAX,
                         .delay_at_start = UINT64_MAX};
}

void note_progress(struct wait *w)
{
    w->cpu_at_progress = UINT64_MAX;
}

/* The reason to give up is kept in one buffer: the check fails with it at once. */
#define GIVE_UP(WAIT, ...)                                                                         \
    (snprintf(why, sizeof why, __VA_ARGS__), (WAIT)->why = why, (WAIT)->over = true)
static char why[160];

/* nc is a process of its own: on a busy machine it may not have passed on yet what it was given. */
static bool nc_is_running(void)
{
    pid_t parent;
    for (const struct peer *p = first_peer(); p != NULL; p = p->next) {
        char state = p->is_nc && !p->closed ? read_task_state(p->nc, p->nc, &parent) : 'S';
        if (state == 'R' || state == 'D')
            return true;
    }
    return false;
}

/* Of CPU time, or of time in the queue for a CPU: a task that has ended takes its own with it. */
static double seconds_since(uint64_t start, uint64_t end)
{
    return end > start ? (double)(end - start) / 1e9 : 0;
}

static void inspect(struct wait *w, double time, double factor, bool served, bool late)
{
    pid_t pid = w->server->pid;
    double since = time - w->inspected;
    /* While this process did not run, on a busy machine, the server may not have run either. */
    if (since > 2 * INSPECTION_SECONDS) {
        w->not_watched += since - 2 * INSPECTION_SECONDS;
        w->quiet_since += since - 2 * INSPECTION_SECONDS;
        since = 2 * INSPECTION_SECONDS;
    }
    w->inspected = time;
    uint64_t cpu = read_cpu_time(pid);
    if (w->cpu_at_start == UINT64_MAX)
        w->cpu_at_start = cpu;
    if (w->cpu_at_progress == UINT64_MAX)
        w->cpu_at_progress = cpu;
    if (w->delay_at_start == UINT64_MAX)
        w->delay_at_start = read_run_delay(pid);
    double most = known_to_spin == w->server ? MAX_CPU_SECONDS_IF_KNOWN : MAX_CPU_SECONDS;
    double used = seconds_since(w->cpu_at_progress, cpu);
    bool nc_runs = nc_is_running(), asleep = !nc_runs && all_tasks_asleep(pid);
    if (nc_runs || (!asleep && any_task_runs(pid)))
        w->awake += since;
    /* On a busy machine a server that spins gets little CPU time. */
    if (used > most * factor || (late && is_spinning(w) && !asleep)) {
        note_failure(SPINNING);
        GIVE_UP(w, "the server had used %.0f second%s of CPU time", used, used < 1.5 ? "" : "s");
    } else if (refuses_inspection(pid)) {
        GIVE_UP(w, "%s", REFUSES_INSPECTION);
    } else if (served || cpu != w->cpu || !asleep) {
        w->cpu = cpu;
        w->quiet_since = time;
    } else {
        note_asleep(w->server);
        double quiet = time - w->quiet_since;
        if (quiet > w->asleep_seconds * factor)
            GIVE_UP(w, "the server had been asleep for %g seconds", w->asleep_seconds * factor);
        else if (w->server_must_act && quiet > BRIEFLY_ASLEEP_SECONDS && never_wakes(w->server))
            GIVE_UP(w, "the server had been asleep, and nothing would have woken it");
    }
}

/* Nothing has come for a moment: does the server do anything about it? */
static bool naps_for_too_long(const struct server *s, double time)
{
    double since = time - sampled;
    if (since < INSPECTION_SECONDS)
        return false;
    sampled = time;
    /* Tasks are read one after the other. If there are a thousand, the last one may have done its
     * work before it is read: then what was waited for has arrived. */
    if (all_tasks_asleep(s->pid) && !nc_is_running() && !serve_sources(0))
        asleep_in_check += since < 2 * INSPECTION_SECONDS ? since : 2 * INSPECTION_SECONDS;
    return asleep_in_check > MAX_ASLEEP_IN_CHECK;
}

double asleep_while_waiting(void)
{
    return asleep_in_check;
}

/* If much of a long wait was spent in the queue for a CPU, or for a disk, by the server, by nc or
 * by this process, it is not the server that is slow. */
static void excuse_slow_machine(const struct wait *w, double time)
{
    if (w->server == NULL || w->delay_at_start == UINT64_MAX)
        return;
    double queued = seconds_since(w->delay_at_start, read_run_delay(w->server->pid));
    double used = seconds_since(w->cpu_at_start, read_cpu_time(w->server->pid));
    double seconds = (queued > w->awake - used ? queued : w->awake - used) + w->not_watched;
    if (seconds > (time - w->since) / 4)
        machine_too_slow("in %.0f seconds the server and the grader spent %.0f waiting for a CPU",
                         time - w->since, seconds);
}

bool continue_wait(struct wait *w)
{
    bool served = serve_sources(5);
    run_periodic();
    double time = now();
    double factor = w->server != NULL && under_valgrind(w->server) ? VALGRIND_FACTOR : 1;
    bool late = time - w->since > MAX_SECONDS * factor;
    if (w->server != NULL && has_ended(w->server)) {
        serve_sources(0); /* the last bytes that it sent */
        GIVE_UP(w, "%s", the_server_ended(w->server));
    } else if (w->server != NULL && (late || time - w->inspected > INSPECTION_SECONDS)) {
        inspect(w, time, factor, served, late);
    }
    if (w->server != NULL && !served && !w->over && naps_for_too_long(w->server, time))
        GIVE_UP(w, "the server had been asleep for %.0f seconds since the check began",
                MAX_ASLEEP_IN_CHECK);
    if (!w->over && late)
        excuse_slow_machine(w, time);
    if (!w->over && late)
        GIVE_UP(w, "%.0f seconds had passed", MAX_SECONDS * factor);
    return !w->over;
}

bool is_spinning(const struct wait *w)
{
    uint64_t most =
        known_to_spin == w->server ? SPINNING_NANOSECONDS_IF_KNOWN : SPINNING_NANOSECONDS;
    if (w->cpu_at_progress == UINT64_MAX ||
        read_cpu_time(w->server->pid) <= w->cpu_at_progress + most)
        return false;
    if (!under_valgrind(w->server))
        known_to_spin = w->server;
    return true;
}

void note_asleep(const struct server *s)
{
    if (known_to_spin == s)
        known_to_spin = NULL;
}
