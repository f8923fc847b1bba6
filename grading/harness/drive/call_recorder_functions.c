/* The functions that call_recorder.so intercepts. Each begins a record, calls the real function
 * (that of faults.so, which is preloaded after this one), and ends the record. The variants
 * __recv_chk and so on are what _FORTIFY_SOURCE turns the plain names into. */
#undef _FORTIFY_SOURCE /* this file defines the plain names */
#include "drive/call_recorder.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *length);
ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t room);

#define FOR_EACH_FUNCTION(DO)                                                                      \
    DO(accept)                                                                                     \
    DO(accept4)                                                                                    \
    DO(connect)                                                                                    \
    DO(listen)                                                                                     \
    DO(recv)                                                                                       \
    DO(__recv_chk)                                                                                 \
    DO(recvfrom)                                                                                   \
    DO(__recvfrom_chk)                                                                             \
    DO(recvmsg)                                                                                    \
    DO(read)                                                                                       \
    DO(__read_chk)                                                                                 \
    DO(readv)                                                                                      \
    DO(send)                                                                                       \
    DO(sendto)                                                                                     \
    DO(sendmsg)                                                                                    \
    DO(write)                                                                                      \
    DO(writev)                                                                                     \
    DO(sendfile)                                                                                   \
    DO(sendfile64)                                                                                 \
    DO(splice)                                                                                     \
    DO(shutdown)                                                                                   \
    DO(setsockopt)                                                                                 \
    DO(close)                                                                                      \
    DO(close_range)                                                                                \
    DO(closefrom)                                                                                  \
    DO(fclose)                                                                                     \
    DO(socket)                                                                                     \
    DO(dup)                                                                                        \
    DO(dup2)                                                                                       \
    DO(dup3)                                                                                       \
    DO(epoll_ctl)                                                                                  \
    DO(select)                                                                                     \
    DO(pselect)                                                                                    \
    DO(poll)                                                                                       \
    DO(__poll_chk)                                                                                 \
    DO(ppoll)                                                                                      \
    DO(__ppoll_chk)                                                                                \
    DO(epoll_wait)                                                                                 \
    DO(epoll_pwait)                                                                                \
    DO(epoll_pwait2)                                                                               \
    DO(fork)                                                                                       \
    DO(_Fork)

#define DECLARE_REAL(NAME) static __typeof__(NAME) *real_##NAME;
FOR_EACH_FUNCTION(DECLARE_REAL)

/* All at once and before main: dlsym() may not be called from a signal handler. */
__attribute__((constructor(101))) static void find_real_functions(void)
{
#define FIND_REAL(NAME) *(void **)&real_##NAME = dlsym(RTLD_NEXT, #NAME);
    FOR_EACH_FUNCTION(FIND_REAL)
}

/* Begins each function below: constructors of other libraries may run before ours. */
#define INTERCEPT(NAME)                                                                            \
    if (real_##NAME == NULL)                                                                       \
    find_real_functions()

/* Records CALL as that of a function on the descriptor, and returns what it returns. */
#define RECORD(FD, FUNCTION, SIZE, FLAGS, CALL)                                                    \
    struct begun begun = begin_call(FD, FUNCTION, (int64_t)(SIZE), FLAGS);                         \
    return (__typeof__(CALL))finish_call(&begun, CALL)

/* ---- connections ------------------------------------------------------------------------- */

int accept(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    INTERCEPT(accept);
    struct begun b = begin_call(fd, CALLED_ACCEPT, 0, 0);
    record_listener(&b);
    int accepted = real_accept(fd, address, length);
    if (accepted != -1)
        record_accepted(accepted);
    return (int)finish_call(&b, accepted);
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    INTERCEPT(accept4);
    struct begun b = begin_call(fd, CALLED_ACCEPT, 0, 0);
    record_listener(&b);
    int accepted = real_accept4(fd, address, length, flags);
    if (accepted != -1)
        record_accepted(accepted);
    return (int)finish_call(&b, accepted);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    INTERCEPT(connect);
    const struct sockaddr *to = address.__sockaddr__;
    struct begun b = begin_call(fd, CALLED_CONNECT, 0, 0);
    int result = real_connect(fd, address, length);
    if (length >= sizeof(struct sockaddr_in) &&
        (to->sa_family == AF_INET || to->sa_family == AF_INET6))
        record_peer(&b, fd, ntohs(((const struct sockaddr_in *)to)->sin_port));
    return (int)finish_call(&b, result);
}

int listen(int fd, int backlog)
{
    INTERCEPT(listen);
    struct begun b = begin_call(fd, CALLED_LISTEN, backlog, 0);
    record_listener(&b);
    return (int)finish_call(&b, real_listen(fd, backlog));
}

int shutdown(int fd, int how)
{
    INTERCEPT(shutdown);
    RECORD(fd, CALLED_SHUTDOWN, 0, how, real_shutdown(fd, how));
}

int setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
    INTERCEPT(setsockopt);
    const struct linger *l = value;
    if (level != SOL_SOCKET || option != SO_LINGER || size < sizeof *l)
        return real_setsockopt(fd, level, option, value, size);
    RECORD(fd, CALLED_LINGER, l->l_onoff ? l->l_linger : -1, 0,
           real_setsockopt(fd, level, option, value, size));
}

