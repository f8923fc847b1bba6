/*
 * What the preloaded library call_recorder.so writes and the harness reads: the last calls on each
 * socket. Both map the same memory, so it outlives the server, and forked processes share it.
 *
 * Nothing in it can be trusted: the server can write to it. Readers copy what they use
 * (drive/call_log.h).
 *
 * To record more of a call (when it began and returned, the caller's stack pointer and return
 * address), add fields to struct recorded_call, and set them in begin_call() and finish_call(),
 * which every recorded call passes through. To keep more calls of each socket, raise CALLS_KEPT:
 * the memory is sparse.
 */
#ifndef DRIVE_CALL_RECORDS_H
#define DRIVE_CALL_RECORDS_H

#include <stdatomic.h>
#include <stdint.h>

#define CALL_LOG_VARIABLE "CALL_LOG" /* in the environment: the descriptor of the memory */

enum {
    CALL_LOG_MAGIC = 0x43414c4c,
    MESSAGES_SIZE = 32768,
    CALLS_KEPT = 8,      /* of each socket */
    MAX_RECORDS = 32768, /* then the oldest are overwritten */
    MAX_SERIAL = UINT32_MAX >> 2,
};

/* The functions that are recorded. Variants of one function count as that function: recv is also
 * __recv_chk; select is also pselect; epoll_wait is also epoll_pwait and epoll_pwait2. */
enum called {
    CALLED_NOTHING,
    CALLED_ACCEPT,
    CALLED_CONNECT,
    CALLED_LISTEN,
    CALLED_RECV,
    CALLED_RECVFROM,
    CALLED_RECVMSG,
    CALLED_READ,
    CALLED_READV,
    CALLED_SEND,
    CALLED_SENDTO,
    CALLED_SENDMSG,
    CALLED_WRITE,
    CALLED_WRITEV,
    CALLED_SENDFILE,
    CALLED_SPLICE_FROM, /* the socket is the source */
    CALLED_SPLICE_TO,
    CALLED_SHUTDOWN,
    CALLED_CLOSE,
    CALLED_LINGER,    /* setsockopt(SO_LINGER) */
    CALLED_EPOLL_CTL, /* only if it failed */
    CALLED_SELECT,    /* this and the following ones wait for several descriptors */
    CALLED_POLL,
    CALLED_EPOLL_WAIT,
    CALLED_FUNCTIONS /* how many there are */
};

/* One call, or several in a row that did the same. */
struct recorded_call {
    _Atomic uint32_t number; /* 1 for the first call on this socket; 0: nothing is recorded here */
    _Atomic uint32_t times;  /* how many there were */
    uint8_t function;        /* enum called */
    _Atomic uint8_t returned;
    uint8_t after_close; /* the descriptor had been closed before, and was not open again */
    uint8_t unused;
    int32_t error;    /* errno, if it failed */
    int32_t pid, tid; /* who called, as in the server's own pid namespace */
    /* recv, send ...: the flags. shutdown: how. epoll_ctl: the operation. select, poll, epoll_wait:
     * what the first ready descriptor is ready for, as EPOLLIN, EPOLLOUT ... (poll's bits are the
     * same, and select's are translated). */
    uint32_t flags;
    /* recv, send ...: how many bytes at most. close: how many bytes had not been read. LINGER: the
     * seconds, or -1 if it was turned off. select, poll, epoll_wait: the timeout in nanoseconds, or
     * -1 for none. */
    int64_t size;
    int64_t result;
    /* select, poll: the record of the first ready descriptor (its serial; 0: it is not a socket).
     * epoll_wait: the data of the first event. */
    uint64_t detail;
};

enum record_kind { UNUSED_RECORD, SOCKET_RECORD, LISTENER_RECORD, WAITING_RECORD };

/* A socket, from the moment it was first seen until it is closed and after: a descriptor that is
 * open again, with the same number, has a new record. WAITING_RECORD: not a socket, but a thread's
 * calls of select, poll and epoll_wait. */
struct record {
    _Atomic uint32_t serial; /* 1 for the first record, then 2 ... */
    uint8_t kind;            /* enum record_kind */
    uint8_t in_epoll;        /* it has been added to an epoll instance, and perhaps removed since */
    uint16_t local_port, peer_port;
    int32_t fd;                 /* its number */
    int32_t pid;                /* the process in which it was first seen */
    _Atomic uint32_t made;      /* the number of the latest call */
    _Atomic uint32_t functions; /* all that were called: bits 1 << enum called */
    uint64_t epoll_data;        /* of the last epoll_ctl */
    struct recorded_call
        calls[CALLS_KEPT]; /* the call with this number is at number % CALLS_KEPT */
};

struct call_log {
    uint32_t magic;
    _Atomic uint32_t records_made;
    _Atomic uint32_t messages_size;     /* more than MESSAGES_SIZE: the last ones did not fit */
    char messages[MESSAGES_SIZE];       /* of faults.so, in lines; a NUL is not written yet */
    struct record records[MAX_RECORDS]; /* the record with this serial is at serial % MAX_RECORDS */
};

#endif
