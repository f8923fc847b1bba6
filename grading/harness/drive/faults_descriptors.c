/* The faults of calls that create a descriptor: socket_fails, accept_fails. See faults.c. */
#include "drive/faults.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int socket(int domain, int type, int protocol)
{
    INTERCEPT(socket);
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