/* ---- receiving --------------------------------------------------------------------------- */

static size_t size_of(const struct iovec *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    INTERCEPT(recv);
    RECORD(fd, CALLED_RECV, size, flags, real_recv(fd, data, size, flags));
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
    INTERCEPT(__recv_chk);
    RECORD(fd, CALLED_RECV, size, flags, real___recv_chk(fd, data, size, room, flags));
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *length)
{
    INTERCEPT(recvfrom);
    RECORD(fd, CALLED_RECVFROM, size, flags, real_recvfrom(fd, data, size, flags, from, length));
}

ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *length)
{
    INTERCEPT(__recvfrom_chk);
    RECORD(fd, CALLED_RECVFROM, size, flags,
           real___recvfrom_chk(fd, data, size, room, flags, from, length));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    INTERCEPT(recvmsg);
    RECORD(fd, CALLED_RECVMSG, size_of(message->msg_iov, message->msg_iovlen), flags,
           real_recvmsg(fd, message, flags));
}

ssize_t read(int fd, void *data, size_t size)
{
    INTERCEPT(read);
    RECORD(fd, CALLED_READ, size, 0, real_read(fd, data, size));
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
    INTERCEPT(__read_chk);
    RECORD(fd, CALLED_READ, size, 0, real___read_chk(fd, data, size, room));
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    INTERCEPT(readv);
    RECORD(fd, CALLED_READV, size_of(parts, (size_t)count), 0, real_readv(fd, parts, count));
}

/* ---- sending ----------------------------------------------------------------------------- */

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    INTERCEPT(send);
    RECORD(fd, CALLED_SEND, size, flags, real_send(fd, data, size, flags));
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t length)
{
    INTERCEPT(sendto);
    RECORD(fd, CALLED_SENDTO, size, flags, real_sendto(fd, data, size, flags, to, length));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    INTERCEPT(sendmsg);
    RECORD(fd, CALLED_SENDMSG, size_of(message->msg_iov, message->msg_iovlen), flags,
           real_sendmsg(fd, message, flags));
}

ssize_t write(int fd, const void *data, size_t size)
{
    INTERCEPT(write);
    RECORD(fd, CALLED_WRITE, size, 0, real_write(fd, data, size));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    INTERCEPT(writev);
    RECORD(fd, CALLED_WRITEV, size_of(parts, (size_t)count), 0, real_writev(fd, parts, count));
}

ssize_t sendfile(int out, int in, off_t *offset, size_t size)
{
    INTERCEPT(sendfile);
    RECORD(out, CALLED_SENDFILE, size, 0, real_sendfile(out, in, offset, size));
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size)
{
    INTERCEPT(sendfile64);
    RECORD(out, CALLED_SENDFILE, size, 0, real_sendfile64(out, in, offset, size));
}

ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size,
               unsigned flags)
{
    INTERCEPT(splice);
    struct begun from = begin_call(in, CALLED_SPLICE_FROM, (int64_t)size, 0);
    struct begun to = begin_call(out, CALLED_SPLICE_TO, (int64_t)size, 0);
    ssize_t n = real_splice(in, in_offset, out, out_offset, size, flags);
    finish_call(&from, n);
    return (ssize_t)finish_call(&to, n);
}

/* ---- descriptors and processes ----------------------------------------------------------- */

int close(int fd)
{
    INTERCEPT(close);
    struct begun b = begin_call(fd, CALLED_CLOSE, 0, 0);
    mark_closed(fd);
    return (int)finish_call(&b, real_close(fd));
}

int close_range(unsigned first, unsigned last, int flags)
{
    INTERCEPT(close_range);
    if (flags == 0)
        record_closed_range(first, last);
    return real_close_range(first, last, flags);
}

void closefrom(int first)
{
    INTERCEPT(closefrom);
    record_closed_range(first > 0 ? (unsigned)first : 0, ~0U);
    real_closefrom(first);
}

int fclose(FILE *file)
{
    INTERCEPT(fclose);
    int fd = fileno(file);
    if (fd != -1)
        record_closed_range((unsigned)fd, (unsigned)fd);
    return real_fclose(file);
}

int socket(int domain, int type, int protocol)
{
    INTERCEPT(socket);
    int fd = real_socket(domain, type, protocol);
    forget_descriptor(fd);
    return fd;
}

int dup(int fd)
{
    INTERCEPT(dup);
    int copy = real_dup(fd);
    copy_descriptor(fd, copy);
    return copy;
}

int dup2(int fd, int number)
{
    INTERCEPT(dup2);
    int copy = real_dup2(fd, number);
    copy_descriptor(fd, copy);
    return copy;
}

