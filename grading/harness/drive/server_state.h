/* Facts about the server under test and its connections, at this moment. */
#ifndef DRIVE_SERVER_STATE_H
#define DRIVE_SERVER_STATE_H

#include "drive/peer.h"
#include "drive/server_process.h"

int count_threads(struct server *s);   /* of the server and all that descends from it */
int count_processes(struct server *s); /* the same, including zombies */
/* Has the parent of this process of the server exited, as with a double fork? */
bool is_orphan(struct server *s, pid_t pid);
/* Waits until an orphan has exited, even if it has not been reaped: that is not up to the server.
 * False if it is still running after 20 seconds. */
bool orphan_exits(pid_t pid);
/* Of the server's first process; the check fails if it has ended. Ended threads may leave memory
 * mappings behind. A guard: a stretch of inaccessible pages, a mapping of its own or within
 * one. Counting the latter may enlarge the server's memory: measure that before. */
int count_descriptors(struct server *s);
int count_guard_mappings(struct server *s);
int count_guards(struct server *s);
int count_mappings(struct server *s);

uint64_t cpu_time(struct server *s); /* of the server and its children, in nanoseconds */
/* Memory of the server and its children in bytes: Pss (shared pages are divided among the processes
 * that share them) and page tables, proc(5). */
uint64_t memory_of(struct server *s);

bool all_asleep(struct server *s); /* every thread is blocked in a system call, or has ended */
/* The same, but at one moment: all_asleep() inspects the threads one after the other, and the first
 * may be woken before the last is seen asleep. */
bool all_asleep_at_once(struct server *s);
/* How often its threads have been put on a CPU. */
uint64_t times_run(struct server *s);

bool waits_in_multiplexer(struct server *s); /* is a thread in select, poll or epoll_wait? */
bool is_sending(struct server *s);           /* is a thread in send, write ...? */
/* Has the server accepted this client and not closed it? One in the backlog is not accepted. */
bool holds_connection_of(struct server *s, struct peer *p);

/* How many bytes the server has given to the kernel for a client that never read: at least those
 * that have reached the client's socket, at most those and what is left in the server's socket. */
struct sent {
    size_t least, most;
};
struct sent sent_to(struct server *s, struct peer *p);
/* Bytes of this client that the server could receive now. */
size_t unread_from(struct server *s, struct peer *p);

/* From now on the server and the check run on the same CPU: what a call costs depends on where the
 * two are, and must not differ between servers that are compared. */
void share_one_cpu(struct server *s);

#endif
