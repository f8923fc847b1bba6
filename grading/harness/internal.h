/* What the parts of the harness know of each other, and a test.c does not. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include "harness.h"

#include <sys/resource.h>

/* ---- report.c: what a check found out, in memory that outlives its process ---- */

enum status { UNFINISHED, PASSED, FAILED, ERROR };

struct report {
    enum status status;
    char asked[8192]; /* a sentence a line */
    char expected[4096];
    char received[4096];
    char evidence[8192];        /* a line each */
    const char *hint, *by_hand; /* for the case at hand, instead of the check's; literals */
};

extern struct report *report;

/* every_lab.c: what an echo costs this server on this machine, in nanoseconds of CPU time. */
uint64_t cost_of_echo(struct server *s, struct peer *p);
/* So many, or as many as the hard limit allows: the machine's fault when those are few. */
int descriptors_for(int clients);

/* every_lab.c: what a check of every lab says unless its lab says otherwise; ends with no name. */
extern const struct check every_lab[];
extern const struct check searching_labs[]; /* searching.c: the same for labs 6 to 8 */

/* ---- wait.c: the one loop in which a check waits ---- */

/* A descriptor that the loop watches; `ready` must not block. */
struct source {
    int fd;
    uint32_t events;
    void (*ready)(struct source *source, uint32_t events);
};

void watch(struct source *source, uint32_t events); /* 0: not now */
void unwatch(struct source *source);

struct wait {
    struct server *server;
    double since, quiet_since, looked;
    uint64_t cpu, cpu_at_start;
    double asleep_seconds; /* so long asleep: it waits for something that will not come */
    bool over;             /* no more patience */
    const char *why;       /* "then nothing for 2 seconds, while the server was asleep" */
};

void process_pending(void); /* takes in what is there already, without waiting */
double now(void);           /* seconds, monotonic */
struct wait begin_wait(struct server *s);
/* Serves peers and server for some milliseconds. False when it is time to give up. */
bool continue_wait(struct wait *p);
bool calls_are_held(void); /* set_calls_held() said so */
/* Once in a process: before the first check. Returns NULL, or why this machine can't grade. */
const char *machine_problem(void);

/* ---- server.c ---- */

extern const char *server_program; /* the path of the server under test */
extern const char *faults_library; /* the path of faults.so */
extern bool without_valgrind;      /* the server has sanitizers built in: they do its work */

extern struct rlimit descriptors_given; /* what the grader was started with: the server's limit */

bool has_ended(struct server *s); /* reaps it, if so */
bool under_valgrind(const struct server *s);
struct server *server_after(struct server *s); /* all servers of this check; NULL: the first */

/* ---- peer.c ---- */

void restart_peer_names(void);
/* Describes the peer with this local port, as "client A"; NULL if there is none. */
const char *peer_name_at(int port);
/* "which has said nothing", or NULL. */
const char *peer_state_at(int port);
int peer_port(const struct peer *p);
const char *peer_name(const struct peer *p);

/* ---- backend.c ---- */

void serve_backends(void);
/* Arguments for a server: port 0 and theirs. Opens them, and lets each answer. */
const char *const *backend_arguments(void);
const char *backend_name_at(int port); /* "user", or NULL */
int backend_port(enum backend b);
bool is_filler(int port); /* of a connection that fills a backlog, DOES_NOT_ACCEPT */

/* ---- look.c ---- */

enum { MAX_TASKS = 1200 };

struct task {
    pid_t pid, tid;
    char state; /* as in proc(5): R S D T Z */
    long call;  /* the system call it is blocked in, or -1 */
    unsigned long arg[6];
};

/* The server's processes and threads right now; returns how many there are, at most `most`. */
int read_tasks(struct server *s, struct task *tasks, int most);
/* The same for processes only: pids of the server and all that descends from it. */
int processes_of(struct server *s, pid_t *pids, int most);
bool all_asleep(struct server *s);
void gather_evidence(struct server *s);
enum listening { NOWHERE, ON_LOOPBACK, ELSEWHERE };
enum listening listening_at(int port);
int socket_port_of(pid_t pid, int remote_port); /* local port of pid's connection to remote_port */

/* ---- room.c ---- */

extern const char
    *sandbox_arguments; /* the file with bwrap's arguments for a room, or NULL: none */

/* fork(), but the child is in a room of its own (namespaces). Not for a child that has to return:
 * nothing of what it was before is in its sight. */
pid_t fork_into_sandbox(void);

/* ---- keeper.c ---- */

/* Runs work() in a grandchild and returns its result. Whatever happens to this process, to the
 * one between or to work() itself, every process that came from work() is killed and reaped. */
int run_supervised(int (*work)(void));
/* Kills all descendants of this process, which must be a subreaper. */
void kill_descendants(void);

#endif
