/* What the preloaded library record_calls.so writes: the calls of a server, in the order in which
 * they began, in a file that all its processes map. assemble.py reads it. */
#ifndef TIMELINE_RECORDED_CALLS_H
#define TIMELINE_RECORDED_CALLS_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    RECORDING_MAGIC = 0x54494d45,
    MAX_CALLS = 65536, /* what comes later is counted, and not recorded */
    MAX_READY = 8,     /* descriptors that one call reports as ready */
    MAX_FRAMES = 5,    /* return addresses: the call's line, its caller's line ... */
    NAME_SIZE = 20,
};

struct recorded_call {
    _Atomic int64_t begin; /* nanoseconds, CLOCK_MONOTONIC; 0: nothing is recorded here yet */
    _Atomic int64_t end;   /* 0: it has not returned */
    int32_t pid, tid;      /* who called */
    char function[NAME_SIZE];
    int32_t fd;    /* its first descriptor, or -1 */
    int32_t error; /* errno, if it failed */
    int32_t port;  /* accept, connect: the other side's; listen: its own */
    int32_t ready_count;
    int64_t result;
    int64_t size;   /* recv, send ...: at most so many bytes; epoll_ctl: the operation */
    uint64_t data;  /* epoll_ctl: of the event */
    uint64_t stack; /* the lowest address of its stack, if that is not its thread's own */
    uint64_t frames[MAX_FRAMES];
    uint64_t ready[MAX_READY]; /* select, poll: descriptors; epoll_wait: the data of the events */
};

struct recording {
    uint32_t magic;
    uint32_t call_size, calls_offset, max_calls;
    int32_t pid;             /* the server's first process */
    _Atomic uint32_t begun;  /* calls in total; may be more than MAX_CALLS */
    uint64_t program_offset; /* where the program was loaded: subtract it from a return address */
    struct recorded_call calls[MAX_CALLS];
};

#endif
