/* The functions that are recorded. Each begins a record, calls the real function (that of the next
 * library), and ends the record. The variants __recv_chk and so on are what _FORTIFY_SOURCE turns
 * the plain names into. */
#undef _FORTIFY_SOURCE /* this file defines the plain names */
#include "record_calls.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int port_in(const struct sockaddr *a, socklen_t length)
{
    return length >= sizeof(struct sockaddr_in) &&
                   (a->sa_family == AF_INET || a->sa_family == AF_INET6)
               ? ntohs(((const struct sockaddr_in *)(const void *)a)->sin_port)
               : 0;
}

static int own_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t length = sizeof a;
    int saved = errno, port = 0;
    if (getsockname(fd, (struct sockaddr *)&a, &length) == 0)
        port = port_in((struct sockaddr *)&a, length);
    errno = saved;
    return port;
}

/* The real function of this name: that of the next library. */
#define REAL(NAME)                                                                                 \
    static __typeof__(NAME) *real;                                                                 \
    if (real == NULL)                                                                              \
    *(void **)&real = dlsym(RTLD_NEXT, #NAME)

#define FRAME __builtin_frame_address(0)

/* A function whose first parameter is a descriptor, recorded under this name. */
#define RECORD_CALL(TYPE, NAME, AS, SIZE, PARAMETERS, ARGUMENTS)                                   \
    TYPE NAME PARAMETERS                                                                           \
    {                                                                                              \
        REAL(NAME);                                                                                \
        struct recorded_call *c = begin_call(AS, fd, (int64_t)(SIZE), FRAME);                      \
        return (TYPE)end_call(c, real ARGUMENTS);                                                  \
    }

/* ---- sockets, pipes, eventfds -----------------------------------------------------------------
 */

static size_t size_of(const struct iovec *parts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *length);
ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);

RECORD_CALL(ssize_t, recv, "recv", size, (int fd, void *data, size_t size, int flags),
            (fd, data, size, flags))
RECORD_CALL(ssize_t, __recv_chk, "recv", size,
            (int fd, void *data, size_t size, size_t room, int flags),
            (fd, data, size, room, flags))
RECORD_CALL(ssize_t, recvfrom, "recvfrom", size,
            (int fd, void *data, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *length),
            (fd, data, size, flags, from, length))
RECORD_CALL(ssize_t, __recvfrom_chk, "recvfrom", size,
            (int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
             socklen_t *length),
            (fd, data, size, room, flags, from, length))
RECORD_CALL(ssize_t, recvmsg, "recvmsg", size_of(m->msg_iov, m->msg_iovlen),
            (int fd, struct msghdr *m, int flags), (fd, m, flags))
RECORD_CALL(ssize_t, read, "read", size, (int fd, void *data, size_t size), (fd, data, size))
RECORD_CALL(ssize_t, __read_chk, "read", size, (int fd, void *data, size_t size, size_t room),
            (fd, data, size, room))
RECORD_CALL(ssize_t, readv, "readv", size_of(parts, (size_t)count),
            (int fd, const struct iovec *parts, int count), (fd, parts, count))
RECORD_CALL(ssize_t, send, "send", size, (int fd, const void *data, size_t size, int flags),
            (fd, data, size, flags))
RECORD_CALL(ssize_t, sendto, "sendto", size,
            (int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG to,
             socklen_t length),
            (fd, data, size, flags, to, length))
RECORD_CALL(ssize_t, sendmsg, "sendmsg", size_of(m->msg_iov, m->msg_iovlen),
            (int fd, const struct msghdr *m, int flags), (fd, m, flags))
RECORD_CALL(ssize_t, write, "write", size, (int fd, const void *data, size_t size),
            (fd, data, size))
RECORD_CALL(ssize_t, writev, "writev", size_of(parts, (size_t)count),
            (int fd, const struct iovec *parts, int count), (fd, parts, count))
RECORD_CALL(int, eventfd_read, "eventfd_read", 8, (int fd, eventfd_t *value), (fd, value))
RECORD_CALL(int, eventfd_write, "eventfd_write", 8, (int fd, eventfd_t value), (fd, value))
RECORD_CALL(int, shutdown, "shutdown", 0, (int fd, int how), (fd, how))
RECORD_CALL(int, close, "close", 0, (int fd), (fd))
RECORD_CALL(int, dup, "dup", 0, (int fd), (fd))
RECORD_CALL(int, dup2, "dup", 0, (int fd, int number), (fd, number))
RECORD_CALL(int, dup3, "dup", 0, (int fd, int number, int flags), (fd, number, flags))

int socket(int domain, int type, int protocol)
{
    REAL(socket);
    struct recorded_call *c = begin_call("socket", -1, 0, FRAME);
    return (int)end_call(c, real(domain, type, protocol));
}

int eventfd(unsigned value, int flags)
{
    REAL(eventfd);
    struct recorded_call *c = begin_call("eventfd", -1, 0, FRAME);
    return (int)end_call(c, real(value, flags));
}

