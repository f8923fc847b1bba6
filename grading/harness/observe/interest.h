/* Which descriptors the server waits for: an epoll instance's interest list, or the arguments of
 * select and poll. */
#ifndef OBSERVE_INTEREST_H
#define OBSERVE_INTEREST_H

#include "observe/tasks.h"

enum { MAX_INTEREST = 2048 };

enum multiplexer { EPOLL, SELECT, POLL };

struct interest {
    int fd;
    unsigned events; /* as for epoll and poll; select: EPOLLIN, EPOLLOUT, EPOLLPRI */
};

struct interest_list {
    enum multiplexer kind;
    pid_t pid;
    int nfds; /* select's */
    int epoll_fd;
    bool for_ever;     /* no timeout */
    double timeout_ms; /* otherwise */
    int count;
    struct interest all[MAX_INTEREST];
};

/* Of a thread that is blocked in such a call. False when it is in none, when this cannot be read,
 * or when there are more descriptors than fit. */
bool read_interest(const struct task *task, struct interest_list *list);
/* The same of a server that spins, and so is never seen in such a call: stops its first thread
 * (SIGSTOP) for a moment, up to some times, until it is caught there. select's sets may hold its
 * results by then. */
bool catch_interest(pid_t pid, struct interest_list *list);
bool is_epoll_instance(pid_t pid, int fd);
/* Of any epoll instance, without a timeout. */
bool read_epoll_interest(pid_t pid, int epoll_fd, struct interest_list *list);
/* The hexadecimal number after these words in a descriptor's /proc/PID/fdinfo, or -1. */
long read_descriptor_number(pid_t pid, int fd, const char *words);

const struct interest *find_interest(const struct interest_list *list, int fd);

#endif
