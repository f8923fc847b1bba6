/* The faults of creating and closing sockets. See faults.c. */
#include "drive/faults.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int socket(int family, int type, int protocol)
{
    INTERCEPT(socket);
    if (no_socket) {
        errno = EMFILE;
        return -1;
    }
    return real(family, type, protocol);
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
    bool may_be_interrupted = eintr_close && is_socket(fd);
    int result = real(fd);
    if (may_be_interrupted && result == 0 && atomic_fetch_add(&calls, 1) % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (result == -1 && errno == EBADF && strict_close) {
        dprintf(2, "close(%d): this descriptor is not open (closed twice?)\n", fd);
        errno = EBADF;
    }
    return result;
}