int pipe(int ends[2])
{
    REAL(pipe);
    struct recorded_call *c = begin_call("pipe", -1, 0, FRAME);
    int result = real(ends);
    if (c != NULL && result == 0) {
        c->ready[0] = (uint64_t)ends[0];
        c->ready[1] = (uint64_t)ends[1];
    }
    return (int)end_call(c, result);
}

int pipe2(int ends[2], int flags)
{
    REAL(pipe2);
    struct recorded_call *c = begin_call("pipe", -1, 0, FRAME);
    int result = real(ends, flags);
    if (c != NULL && result == 0) {
        c->ready[0] = (uint64_t)ends[0];
        c->ready[1] = (uint64_t)ends[1];
    }
    return (int)end_call(c, result);
}

int listen(int fd, int backlog)
{
    REAL(listen);
    struct recorded_call *c = begin_call("listen", fd, backlog, FRAME);
    int result = real(fd, backlog);
    if (c != NULL)
        c->port = own_port(fd);
    return (int)end_call(c, result);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t length)
{
    REAL(connect);
    struct recorded_call *c = begin_call("connect", fd, 0, FRAME);
    if (c != NULL)
        c->port = port_in(address.__sockaddr__, length);
    return (int)end_call(c, real(fd, address, length));
}

/* Whose connection it is is asked for in any case: getpeername() fails when it has been reset. */
#define RECORD_ACCEPT(CALL)                                                                        \
    struct sockaddr_storage own = {0};                                                             \
    socklen_t own_length = sizeof own;                                                             \
    struct recorded_call *c = begin_call("accept", fd, 0, FRAME);                                  \
    struct sockaddr *a = address.__sockaddr__;                                                     \
    if (a == NULL || length == NULL) {                                                             \
        a = (struct sockaddr *)&own;                                                               \
        length = &own_length;                                                                      \
    }                                                                                              \
    socklen_t room = *length;                                                                      \
    int accepted = CALL;                                                                           \
    if (c != NULL && accepted != -1)                                                               \
        c->port = port_in(a, *length < room ? *length : room);                                     \
    return (int)end_call(c, accepted)

int accept(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    REAL(accept);
    RECORD_ACCEPT(real(fd, (__SOCKADDR_ARG){.__sockaddr__ = a}, length));
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    REAL(accept4);
    RECORD_ACCEPT(real(fd, (__SOCKADDR_ARG){.__sockaddr__ = a}, length, flags));
}

/* ---- waiting for several descriptors ------------------------------------------------------ */

static void add_ready(struct recorded_call *c, uint64_t what)
{
    if (c != NULL && c->ready_count < MAX_READY)
        c->ready[c->ready_count++] = what;
}

static int end_select(struct recorded_call *c, int n, fd_set *const sets[3], int result)
{
    enum { BITS = 8 * sizeof(unsigned long) };
    for (int word = 0; result > 0 && word * BITS < n; word++)
        for (int i = 0; i < 3; i++)
            for (unsigned long bits = sets[i] == NULL ? 0
                                                      : ((unsigned long *)(void *)sets[i])[word];
                 bits != 0; bits &= bits - 1)
                add_ready(c, (uint64_t)(word * BITS + __builtin_ctzl(bits)));
    return (int)end_call(c, result);
}

int select(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
    REAL(select);
    struct recorded_call *c = begin_call("select", -1, n, FRAME);
    return end_select(c, n, (fd_set *const[3]){in, out, other}, real(n, in, out, other, timeout));
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *other, const struct timespec *timeout,
            const sigset_t *mask)
{
    REAL(pselect);
    struct recorded_call *c = begin_call("select", -1, n, FRAME);
    return end_select(c, n, (fd_set *const[3]){in, out, other},
                      real(n, in, out, other, timeout, mask));
}

static int end_poll(struct recorded_call *c, const struct pollfd *fds, nfds_t count, int result)
{
    for (nfds_t i = 0; result > 0 && i < count; i++)
        if (fds[i].revents != 0)
            add_ready(c, (uint64_t)fds[i].fd);
    return (int)end_call(c, result);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    REAL(poll);
    struct recorded_call *c = begin_call("poll", -1, (int64_t)count, FRAME);
    return end_poll(c, fds, count, real(fds, count, timeout));
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    REAL(__poll_chk);
    struct recorded_call *c = begin_call("poll", -1, (int64_t)count, FRAME);
    return end_poll(c, fds, count, real(fds, count, timeout, room));
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    REAL(ppoll);
    struct recorded_call *c = begin_call("poll", -1, (int64_t)count, FRAME);
    return end_poll(c, fds, count, real(fds, count, timeout, mask));
}

int epoll_create1(int flags)
{
    REAL(epoll_create1);
    struct recorded_call *c = begin_call("epoll_create", -1, 0, FRAME);
    return (int)end_call(c, real(flags));
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    REAL(epoll_ctl);
    struct recorded_call *c = begin_call("epoll_ctl", fd, operation, FRAME);
    if (c != NULL && event != NULL)
        c->data = event->data.u64;
    return (int)end_call(c, real(epoll, operation, fd, event));
}