int dup3(int fd, int number, int flags)
{
    INTERCEPT(dup3);
    int copy = real_dup3(fd, number, flags);
    copy_descriptor(fd, copy);
    return copy;
}

pid_t fork(void)
{
    INTERCEPT(fork);
    pid_t pid = real_fork();
    if (pid == 0)
        record_fork();
    return pid;
}

pid_t _Fork(void)
{
    INTERCEPT(_Fork);
    pid_t pid = real__Fork();
    if (pid == 0)
        record_fork();
    return pid;
}

/* ---- waiting for several descriptors ----------------------------------------------------- */

static int64_t from_timespec(const struct timespec *t)
{
    return t == NULL ? -1 : (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static int64_t from_milliseconds(int milliseconds)
{
    return milliseconds < 0 ? -1 : (int64_t)milliseconds * 1000000;
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    INTERCEPT(epoll_ctl);
    int result = real_epoll_ctl(epoll, operation, fd, event);
    if (result == -1) {
        struct begun b = begin_call(fd, CALLED_EPOLL_CTL, 0, operation);
        return (int)finish_call(&b, result);
    }
    if (operation != EPOLL_CTL_DEL)
        record_epoll_data(fd, event->data.u64);
    return result;
}

static int end_epoll_wait(const struct begun *b, const struct epoll_event *events, int count)
{
    if (count > 0)
        set_ready(b, events[0].events, events[0].data.u64);
    return (int)finish_call(b, count);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    INTERCEPT(epoll_wait);
    struct begun b = begin_waiting(CALLED_EPOLL_WAIT, from_milliseconds(timeout));
    return end_epoll_wait(&b, events, real_epoll_wait(fd, events, most, timeout));
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    INTERCEPT(epoll_pwait);
    struct begun b = begin_waiting(CALLED_EPOLL_WAIT, from_milliseconds(timeout));
    return end_epoll_wait(&b, events, real_epoll_pwait(fd, events, most, timeout, mask));
}

int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask)
{
    INTERCEPT(epoll_pwait2);
    struct begun b = begin_waiting(CALLED_EPOLL_WAIT, from_timespec(timeout));
    return end_epoll_wait(&b, events, real_epoll_pwait2(fd, events, most, timeout, mask));
}

static int end_poll(const struct begun *b, const struct pollfd *fds, nfds_t count, int result)
{
    for (nfds_t i = 0; result > 0 && i < count; i++)
        if (fds[i].revents != 0) {
            set_ready(b, (uint32_t)fds[i].revents, serial_of(fds[i].fd));
            break;
        }
    return (int)finish_call(b, result);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    INTERCEPT(poll);
    struct begun b = begin_waiting(CALLED_POLL, from_milliseconds(timeout));
    return end_poll(&b, fds, count, real_poll(fds, count, timeout));
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    INTERCEPT(__poll_chk);
    struct begun b = begin_waiting(CALLED_POLL, from_milliseconds(timeout));
    return end_poll(&b, fds, count, real___poll_chk(fds, count, timeout, room));
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    INTERCEPT(ppoll);
    struct begun b = begin_waiting(CALLED_POLL, from_timespec(timeout));
    return end_poll(&b, fds, count, real_ppoll(fds, count, timeout, mask));
}

int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
                const sigset_t *mask, size_t room)
{
    INTERCEPT(__ppoll_chk);
    struct begun b = begin_waiting(CALLED_POLL, from_timespec(timeout));
    return end_poll(&b, fds, count, real___ppoll_chk(fds, count, timeout, mask, room));
}

/* The first descriptor in these sets, which may be larger than an fd_set. */
static void find_selected(const struct begun *b, int n, fd_set *const sets[3])
{
    static const uint32_t events[3] = {EPOLLIN, EPOLLOUT, EPOLLPRI};
    enum { BITS = 8 * sizeof(unsigned long) };
    for (int word = 0; word * BITS < n; word++)
        for (int i = 0; i < 3; i++) {
            unsigned long bits = sets[i] == NULL ? 0 : ((unsigned long *)(void *)sets[i])[word];
            if (bits != 0) {
                set_ready(b, events[i], serial_of(word * BITS + __builtin_ctzl(bits)));
                return;
            }
        }
}

int select(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
    INTERCEPT(select);
    struct begun b =
        begin_waiting(CALLED_SELECT, timeout == NULL ? -1
                                                     : (int64_t)timeout->tv_sec * 1000000000 +
                                                           (int64_t)timeout->tv_usec * 1000);
    int result = real_select(n, in, out, other, timeout);
    if (result > 0)
        find_selected(&b, n, (fd_set *const[3]){in, out, other});
    return (int)finish_call(&b, result);
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *other, const struct timespec *timeout,
            const sigset_t *mask)
{
    INTERCEPT(pselect);
    struct begun b = begin_waiting(CALLED_SELECT, from_timespec(timeout));
    int result = real_pselect(n, in, out, other, timeout, mask);
    if (result > 0)
        find_selected(&b, n, (fd_set *const[3]){in, out, other});
    return (int)finish_call(&b, result);
}
