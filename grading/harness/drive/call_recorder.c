/*
 * Preloaded into the server (LD_PRELOAD, ld.so(8)), before faults.so: it records what the server
 * sees. This part keeps the records; call_recorder_functions.c has the functions it intercepts.
 *
 * It runs in signal handlers, in forked processes, on small stacks, in any thread: so it takes no
 * lock, allocates nothing, and leaves errno alone. What two threads record at the same moment about
 * the same socket may be lost, and never harms either.
 */
#include "drive/call_recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct call_log *call_log;

/* The harness has left a descriptor open for us alone. In a program that the server itself runs,
 * this number is closed, or means something else. */
__attribute__((constructor(101))) static void map_log(void)
{
    const char *number = getenv(CALL_LOG_VARIABLE);
    struct stat s;
    int saved = errno, fd = number != NULL ? atoi(number) : -1;
    if (fd > 2 && fcntl(fd, F_GET_SEALS) > 0 && fstat(fd, &s) == 0 &&
        s.st_size == sizeof(struct call_log)) {
        void *memory =
            mmap(NULL, sizeof(struct call_log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        syscall(SYS_close, fd);
        if (memory != MAP_FAILED && ((struct call_log *)memory)->magic == CALL_LOG_MAGIC)
            call_log = memory;
    }
    errno = saved;
}

bool record_message(const char *text, size_t size);
bool record_message(const char *text, size_t size)
{
    if (call_log == NULL)
        return false;
    uint32_t start = atomic_fetch_add(&call_log->messages_size, (uint32_t)size);
    if (start < MESSAGES_SIZE && size <= MESSAGES_SIZE - start)
        memcpy(call_log->messages + start, text, size);
    return true;
}

/* ---- who calls --------------------------------------------------------------------------- */

static _Thread_local struct {
    int pid, tid;
    struct record *waiting; /* its calls of select, poll and epoll_wait */
    uint32_t serial;
} self;

static void find_self(void)
{
    if (self.tid != 0)
        return;
    self.pid = getpid();
    self.tid = (int)syscall(SYS_gettid);
}

void record_fork(void)
{
    self.tid = 0;
    self.waiting = NULL;
}

/* ---- which descriptor is which record ---------------------------------------------------- */

/* By descriptor: the serial of its record (at most MAX_SERIAL) and what is known of it. As private
 * memory it is copied by fork, like the descriptors themselves. */
enum { MAX_FDS = 65536, STATE_BITS = 2 };
enum state { UNKNOWN, OPEN, CLOSED, NOT_A_SOCKET };
static _Atomic uint32_t descriptors[MAX_FDS];

static bool is_covered(int fd)
{
    return call_log != NULL && fd >= 0 && fd < MAX_FDS;
}

static uint32_t load(int fd)
{
    return atomic_load_explicit(&descriptors[fd], memory_order_relaxed);
}

static void store(int fd, uint32_t serial, enum state state)
{
    atomic_store_explicit(&descriptors[fd], serial << STATE_BITS | state, memory_order_relaxed);
}

static struct record *record_with(uint32_t serial)
{
    struct record *r = &call_log->records[serial % MAX_RECORDS];
    return serial != 0 && r->serial == serial ? r : NULL; /* else it has been overwritten */
}

static struct record *new_record(enum record_kind kind, int fd)
{
    find_self();
    uint32_t serial = (atomic_fetch_add(&call_log->records_made, 1) + 1) & MAX_SERIAL;
    struct record *r = &call_log->records[serial % MAX_RECORDS];
    r->serial = 0;
    for (int i = 0; i < CALLS_KEPT; i++)
        r->calls[i].number = 0;
    r->kind = (uint8_t)kind;
    r->local_port = r->peer_port = 0;
    r->fd = fd;
    r->pid = self.pid;
    r->made = 0;
    r->functions = 0;
    r->in_epoll = 0;
    r->epoll_data = 0;
    r->serial = serial;
    if (fd >= 0)
        store(fd, serial, OPEN);
    return r;
}

/* Both return -1 if there is none. An IPv6 address has its port at the same place. */
static int port_in(const struct sockaddr_in *address)
{
    return address->sin_family == AF_INET || address->sin_family == AF_INET6
               ? ntohs(address->sin_port)
               : 0;
}

static int local_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    return getsockname(fd, (struct sockaddr *)&address, &size) == -1 ? -1 : port_in(&address);
}

static int peer_port(int fd)
{
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    return getpeername(fd, (struct sockaddr *)&address, &size) == -1 ? -1 : port_in(&address);
}

static struct record *new_socket(int fd)
{
    struct record *r = new_record(SOCKET_RECORD, fd);
    int local = local_port(fd), peer = peer_port(fd);
    r->local_port = (uint16_t)(local > 0 ? local : 0);
    r->peer_port = (uint16_t)(peer > 0 ? peer : 0);
    return r;
}

/* Whether it is open is up to the kernel: a close() or an open() may have gone unnoticed, inside
 * the C library for example. */
static struct record *examine(int fd, uint32_t serial, bool *closed)
{
    int saved = errno;
    struct record *r = NULL, *old = record_with(serial);
    int local = local_port(fd);
    if (local == -1 && errno == EBADF) {
        *closed = true;
        r = old;
    } else if (local == -1) {
        store(fd, 0, NOT_A_SOCKET);
    } else if (old != NULL && old->fd == fd && old->peer_port != 0 &&
               old->peer_port == peer_port(fd) && old->local_port == local) {
        store(fd, serial, OPEN); /* a different thread is about to close it */
        r = old;
    } else {
        r = new_socket(fd);
    }
    errno = saved;
    return r;
}

/* NULL: not a socket, or nothing is known of it. */
static struct record *record_of(int fd, bool *closed)
{
    *closed = false;
    if (!is_covered(fd))
        return NULL;
    uint32_t value = load(fd), serial = value >> STATE_BITS;
    enum state state = value & ((1 << STATE_BITS) - 1);
    struct record *r = state == OPEN ? record_with(serial) : NULL;
    return r != NULL || state == NOT_A_SOCKET ? r : examine(fd, serial, closed);
}

void record_accepted(int fd)
{
    int saved = errno;
    if (is_covered(fd))
        new_socket(fd);
    errno = saved;
}

void record_peer(const struct begun *b, int fd, int port)
{
    int saved = errno;
    if (b->record != NULL) {
        int local = local_port(fd);
        b->record->local_port = (uint16_t)(local > 0 ? local : 0);
        b->record->peer_port = (uint16_t)port;
    }
    errno = saved;
}

void record_listener(const struct begun *b)
{
    if (b->record != NULL)
        b->record->kind = LISTENER_RECORD;
}

void record_epoll_data(int fd, uint64_t data)
{
    bool closed;
    struct record *r = record_of(fd, &closed);
    if (r != NULL && !closed) {
        r->in_epoll = 1;
        r->epoll_data = data;
    }
}

void forget_descriptor(int fd)
{
    if (is_covered(fd))
        store(fd, 0, UNKNOWN);
}

void copy_descriptor(int from, int to)
{
    if (is_covered(from) && is_covered(to) && from != to)
        atomic_store_explicit(&descriptors[to], load(from), memory_order_relaxed);
}

void mark_closed(int fd)
{
    if (!is_covered(fd))
        return;
    uint32_t serial = load(fd) >> STATE_BITS;
    store(fd, serial, serial != 0 ? CLOSED : UNKNOWN);
}

uint32_t serial_of(int fd)
{
    bool closed;
    struct record *r = record_of(fd, &closed);
    return r != NULL ? r->serial : 0;
}

/* ---- one call ---------------------------------------------------------------------------- */

static struct begun begin(struct record *r, enum called function, int64_t size, int flags)
{
    find_self();
    uint32_t number = atomic_fetch_add_explicit(&r->made, 1, memory_order_relaxed) + 1;
    struct recorded_call *c = &r->calls[number % CALLS_KEPT];
    if ((r->functions & 1U << function) == 0)
        atomic_fetch_or(&r->functions, 1U << function);
    atomic_store_explicit(&c->number, 0, memory_order_relaxed);
    atomic_store_explicit(&c->times, 1, memory_order_relaxed);
    atomic_store_explicit(&c->returned, 0, memory_order_relaxed);
    c->function = (uint8_t)function;
    c->after_close = 0;
    c->error = 0;
    c->pid = self.pid;
    c->tid = self.tid;
    c->flags = (uint32_t)flags;
    c->size = size;
    c->result = 0;
    c->detail = 0;
    atomic_store_explicit(&c->number, number, memory_order_release);
    return (struct begun){r, c, number};
}

struct begun begin_call(int fd, enum called function, int64_t size, int flags)
{
    bool closed;
    struct record *r = record_of(fd, &closed);
    if (r == NULL)
        return (struct begun){0};
    struct begun b = begin(r, function, size, flags);
    b.call->after_close = closed;
    if (function == CALLED_CLOSE && !closed && r->kind == SOCKET_RECORD) {
        int saved = errno, unread = 0;
        if (ioctl(fd, FIONREAD, &unread) == 0)
            b.call->size = unread;
        errno = saved;
    }
    return b;
}

struct begun begin_waiting(enum called function, int64_t timeout)
{
    if (call_log == NULL)
        return (struct begun){0};
    if (self.waiting == NULL || self.waiting->serial != self.serial) {
        self.waiting = new_record(WAITING_RECORD, -1);
        self.serial = self.waiting->serial;
    }
    return begin(self.waiting, function, timeout, 0);
}

void set_ready(const struct begun *b, uint32_t events, uint64_t detail)
{
    if (b->record == NULL)
        return;
    b->call->flags = events;
    b->call->detail = detail;
}

static bool is_same(const struct recorded_call *a, const struct recorded_call *b)
{
    return a->function == b->function && a->result == b->result && a->error == b->error &&
           a->size == b->size && a->flags == b->flags && a->detail == b->detail &&
           a->tid == b->tid && a->after_close == b->after_close;
}

int64_t finish_call(const struct begun *b, int64_t result)
{
    struct record *r = b->record;
    struct recorded_call *c = b->call;
    if (r == NULL || atomic_load_explicit(&c->number, memory_order_relaxed) != b->number)
        return result;
    c->result = result;
    c->error = result == -1 ? errno : 0;
    atomic_store_explicit(&c->returned, 1, memory_order_release);
    /* If the one before did the same, and none has begun since, they become one. */
    struct recorded_call *before = &r->calls[(b->number - 1) % CALLS_KEPT];
    uint32_t latest = b->number;
    if (before->number == b->number - 1 && before->number != 0 && before->returned &&
        is_same(before, c) && before->times != UINT32_MAX &&
        atomic_compare_exchange_strong(&r->made, &latest, b->number - 1)) {
        c->number = 0;
        before->times++;
    }
    return result;
}

void record_closed_range(unsigned first, unsigned last)
{
    for (unsigned fd = first; call_log != NULL && fd <= last && fd < MAX_FDS; fd++)
        if ((load((int)fd) & ((1 << STATE_BITS) - 1)) == OPEN) {
            struct begun b = begin_call((int)fd, CALLED_CLOSE, 0, 0);
            mark_closed((int)fd);
            finish_call(&b, 0);
        }
}
