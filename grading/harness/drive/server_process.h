/* The process of the server under test: what it prints, and how it ends. */
#ifndef DRIVE_SERVER_PROCESS_H
#define DRIVE_SERVER_PROCESS_H

#include "drive/event_loop.h"
#include "observe/signals.h"

#include <stddef.h>
#include <sys/types.h>

enum { OUTPUT_SIZE = 64 * 1024 }; /* what is kept of each output */

/* Standard output, of which the first bytes are kept, or standard error or the log of valgrind, of
 * which the last are. */
struct output {
    struct source source;
    struct server *server;
    bool keep_last;
    char text[OUTPUT_SIZE + 1];
    size_t size, total;
};

struct server {
    pid_t pid;
    int port;
    bool valgrind;                      /* it runs under memcheck or helgrind */
    bool has_faults;                    /* faults are injected */
    const struct call_log *call_log;    /* see call_log.h; NULL: its calls are not recorded */
    const struct crash_record *crashes; /* or NULL */
    struct output out, err, log;
    pid_t pid_in_log;      /* as valgrind knows it: in its own pid namespace */
    size_t messages_read;  /* of those in call_log: bytes */
    size_t listening_line; /* its length */
    bool frozen;
    double frozen_since, frozen_seconds; /* frozen_seconds: before frozen_since */
    int signal_sent;                     /* by stop_server(), or 0 */
    struct signals signals_before_stop;  /* of its first thread, just before that */
    bool ended;
    int status;
    struct server *previous;
};

/* Takes over the ends of the pipes from which the server's output is read, and the log of valgrind;
 * -1: there is none. */
struct server *new_server(pid_t pid, int out, int err, int log);
struct server *latest_server(void);

int port_of(const struct server *s);
pid_t pid_of(const struct server *s);
bool under_valgrind(const struct server *s);

/* What it has printed on standard error so far, and what the preloaded library has reported about
 * it, which the server can neither prevent nor move elsewhere; the last 64 KiB, owned by the
 * server.
 */
const char *standard_error_of(struct server *s);

/* What valgrind has reported so far, the last 64 KiB. The server cannot write to it. */
const char *valgrind_log_of(struct server *s);

bool has_ended(struct server *s); /* reaps it, if so */
/* The same, after a connection was closed that should be open: that may be the first sign that the
 * server ends. Waits until it has, or is asleep, or has used too much CPU time for that. */
bool has_ended_or_ends(struct server *s);
/* "the server ended: exit status 1"; that is what the check fails with. */
const char *the_server_ended(struct server *s);
/* Before a failure that may only follow from that: if has_ended_or_ends(), this is the failure. */
void fail_if_ended(struct server *s, const char *expected);
const char *describe_ending(struct server *s); /* "exit status 1", "killed by SIGPIPE" */

#endif
