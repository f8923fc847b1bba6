/*
 * The fault of the wakeup descriptor, an eventfd or a pipe, through which a thread tells the loop
 * that it has added a result. See faults.h.
 *
 * A loop that drains it after it has taken the results loses a result that is added in between,
 * with its notification. Here something is certainly added in between: the read waits for the next
 * write, for at most 800 ms, in case the server waits for nothing of the kind.
 */
#include "drive/faults.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_int wakeups;

static bool is_wakeup_descriptor(int fd)
{
    struct stat s;
    int domain = 0;
    if (fstat(fd, &s) == -1)
        return false;
    if (S_ISSOCK(s.st_mode))
        return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &(socklen_t){sizeof domain}) == 0 &&
               domain == AF_UNIX;
    return S_ISFIFO(s.st_mode) || (s.st_mode & S_IFMT) == 0; /* an eventfd has no type */
}

static bool is_readable(int fd)
{
    struct pollfd descriptor = {.fd = fd, .events = POLLIN};
    return syscall(SYS_ppoll, &descriptor, 1, &(struct timespec){0}, NULL, 0) == 1;
}

void hold_drain(int fd)
{
    enum { MILLISECONDS = 800 };
    static atomic_bool held;
    int saved = errno;
    if (late_drain != 0 && accepted >= late_drain && is_wakeup_descriptor(fd) && is_readable(fd) &&
        !atomic_exchange(&held, true)) {
        int before = wakeups;
        report_fault("FAULTS: the loop drains its wakeup descriptor only after the next wakeup\n");
        for (int i = 0; i < MILLISECONDS && wakeups == before; i++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    errno = saved;
}

void count_wakeup(int fd)
{
    if (late_drain == 0)
        return;
    int saved = errno;
    if (is_wakeup_descriptor(fd))
        atomic_fetch_add(&wakeups, 1);
    errno = saved;
}

int eventfd_read(int fd, eventfd_t *value)
{
    INTERCEPT(eventfd_read);
    hold_drain(fd);
    return real(fd, value);
}

int eventfd_write(int fd, eventfd_t value)
{
    INTERCEPT(eventfd_write);
    int result = real(fd, value);
    count_wakeup(fd);
    return result;
}
