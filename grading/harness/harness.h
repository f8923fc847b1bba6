/*
 * The harness: what every lab's test.c is written with.
 *
 * A check is a short function that starts a server of its own, talks to it through peers, and says
 * what it expects. Nothing here returns an error: what the server does wrong ends the check as
 * `failed`, with evidence; what the machine does wrong ends it as `error`, which never scores.
 *
 * Nothing here sleeps to let something happen. Every wait is for a condition, and is given up when
 *  - the server has ended, or
 *  - the server has been sound asleep for two seconds: every thread blocked, no CPU time used, or
 *  - twenty seconds have gone by (both are five times longer under valgrind).
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- checks ------------------------------------------------------------------------------ */

struct check {
    const char *name;
    int points;
    const char *title;   /* what a right server does, as the end of "the server ..." */
    const char *hint;    /* one sentence, shown when the check fails */
    const char *needs;   /* checks without which this one can say nothing: "pieces stop", or NULL */
    const char *by_hand; /* commands, typed in the lab's folder, that show it without the grader */
    bool only_when_asked; /* an observation that takes long: runs only by --check */
    void (*body)(void);
};

void register_check(const struct check *check);

/* CHECK(name, points, title, .hint = ..., .needs = ..., .by_hand = ...) { body }
 * Checks run in the order of the file. */
#define CHECK(NAME, POINTS, ...)                                                                   \
    static void check_##NAME(void);                                                                \
    REGISTER_CHECK(NAME, POINTS, __VA_ARGS__)                                                      \
    static void check_##NAME(void)

/* SHARED_CHECK(name, points, title): the same for a check whose body is in every_lab.c, where its
 * hint, needs and by_hand are as well; a lab may give others. */
#define SHARED_CHECK(NAME, POINTS, ...)                                                            \
    extern void check_##NAME(void);                                                                \
    REGISTER_CHECK(NAME, POINTS, __VA_ARGS__)

