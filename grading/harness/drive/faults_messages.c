/* recvmmsg and sendmmsg as the calls of recvmsg and sendmsg that they stand for, so that these are
 * recorded, and have their faults. */
#include "drive/faults.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/uio.h>

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    INTERCEPT(recvmmsg);
    if (timeout != NULL || !is_socket(fd))
        return real(fd, messages, count, flags, timeout);
    unsigned n = 0;
    for (; n < count; n++) {
        int wait = n > 0 && (flags & MSG_WAITFORONE) != 0 ? MSG_DONTWAIT : 0;
        ssize_t received = recvmsg(fd, &messages[n].msg_hdr, (flags & ~MSG_WAITFORONE) | wait);
        if (received == -1)
            return n > 0 ? (int)n : -1;
        messages[n].msg_len = (unsigned)received;
    }
    return (int)n;
}

static size_t size_of(const struct msghdr *message)
{
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    return size;
}

/* After a message that was sent in part no other is sent: the rest of it would be missing. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    INTERCEPT(sendmmsg);
    if (!is_socket(fd))
        return real(fd, messages, count, flags);
    for (unsigned n = 0; n < count; n++) {
        ssize_t sent = sendmsg(fd, &messages[n].msg_hdr, flags);
        if (sent == -1)
            return n > 0 ? (int)n : -1;
        messages[n].msg_len = (unsigned)sent;
        if ((size_t)sent < size_of(&messages[n].msg_hdr))
            return (int)n + 1;
    }
    return (int)count;
}
