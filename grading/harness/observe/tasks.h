/* The processes and threads of a server, and what each one is doing. A server is named by its first
 * process, `root`; everything that descends from it belongs to it. */
#ifndef OBSERVE_TASKS_H
#define OBSERVE_TASKS_H

#include <stdbool.h>
#include <sys/types.h>

enum { MAX_TASKS = 1200, MAX_PROCESSES_READ = 1200 };

struct task {
    pid_t pid, tid;
    char state; /* as in proc(5): R S D T Z */
    long call;  /* the system call it is blocked in, or -1 */
    unsigned long arg[6];
};

/* The pids of a server's processes, zombies included; returns how many, at most `most`. */
int read_processes(pid_t root, pid_t *pids, int most);
/* The same for all their threads. */
int read_tasks(pid_t root, struct task *tasks, int most);
/* The same into a static array, valid until the next call. */
int read_all_tasks(pid_t root, const struct task **tasks);

/* One of them; false when it is gone. */
bool read_task(struct task *task, pid_t pid, pid_t tid);

bool is_dead(const struct task *task);
/* Blocked in a system call, or dead but not yet waited for by the server: neither will move by
 * itself. */
bool is_asleep(const struct task *task, pid_t root);
bool all_tasks_asleep(pid_t root);
/* Some task runs, or waits for a CPU or a disk. A stopped one does not. */
bool any_task_runs(pid_t root);

/* Has its last thread begun to exit? The kernel closes its sockets after that, and only then can it
 * be waited for. */
bool is_exiting(pid_t pid);

/* Has a process of the server made itself unreadable for others? */
bool refuses_inspection(pid_t root);
#define REFUSES_INSPECTION                                                                         \
    "a process of the server does not let itself be inspected (PR_SET_DUMPABLE, prctl(2))"

#endif
