/*
 * Preloaded into a server under helgrind, which does not know that a pipe orders what two threads
 * do: whatever a thread did before it wrote into a pipe happened before another thread has read
 * from it.
 *
 * Not so for eventfds: a server that only counts wake-ups takes its data under a lock as well, and
 * one that does not is to be reported.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>
#include <valgrind/helgrind.h>

static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_write)(int, const void *, size_t);

/* Before any thread exists: later, helgrind would report these two. */
__attribute__((constructor)) static void begin(void)
{
    *(void **)&real_read = dlsym(RTLD_NEXT, "read");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
}

/* Both ends of a pipe have the same inode. 0: not a pipe. */
static uintptr_t pipe_of(int fd)
{
    struct stat s;
    return fstat(fd, &s) == 0 && S_ISFIFO(s.st_mode) ? (uintptr_t)s.st_ino : 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
    uintptr_t pipe = pipe_of(fd);
    if (pipe != 0)
        ANNOTATE_HAPPENS_BEFORE(pipe);
    return real_write(fd, data, size);
}

ssize_t read(int fd, void *data, size_t size)
{
    ssize_t n = real_read(fd, data, size);
    uintptr_t pipe = n > 0 ? pipe_of(fd) : 0;
    if (pipe != 0)
        ANNOTATE_HAPPENS_AFTER(pipe);
    return n;
}
