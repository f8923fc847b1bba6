/* What the parts of the preloaded library call_recorder.so share: which descriptor is which record,
 * and recording one call. Hidden, so that a server's own functions of these names stay apart. */
#ifndef DRIVE_CALL_RECORDER_H
#define DRIVE_CALL_RECORDER_H

#include "drive/call_records.h"

#include <stddef.h>

#pragma GCC visibility push(hidden)

/* A call that has begun; record is NULL if it is not recorded. */
struct begun {
    struct record *record;
    struct recorded_call *call;
    uint32_t number;
};

struct begun begin_call(int fd, enum called function, int64_t size, int flags);
/* The same for select, poll and epoll_wait, which are recorded by thread; timeout as in struct
 * call. */
struct begun begin_waiting(enum called function, int64_t timeout);
/* Records what it returned, and returns that. errno stays as it is. */
int64_t finish_call(const struct begun *b, int64_t result);
/* The first ready descriptor, before finish_call(). */
void set_ready(const struct begun *b, uint32_t events, uint64_t detail);

/* This descriptor is a new socket: it has just been accepted. */
void record_accepted(int fd);
/* The socket is being connected to this port. */
void record_peer(const struct begun *b, int fd, int port);
void record_listener(const struct begun *b);
/* It is in an epoll instance, with this data. */
void record_epoll_data(int fd, uint64_t data);
/* What is known of a descriptor no longer holds; it may be a copy of a different one. */
void forget_descriptor(int fd);
void copy_descriptor(int from, int to);
/* Before close(), since the number may be in use again at once. */
void mark_closed(int fd);
/* The serial of its record, or 0. */
uint32_t serial_of(int fd);
/* For close_range(): records that these, as far as they are known sockets, are closed. */
void record_closed_range(unsigned first, unsigned last);
/* In a process that has just been forked. */
void record_fork(void);

#pragma GCC visibility pop

#endif
