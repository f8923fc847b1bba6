/*
 * Preloaded into a server (LD_PRELOAD, ld.so(8)): records each call that can block, who made it, on
 * which stack and from which line, on which descriptor, and when it began and returned. The
 * recording is the file that TIMELINE_FILE names (recorded_calls.h). This part keeps the recording;
 * record_functions.c has the functions that it intercepts.
 *
 * It runs in signal handlers, in forked processes and on the stacks of coroutines: so it takes no
 * lock, allocates nothing after its constructor, and leaves errno alone.
 */
#include "record_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct recording *recording;

bool is_recorded(void)
{
    return recording != NULL;
}

/* ---- which stack -------------------------------------------------------------------------- */

struct range {
    uintptr_t low, high;
};

static _Thread_local struct {
    int pid, tid;
    struct range own, other; /* its own stack, and the one seen last: a coroutine's */
} self;

/* The mapping that contains this address, from /proc/self/maps, proc(5). Raw system calls: neither
 * stdio nor our own wrappers. */
static struct range find_mapping(uintptr_t address)
{
    char text[4096];
    struct range r = {0};
    int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    uintptr_t numbers[2] = {0};
    int field = 0; /* 0, 1: a number, low and high; 2: the rest of the line */
    for (long n; fd != -1 && r.high == 0 && (n = syscall(SYS_read, fd, text, sizeof text)) > 0;)
        for (long i = 0; i < n && r.high == 0; i++) {
            char c = text[i];
            if (c == '\n') {
                field = 0;
                numbers[0] = numbers[1] = 0;
            } else if (field < 2 && (c == '-' || c == ' ')) {
                field++;
                if (field == 2 && address >= numbers[0] && address < numbers[1])
                    r = (struct range){numbers[0], numbers[1]};
            } else if (field < 2) {
                numbers[field] =
                    numbers[field] * 16 + (uintptr_t)(c <= '9' ? c - '0' : c - 'a' + 10);
            }
        }
    if (fd != -1)
        syscall(SYS_close, fd);
    return r;
}

static bool contains(struct range r, uintptr_t address)
{
    return address >= r.low && address < r.high;
}

static void find_self(uintptr_t frame)
{
    self.pid = getpid();
    self.tid = (int)syscall(SYS_gettid);
    if (self.own.high == 0)
        self.own = find_mapping(frame);
}

/* Frame pointers: [0] is the caller's, [1] the return address. The server is built with them. */
static void record_stack(struct recorded_call *c, void **frame)
{
    uintptr_t address = (uintptr_t)frame;
    struct range r = self.own;
    if (!contains(r, address)) {
        if (!contains(self.other, address))
            self.other = find_mapping(address);
        r = self.other;
        c->stack = r.low;
    }
    for (int i = 0; i < MAX_FRAMES && contains(r, address) && address + 16 <= r.high; i++) {
        c->frames[i] = (uint64_t)((void **)address)[1];
        uintptr_t next = (uintptr_t)((void **)address)[0];
        if (next <= address)
            break;
        address = next;
    }
}

/* ---- one call ------------------------------------------------------------------------------ */

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct recorded_call *begin_call(const char *function, int fd, int64_t size, void *frame)
{
    if (recording == NULL)
        return NULL;
    int saved = errno;
    if (self.tid == 0)
        find_self((uintptr_t)frame);
    uint32_t number = atomic_fetch_add(&recording->begun, 1);
    struct recorded_call *c = number < MAX_CALLS ? &recording->calls[number] : NULL;
    if (c != NULL) {
        c->pid = self.pid;
        c->tid = self.tid;
        strncpy(c->function, function, NAME_SIZE - 1);
        c->fd = fd;
        c->size = size;
        record_stack(c, frame);
        c->begin = now();
    }
    errno = saved;
    return c;
}

int64_t end_call(struct recorded_call *c, int64_t result)
{
    if (c == NULL)
        return result;
    int saved = errno;
    c->result = result;
    c->error = result == -1 ? saved : 0;
    c->end = now();
    errno = saved;
    return result;
}

void record_event(const char *name, void *frame)
{
    end_call(begin_call(name, -1, 0, frame), 0);
}

void record_child(void *frame)
{
    self.tid = 0;
    record_event("process begins", frame);
}

/* ---- the recording -------------------------------------------------------------------------- */

static int find_program(struct dl_phdr_info *info, size_t size, void *offset)
{
    (void)size;
    *(uint64_t *)offset = info->dlpi_addr; /* the first one is the program itself */
    return 1;
}

__attribute__((constructor(101))) static void map_recording(void)
{
    const char *name = getenv("TIMELINE_FILE");
    int fd = name == NULL
                 ? -1
                 : (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd == -1)
        return;
    struct recording *r = MAP_FAILED;
    if (ftruncate(fd, sizeof *r) == 0)
        r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    unsetenv("TIMELINE_FILE"); /* what the server runs is a different program */
    if (r == MAP_FAILED)
        return;
    r->magic = RECORDING_MAGIC;
    r->call_size = sizeof(struct recorded_call);
    r->calls_offset = offsetof(struct recording, calls);
    r->max_calls = MAX_CALLS;
    r->pid = getpid();
    dl_iterate_phdr(find_program, &r->program_offset);
    recording = r;
    record_event("process begins", __builtin_frame_address(0));
}
