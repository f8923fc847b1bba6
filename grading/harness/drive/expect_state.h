/* Waiting until the server is seen in a certain state, and failing if that never happens. */
#ifndef DRIVE_EXPECT_STATE_H
#define DRIVE_EXPECT_STATE_H

#include "drive/peer.h"
#include "drive/server_process.h"

/* In a lab whose first thread serves the clients while others wait for the backends. */
#define WORKERS_BLOCK                                                                              \
    __attribute__((constructor)) static void declare_workers_block(void)                           \
    {                                                                                              \
        workers_block = true;                                                                      \
    }
extern bool workers_block;

void wait_asleep(struct server *s); /* every thread blocked in a system call */
/* Waits until all threads are asleep, each in a call of this name: "select", "epoll_wait". */
void expect_waiting_in(struct server *s, const char *call);
/* Waits until every thread is asleep; fails as soon as a thread that serves clients sleeps in any
 * call but epoll_wait. With WORKERS_BLOCK only the first thread does. A loop that spins is for
 * idle_is_free to report. */
void expect_loops_waiting(struct server *s);

/* Waits, for some seconds at most, until a thread is seen in a call that reads from this client
 * (recv, read, poll ...). */
void wait_reading_from(struct server *s, struct peer *p);
/* Waits, for some seconds at most, until the server could receive so many bytes of this client, or
 * all that it has sent: there may be less room. */
void wait_to_be_read(struct server *s, struct peer *p, size_t size);
/* The process that reads from this client: waits until one is seen. */
pid_t process_serving(struct server *s, struct peer *p);

/* Fails when the process that serves this client has the socket of a different client open, or the
 * listening socket. */
void expect_own_sockets_only(struct server *s, struct peer *p);
/* Waits until all that descends from the server's first process is a zombie or gone. */
void wait_children_ended(struct server *s);

/* Each waits for the count. Descriptors may be fewer: `most` may have been counted before a server
 * that retries after a pause had closed the last client's. */
void expect_threads(struct server *s, int n, const char *why);
/* At most so many more memory mappings than a moment ago, `when`: a stack has two. */
void expect_mappings(struct server *s, int then, const char *when, int most_more,
                     const char *expected);
void expect_processes(struct server *s, int n, const char *why);
void expect_descriptors(struct server *s, int most, const char *why);

#endif
