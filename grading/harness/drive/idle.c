#include "drive/idle.h"
#include "core/clock.h"
#include "core/hints.h"
#include "core/report.h"
#include "drive/server_state.h"
#include "drive/wait_loop.h"

#include <stdio.h>

/* A stretch, and how long to wait for one. A correct server does nothing at all, but now and then
 * the kernel may still deliver something that is queued; a loop that spins never pauses. */
static const double STRETCH_SECONDS = 0.2, MAX_SECONDS = 4, MAX_SECONDS_WHEN_HELD = 0.7;

/* While this process did not run, on a busy machine, nor may the server have: of the time between
 * two looks no more than this counts. */
static const double MAX_SECONDS_BETWEEN_LOOKS = 0.1;

/* A server that has used so much CPU time meanwhile will not pause. */
enum { MAX_CPU_NANOSECONDS = 1000 * 1000 * 1000 };

/* In a stretch. Retrying ten times a second is waiting, not spinning. */
enum { MAX_WAKEUPS = 1, MAX_RETRIES = 5 };

/* Waits for such a stretch. NULL when there was one, else what there was instead. */
static const char *find_activity(struct server *s, uint64_t echo, uint64_t max_wakeups)
{
    static char text[160];
    const double most = calls_are_held() ? MAX_SECONDS_WHEN_HELD : MAX_SECONDS;
    uint64_t cpu_before = cpu_time(s), runs_before = times_run(s), all_used = 0, all_runs = 0;
    double looked = now(), watched = 0, stretch = 0;
    do {
        struct wait w = begin_wait(s);
        continue_wait(&w);
        double since = now() - looked;
        since = since < MAX_SECONDS_BETWEEN_LOOKS ? since : MAX_SECONDS_BETWEEN_LOOKS;
        looked = now();
        watched += since;
        if (has_ended(s))
            return the_server_ended(s);
        uint64_t used = cpu_time(s) - cpu_before, runs = times_run(s) - runs_before;
        /* And asleep: a thread that is ready to run, but waits for a CPU, is not idle. */
        stretch += since;
        if (used <= 10 * echo && runs <= max_wakeups && all_asleep(s))
            continue;
        stretch = 0;
        cpu_before += used;
        runs_before += runs;
        /* When a process or a thread has ended, what it used is no longer in the sum. */
        all_used += used < UINT64_MAX / 2 ? used : 0;
        all_runs += runs < UINT64_MAX / 2 ? runs : 0;
        if (watched > most || all_used > MAX_CPU_NANOSECONDS) {
            snprintf(text, sizeof text,
                     "it is not idle: in %.1f s it woke %llu times and used %.2f ms of CPU time",
                     watched, (unsigned long long)all_runs, (double)all_used / 1e6);
            return text;
        }
    } while (stretch < STRETCH_SECONDS);
    return NULL;
}

bool is_idle(struct server *s, uint64_t echo)
{
    return find_activity(s, echo, MAX_WAKEUPS) == NULL;
}

static void expect_activity_below(struct server *s, uint64_t echo, uint64_t max_wakeups,
                                  const char *when)
{
    char expected[200], wakeups[40] = "one wakeup";
    const char *activity = find_activity(s, echo, max_wakeups);
    if (activity == NULL)
        return;
    if (!has_ended(s))
        note_failure(SPINNING);
    if (max_wakeups > 1)
        snprintf(wakeups, sizeof wakeups, "%d wakeups", (int)max_wakeups);
    snprintf(expected, sizeof expected,
             "the server asleep %s: in %.1f s at most %s and %.2f ms of CPU time", when,
             STRETCH_SECONDS, wakeups, (double)echo * 10 / 1e6);
    fail_check(s, expected, "%s", activity);
}

void expect_idle(struct server *s, uint64_t echo, const char *when)
{
    expect_activity_below(s, echo, MAX_WAKEUPS, when);
}

void expect_no_spinning(struct server *s, uint64_t echo, const char *when)
{
    expect_activity_below(s, echo, MAX_RETRIES, when);
}