#define REGISTER_CHECK(NAME, POINTS, ...)                                                          \
    __attribute__((constructor)) static void register_##NAME(void)                                 \
    {                                                                                              \
        static const struct check check = {#NAME, POINTS, __VA_ARGS__, .body = check_##NAME};      \
        register_check(&check);                                                                    \
    }

/* In a lab whose server serves one client at a time: says so to the checks of every lab. */
#define ONE_AT_A_TIME                                                                              \
    __attribute__((constructor)) static void say_one_at_a_time(void)                               \
    {                                                                                              \
        one_at_a_time = true;                                                                      \
    }
extern bool one_at_a_time;

/* From lab 5 on a server may take a short count for "drained" (epoll(7)): short recvs and sends are
 * then made by small socket buffers, never made up. */
#define TRUSTS_SHORT_COUNTS                                                                        \
    __attribute__((constructor)) static void say_trusts_short_counts(void)                         \
    {                                                                                              \
        trusts_short_counts = true;                                                                \
    }
extern bool trusts_short_counts;

/* From lab 6 on a client speaks in lines, and a search asks three backends. */
#define SEARCHES                                                                                   \
    __attribute__((constructor)) static void say_searches(void)                                    \
    {                                                                                              \
        searches = true;                                                                           \
    }
extern bool searches;

/* In a lab whose first thread serves the clients, while others wait for the backends. */
#define WORKERS_BLOCK                                                                              \
    __attribute__((constructor)) static void say_workers_block(void)                               \
    {                                                                                              \
        workers_block = true;                                                                      \
    }
extern bool workers_block;

/* ---- the server under test --------------------------------------------------------------- */

struct server;

enum under { PLAIN, MEMCHECK, HELGRIND };

struct server_options {
    char nothing;            /* so that start_server() has something to begin with */
    enum under under;        /* PLAIN unless said otherwise */
    const char *faults;      /* see faults.c: "short_send=7,short_recv=100,eintr=2" */
    const char *const *argv; /* arguments instead of "0"; ends with NULL */
    int descriptors;         /* RLIMIT_NOFILE, soft and hard; MAX_DESCRIPTORS: as many as can be */
    int taken;               /* /dev/null is open on 3 to this number - 1 */
    bool may_fail_to_start;  /* do not wait for "listening on" */
    bool backends;           /* labs 6 to 8: it is told the ports of three backends */
};

#define MAX_DESCRIPTORS (-1)

/* Starts the server and waits until it says that it listens. It dies with the check. */
#define start_server(...) start_server_with((struct server_options){0, __VA_ARGS__})
struct server *start_server_with(struct server_options how);

struct ending {
    bool by_signal;
    int code;        /* the signal or the exit status */
    const char *out; /* all it printed, without the "listening" line; owned by the server */
    const char *err; /* the last 64 KiB of its standard error; owned by the server */
};

const char *describe_ending(struct server *s); /* "exit status 1", "killed by SIGPIPE" */

/* Waits for the server to end by itself; stop_server sends `sig` first, and lets it go on if it is
 * frozen. */
struct ending ended(struct server *s);
/* The same, for a server whose fault sends it SIGTERM at a certain moment. True when it has ended;
 * false when that moment never came, for the server makes no such call. */
bool exited_by_fault(struct server *s, struct ending *e);
struct ending stop_server(struct server *s, int sig);

/* What it has printed there so far, the last 64 KiB; owned by the server. */
const char *standard_error_of(struct server *s);

int port_of(const struct server *s);
pid_t pid_of(const struct server *s);

/* SIGSTOPs the server and returns when /proc says that it stands still. What peers do meanwhile,
 * the server finds all at once after thaw(). */
void freeze(struct server *s);
void thaw(struct server *s);

/* ---- peers ------------------------------------------------------------------------------- */

struct peer; /* a client; it is called client A, B, C ... in the order of arrival */

struct peer *connect_to(struct server *s);      /* a socket of the harness's own */
struct peer *connect_small(struct server *s);   /* the same, with a small buffer to receive */
struct peer *connect_with_nc(struct server *s); /* the real nc(1), as a student would use it */
/* Connects many at once, told in one line. They are put into `clients`, unless that is NULL. */
void connect_many(struct server *s, struct peer **clients, int count);

void say(struct peer *p, const char *text);
void say_bytes(struct peer *p, const void *data, size_t size);
/* Says long text, as much as fits without hearing anything. Returns the bytes said when the server
 * is seen to be behind: asleep, with no more room on the way to it. hear_long_text() hears that. */
size_t say_until_blocked(struct peer *p);
/* Says it, but to a server that may have ended the connection meanwhile. */
void try_to_say(struct peer *p, const char *text);
/* Says at most `size` bytes, as many as fit right now, and later the rest of their last line, for a
 * server may speak in lines (of 64 bytes: long_text). Returns how many. For frozen servers. */
size_t say_what_fits(struct peer *p, const void *data, size_t size);

void stop_reading(struct peer *p);   /* from now on it does not read ... */
void resume_reading(struct peer *p); /* ... and now it does */

void hear(struct peer *p, const char *text);
void hear_bytes(struct peer *p, const void *data, size_t size);
void say_and_hear(struct peer *p, const char *text, int times);
void hear_long_text(struct peer *p, size_t size);
void hear_end(struct peer *p);          /* FIN, after which nothing came; a reset is a failure */
void hear_eof_or_reset(struct peer *p); /* FIN or RST, after which nothing came */
size_t heard(const struct peer *p);     /* bytes that have come and were not asked for by hear() */

void finish_saying(struct peer *p); /* half-close: FIN, but still listens */
void hang_up(struct peer *p);       /* close: FIN, and a reset for whatever comes after */
void reset(struct peer *p);         /* RST */

/* ---- backends: labs 6 to 8 ----------------------------------------------------------------- */

/* What start_server(.backends = true) tells the server to ask. Each answers a line with the line
 * and its name: "red shoes" becomes "red shoes user". A new server finds all three so. */
enum backend { USER, QUERY, STOCK, BACKENDS };

enum backend_mode {
    ANSWERS,
    ANSWERS_WITH_EXTRA,    /* answers, and says more behind the newline */
    IN_PIECES,             /* each when the one before has been read, the newline alone */
    SLOW,                  /* answers after half a second, which is no fault */
    HOLDS,                 /* answers when it is told to: release() */
    HOLDS_HALF,            /* the same, but half of the answer is there at once */
    TRICKLES,              /* a byte now and then, and never a newline */
    CLOSES,                /* hangs up when it has been asked */
    CLOSES_BEFORE_NEWLINE, /* hangs up when all but the newline is said */
    REFUSES,               /* connect fails */
    DOES_NOT_ACCEPT,       /* connect hangs */
};

/* From now on, for calls that come. */
void set_backend(enum backend b, enum backend_mode manner);
/* The same, with this text instead of its usual answer; until set_backend(). Not copied. */
void set_answer(enum backend b, const void *text, size_t size);
/* Connections that it has had since the server was started. */
int calls_at(enum backend b);
/* Waits until n calls are held there; a server that sleeps and has not made them fails. */
void wait_for_calls(struct server *s, enum backend b, int n);
/* The same, but calls that the server has given up since then count as well: for so many that the
 * first may be over when the last comes. */
void wait_for_calls_made(struct server *s, enum backend b, int n);
/* Answers the held call that asks this; or all that are held, and returns how many. */
void release(enum backend b, const char *words);
int release_all(enum backend b);
/* The same when nobody waits for the answers any more: the server may have given up. */
int release_late(enum backend b);
/* Waits until the server is seen to wait for a connection to it. */
void wait_connecting(struct server *s, enum backend b);
/* A server gives up a call after a second. So until further notice one that sleeps for 0.4 seconds
 * has had its chance, instead of two. */
void set_calls_held(bool held);
/* Waits until the server has closed all its connections to it. */
void expect_no_calls_open(struct server *s, enum backend b);
/* The same for all three, and for those that a search would still begin: the server sleeps. */
void expect_searches_finished(struct server *s);

/* ---- looking at the server --------------------------------------------------------------- */

int count_threads(struct server *s);     /* of the server and all that descend from it */
int count_processes(struct server *s);   /* the same, zombies counted as well */
int count_descriptors(struct server *s); /* of the server's first process */
/* Each waits for it. Of descriptors there may be fewer: `most` may have been counted while a server
 * that naps had not yet closed the last client's. */
void expect_descriptors(struct server *s, int most, const char *why);
void expect_threads(struct server *s, int n, const char *why);
void expect_processes(struct server *s, int n, const char *why);

/* The process that reads from this client: waits until one is seen. */
pid_t process_serving(struct server *s, struct peer *p);
/* Fails when that process has another client's socket open, or the listener. */
void expect_own_sockets_only(struct server *s, struct peer *p);
/* Waits until all that descend from the server's first process are zombies or gone. */
void wait_children_ended(struct server *s);
/* Memory mappings of the server's first process: what ended threads may leave behind. */
int count_mappings(struct server *s);

/* CPU time of the server and its children in nanoseconds: clock_getcpuclockid(3). */
uint64_t cpu_time(struct server *s);

/* Memory of the server and its children in bytes: Pss (what is shared is divided by those who share
 * it) and page tables, proc(5). */
uint64_t memory_of(struct server *s);

/* From now on the server and the check run on one and the same CPU: what a call costs depends on
 * where the two are, and must not differ between servers that are compared. */
void share_one_cpu(struct server *s);

void wait_asleep(struct server *s); /* every thread blocked in a system call */
/* Waits until a thread is seen in a call that reads from this client (recv, read, poll ...); some
 * seconds at most. */
void wait_reading_from(struct server *s, struct peer *p);
/* Waits until all threads are asleep, each in a call of this name: "select", "epoll_wait". */
void expect_waiting_in(struct server *s, const char *call);
/* Waits until every thread is asleep; fails as soon as a thread that serves clients sleeps in any
 * call but epoll_wait. WORKERS_BLOCK: that is the first thread only. Who spins is for idle_is_free.
 */
void expect_loops_waiting(struct server *s);
bool waits_in_multiplexer(struct server *s); /* is a thread in select, poll or epoll_wait? */
bool is_sending(struct server *s);           /* is a thread in send, write ...? */
/* Waits until so many bytes that this client has said are there for the server to receive. Not for
 * ever: there may be less room. */
void wait_to_be_read(struct server *s, struct peer *p, size_t size);
/* Has the server accepted this client and not closed it? One in the backlog is not accepted. */
bool holds_connection_of(struct server *s, struct peer *p);

/* How many bytes the server has handed to the kernel for a client that never read: at least those
 * that have come to the client's socket, at most those and what the server's socket still has. */
struct sent {
    size_t least, most;
};
struct sent sent_to(struct server *s, struct peer *p);

/* Waits until there is a stretch of time in which the server wakes at most once and uses no more
 * CPU time than ten times `echo` nanoseconds; is_idle says whether there was one. `when` says what
 * is the case: "with no client". */
bool is_idle(struct server *s, uint64_t echo);
void expect_idle(struct server *s, uint64_t echo, const char *when);

/* Adds what each thread is doing right now to the evidence, also of a check that passes; or a line.
 */
void add_thread_evidence(struct server *s);
__attribute__((format(printf, 1, 2))) void evidence(const char *line, ...);

/* ---- valgrind's word (valgrind.c) -------------------------------------------------------- */

/* Stops a server started with .under = MEMCHECK; fails unless memcheck saw no error, nothing lost
 * and no descriptor left. */
void expect_clean_memory(struct server *s);
/* Stops a server started with .under = HELGRIND; fails unless helgrind saw no error. */
void expect_no_data_race(struct server *s);

/* Fails unless this is the end of a server that was stopped: exit status 0 and the right line.
 * Where the bytes cannot be known, `bytes` is ANY_BYTES. */
#define ANY_BYTES SIZE_MAX
void expect_summary_line(struct server *s, struct ending e, int connections, size_t bytes);

/* ---- ending a check ---------------------------------------------------------------------- */

/* The check failed. `s` is the server to look at, or NULL. Both texts end without a full stop. */
__attribute__((noreturn, format(printf, 3, 4))) void
fail_check(struct server *s, const char *expected, const char *received, ...);

/* The machine or the harness failed: nobody's zero. */
__attribute__((noreturn, format(printf, 1, 2))) void grader_error(const char *what, ...);

/* For the case at hand: another hint and other commands than the check's, until the next case.
 * Literals; NULL: the check's again. */
void set_hint(const char *hint, const char *by_hand);

/* Adds a sentence to "what was asked". Most functions above do so by themselves. */
__attribute__((format(printf, 1, 2))) void asked(const char *what, ...);

/* "hello\n" as a C string literal, the last byte shown as well; long ones show `around` that
 * offset. The result lives until the check ends. */
const char *quoted(const void *data, size_t size, size_t around);

/* Text of `size` bytes, in lines of 64, that does not repeat within 80 MB and has no NUL: the
 * bytes from `offset` on. long_text() returns its beginning: free() it. */
void fill_text(char *text, size_t offset, size_t size);
char *long_text(size_t size);

#endif
