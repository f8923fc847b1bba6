/*
 * The one loop in which a check waits. It serves the peers, the backends and the server's output,
 * and gives up when
 *  - the server has ended, or
 *  - every thread of the server has been blocked, without using CPU time, for two seconds, or for
 *    less if it is certain that nothing will wake it (never_wakes.h), or
 *  - the server has used three seconds of CPU time, or one if it is known to spin, while not a byte
 *    of what is waited for arrived, or
 *  - twenty seconds have passed (each is five times longer under valgrind), or
 *  - it has been asleep for thirty seconds of this check, in naps, or refuses to be inspected.
 */
#ifndef DRIVE_WAIT_LOOP_H
#define DRIVE_WAIT_LOOP_H

#include "drive/server_process.h"

struct wait {
    struct server *server;
    double since, quiet_since, inspected;
    uint64_t cpu, cpu_at_start, cpu_at_progress, delay_at_start;
    double not_watched;    /* for so many seconds this process did not get a CPU */
    double awake;          /* of the others, so many in which the server had one, or wanted one */
    double asleep_seconds; /* after so long asleep, the server is waiting for what never happens */
    bool server_must_act;  /* until then nothing else happens: if it never wakes, this is over */
    bool over;             /* it gave up */
    const char *why;       /* "the server had been asleep for 2 seconds" */
};

struct wait begin_wait(struct server *s);
/* Serves everything for some milliseconds. False when it is time to give up. */
bool continue_wait(struct wait *w);
/* A part of what is waited for has arrived: CPU time spent until now is no spinning. */
void note_progress(struct wait *w);
/* The server has used half a second of CPU time since the beginning or since then: it will not
 * sleep. From then on it is known to spin: in later waits much less is enough, until it is seen
 * asleep. */
bool is_spinning(const struct wait *w);
void note_asleep(const struct server *s);
/* For how many seconds the server was asleep in the waits of this check, and nothing came. */
double asleep_while_waiting(void);

/* A server abandons a call to a backend after one second. So while calls are held, a server that
 * sleeps is given 0.4 seconds instead of two. */
void set_calls_held(bool held);
bool calls_are_held(void);

#endif