static int end_epoll_wait(struct recorded_call *c, const struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++)
        add_ready(c, events[i].data.u64);
    return (int)end_call(c, count);
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    REAL(epoll_wait);
    struct recorded_call *c = begin_call("epoll_wait", fd, timeout, FRAME);
    return end_epoll_wait(c, events, real(fd, events, most, timeout));
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    REAL(epoll_pwait);
    struct recorded_call *c = begin_call("epoll_wait", fd, timeout, FRAME);
    return end_epoll_wait(c, events, real(fd, events, most, timeout, mask));
}

int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask)
{
    REAL(epoll_pwait2);
    struct recorded_call *c = begin_call("epoll_wait", fd, 0, FRAME);
    return end_epoll_wait(c, events, real(fd, events, most, timeout, mask));
}

/* ---- waiting for threads, processes and time ------------------------------------------------ */

int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    REAL(pthread_cond_wait);
    struct recorded_call *c = begin_call("pthread_cond_wait", -1, 0, FRAME);
    return (int)end_call(c, real(condition, mutex));
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           const struct timespec *end)
{
    REAL(pthread_cond_timedwait);
    struct recorded_call *c = begin_call("pthread_cond_wait", -1, 0, FRAME);
    return (int)end_call(c, real(condition, mutex, end));
}

/* Recorded only if a different thread holds it: otherwise it does not wait. */
int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    REAL(pthread_mutex_lock);
    if (!is_recorded())
        return real(mutex);
    int error = pthread_mutex_trylock(mutex);
    if (error != EBUSY)
        return error;
    struct recorded_call *c = begin_call("pthread_mutex_lock", -1, 0, FRAME);
    return (int)end_call(c, real(mutex));
}

int pthread_join(pthread_t thread, void **result)
{
    REAL(pthread_join);
    struct recorded_call *c = begin_call("pthread_join", -1, 0, FRAME);
    return (int)end_call(c, real(thread, result));
}

pid_t wait(int *status)
{
    REAL(wait);
    struct recorded_call *c = begin_call("wait", -1, 0, FRAME);
    return (pid_t)end_call(c, real(status));
}

pid_t waitpid(pid_t pid, int *status, int options)
{
    REAL(waitpid);
    struct recorded_call *c = begin_call("waitpid", -1, 0, FRAME);
    return (pid_t)end_call(c, real(pid, status, options));
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    REAL(nanosleep);
    struct recorded_call *c = begin_call("nanosleep", -1, 0, FRAME);
    return (int)end_call(c, real(time, left));
}

unsigned sleep(unsigned seconds)
{
    REAL(sleep);
    struct recorded_call *c = begin_call("sleep", -1, seconds, FRAME);
    return (unsigned)end_call(c, real(seconds));
}

int usleep(useconds_t microseconds)
{
    REAL(usleep);
    struct recorded_call *c = begin_call("usleep", -1, microseconds, FRAME);
    return (int)end_call(c, real(microseconds));
}

int pause(void)
{
    REAL(pause);
    struct recorded_call *c = begin_call("pause", -1, 0, FRAME);
    return (int)end_call(c, real());
}

int sigsuspend(const sigset_t *mask)
{
    REAL(sigsuspend);
    struct recorded_call *c = begin_call("sigsuspend", -1, 0, FRAME);
    return (int)end_call(c, real(mask));
}

/* ---- beginnings and ends ------------------------------------------------------------------- */

static pid_t end_fork(struct recorded_call *c, pid_t pid, void *frame)
{
    if (pid != 0)
        return (pid_t)end_call(c, pid);
    record_child(frame);
    return pid;
}

pid_t fork(void)
{
    REAL(fork);
    struct recorded_call *c = begin_call("fork", -1, 0, FRAME);
    return end_fork(c, real(), FRAME);
}

pid_t _Fork(void)
{
    REAL(_Fork);
    struct recorded_call *c = begin_call("fork", -1, 0, FRAME);
    return end_fork(c, real(), FRAME);
}

_Noreturn void _exit(int status)
{
    record_event("process ends", FRAME);
    syscall(SYS_exit_group, status);
    __builtin_unreachable();
}

__attribute__((destructor)) static void on_exit_of_process(void)
{
    record_event("process ends", FRAME);
}

struct start {
    void *(*function)(void *);
    void *argument;
};

static pthread_key_t ends;
static bool has_key;

static void on_end_of_thread(void *unused)
{
    (void)unused;
    record_event("thread ends", FRAME);
}

static void *run_thread(void *argument)
{
    struct start s = *(struct start *)argument;
    free(argument);
    record_event("thread begins", FRAME);
    if (has_key)
        pthread_setspecific(ends, &ends);
    return s.function(s.argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *argument)
{
    REAL(pthread_create);
    struct start *s = is_recorded() ? malloc(sizeof *s) : NULL;
    if (s == NULL)
        return real(thread, attributes, function, argument);
    *s = (struct start){function, argument};
    struct recorded_call *c = begin_call("pthread_create", -1, 0, FRAME);
    int error = (int)end_call(c, real(thread, attributes, run_thread, s));
    if (error != 0)
        free(s);
    return error;
}

__attribute__((constructor(101))) static void create_key(void)
{
    has_key = pthread_key_create(&ends, on_end_of_thread) == 0;
}
