/* The faults of creating, accepting and closing sockets. See faults.h. */
#include "drive/faults.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int socket(int domain, int type, int protocol)
{
    INTERCEPT(socket);
    if (no_socket) {
        errno = EMFILE;
        return -1;
    }
    if (socket_fails != 0 && accepted != 0 &&
        (atomic_fetch_add(&calls, 1) + 1) % socket_fails == 0) {
        errno = EMFILE;
        return -1;
    }
    int fd = real(domain, type, protocol), saved = errno;
    if (small_buffers && accepted != 0 && fd != -1)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
    errno = saved;
    return fd;
}

bool accept_is_aborted(int listener)
{
    struct pollfd client = {.fd = listener, .events = POLLIN};
    if (accept_fails == 0 || accepted + 1 < accept_fails ||
        syscall(SYS_ppoll, &client, 1, &(struct timespec){0}, NULL, 0) != 1)
        return false;
    accept_fails = 0;
    errno = ECONNABORTED;
    return true;
}

/* Accepted sockets inherit the size, which holds from the first packet on: tcp(7). */
int listen(int fd, int backlog)
{
    INTERCEPT(listen);
    if (no_listen) {
        errno = EADDRINUSE;
        return -1;
    }
    if (big_receive)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){1024 * 1024}, sizeof(int));
    return real(fd, backlog);
}

int close(int fd)
{
    INTERCEPT(close);
    end_endless(fd);
    close_late(fd);
    bool may_be_interrupted = eintr_close && is_socket(fd);
    int result = real(fd);
    if (may_be_interrupted && result == 0 && atomic_fetch_add(&calls, 1) % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (result == -1 && errno == EBADF && strict_close) {
        if (fd < 0)
            report_fault("close(%d): there is no such descriptor\n", fd);
        else
            report_fault("close(%d): this descriptor is not open (closed twice?)\n", fd);
        errno = EBADF;
    }
    return result;
}
