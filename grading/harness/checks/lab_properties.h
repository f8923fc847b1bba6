/* What a lab declares about its servers at the top of its test.c, and what the checks of this
 * directory offer to the others. */
#ifndef CHECKS_LAB_PROPERTIES_H
#define CHECKS_LAB_PROPERTIES_H

#include "core/check_registry.h"
#include "drive/peer.h"
#include "drive/server.h"

/* The server serves one client at a time. */
#define ONE_AT_A_TIME                                                                              \
    __attribute__((constructor)) static void declare_one_at_a_time(void)                           \
    {                                                                                              \
        one_at_a_time = true;                                                                      \
    }
extern bool one_at_a_time;

/* The server has a process or a thread for each client. */
#define TASK_PER_CLIENT                                                                            \
    __attribute__((constructor)) static void declare_task_per_client(void)                         \
    {                                                                                              \
        task_per_client = true;                                                                    \
    }
extern bool task_per_client;

/* The server waits in select(). */
#define WAITS_IN_SELECT                                                                            \
    __attribute__((constructor)) static void declare_waits_in_select(void)                         \
    {                                                                                              \
        waits_in_select = true;                                                                    \
    }
extern bool waits_in_select;

/* From lab 5 on a server may take a short count to mean "drained" (epoll(7)): short recvs and sends
 * are then caused by small socket buffers, never injected. */
#define TRUSTS_SHORT_COUNTS                                                                        \
    __attribute__((constructor)) static void declare_trusts_short_counts(void)                     \
    {                                                                                              \
        trusts_short_counts = true;                                                                \
    }
extern bool trusts_short_counts;

/* From lab 6 on the protocol is line-based, and a search queries three backends. */
#define SEARCHES                                                                                   \
    __attribute__((constructor)) static void declare_searches(void)                                \
    {                                                                                              \
        searches = true;                                                                           \
    }
extern bool searches;

/* What an echo costs this server on this machine, in nanoseconds of CPU time. */
uint64_t cost_of_echo(struct server *s, struct peer *p);
/* So many clients, or as many as the hard limit of descriptors allows; if those are few, the
 * machine is at fault. */
int descriptors_for(int clients);

/* Fails unless a server that was stopped has ended with exit status 0 and the right line. Where the
 * number of bytes cannot be known, `bytes` is ANY_BYTES. */
#define ANY_BYTES SIZE_MAX
void expect_summary_line(struct server *s, struct ending e, int connections, size_t bytes);
/* Fails if a server that was stopped has signalled any process but its living children. */
void expect_own_children_signalled(struct server *s, struct ending e);

#endif
