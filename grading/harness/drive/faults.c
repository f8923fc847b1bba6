/* The faults of calls on sockets; drive/faults.h lists all. */
#undef _FORTIFY_SOURCE /* this file defines the plain names */
#include "drive/faults.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

static size_t short_send, short_recv;
static int eintr;
int fork_fails, thread_fails, late_threads, spurious_wakeup, late_drain;
static int term_before_accept, term_after_accept, term_before_wait;
static int late_after_stop, pause_after_stop, close_after_stop, term_after_recv;
int socket_fails, accept_fails, never_drained;
bool small_buffers, strict_close, big_receive, eintr_close, no_socket, no_listen;

int first_process;
atomic_int accepted;

static size_t setting(const char *name)
{
    const char *faults = getenv("FAULTS"), *found = faults ? strstr(faults, name) : NULL;
    return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

static bool is_set(const char *name)
{
    const char *faults = getenv("FAULTS");
    return faults != NULL && strstr(faults, name) != NULL;
}

__attribute__((constructor)) static void begin(void)
{
    refuse_unknown(getenv("FAULTS"));
    first_process = getpid();
    short_send = setting("short_send=");
    short_recv = setting("short_recv=");
    eintr = (int)setting("eintr=");
    fork_fails = (int)setting("fork_fails=");
    thread_fails = (int)setting("thread_fails=");
    late_threads = (int)setting("late_threads=");
    spurious_wakeup = (int)setting("spurious_wakeup=");
    term_before_accept = (int)setting("term_before_accept=");
    term_after_accept = (int)setting("term_after_accept=");
    term_before_wait = (int)setting("term_before_wait=");
    late_after_stop = (int)setting("late_after_stop=");
    pause_after_stop = (int)setting("pause_after_stop=");
    close_after_stop = (int)setting("close_after_stop=");
    never_drained = (int)setting("never_drained=");
    late_drain = (int)setting("late_drain=");
    socket_fails = (int)setting("socket_fails=");
    accept_fails = (int)setting("accept_fails=");
    term_after_recv = (int)setting("term_after_recv=");
    imaginary_children = (int)setting("imaginary_children=");
    strict_close = is_set("strict_close");
    small_buffers = is_set("small_buffers");
    big_receive = is_set("big_receive");
    eintr_close = is_set("eintr_close");
    no_socket = is_set("no_socket");
    no_listen = is_set("no_listen");
    late_parent = is_set("late_parent");
    late_children = (int)setting("late_children=");
    late_kill = is_set("late_kill");
    sigchld_after_eintr = is_set("sigchld_after_eintr");
    early_threads = is_set("early_threads");
    late_ends = is_set("late_ends");
    timeout_elapses = is_set("timeout_elapses");
    strict_select = is_set("strict_select");
}

bool is_socket(int fd)
{
    struct stat s;
    int saved = errno;
    bool is = fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
    errno = saved;
    return is;
}

static bool interrupted(atomic_int *calls)
{
    if (eintr == 0 || atomic_fetch_add(calls, 1) % eintr != 0)
        return false;
    errno = EINTR;
    return true;
}

static size_t at_most(size_t size, size_t limit)
{
    return limit != 0 && size > limit ? limit : size;
}

static void send_sigterm(const char *when)
{
    report_fault("FAULTS: SIGTERM %s\n", when);
    kill(getpid(), SIGTERM);
}

/* Counts calls that succeed: a server that accepts until EAGAIN makes more. */
static void before_accept(void)
{
    if (term_before_accept != 0 && accepted + 1 == term_before_accept) {
        term_before_accept = 0;
        send_sigterm("just before accept");
    }
}

/* The descriptor of never_drained; and has it begun? */
static atomic_int endless_fd = -1;
static atomic_bool endless_begun;

static bool has_more(int fd)
{
    if (!endless_begun || fd != endless_fd)
        return false;
    if (stop_is_pending())
        end_endless(-1);
    return fd == endless_fd;
}

static ssize_t make_input(void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((char *)data)[i] = "y\n"[i % 2];
    return (ssize_t)size;
}

/* What was received; for never_drained, a full buffer instead of its first bytes. */
static ssize_t fill_if_endless(int fd, void *data, size_t size, ssize_t received)
{
    static atomic_int receives;
    if (term_after_recv != 0 && received > 0 &&
        atomic_fetch_add(&receives, 1) + 1 == term_after_recv)
        send_sigterm("just after recv");
    note_received(fd, received);
    if (received == 0)
        end_late();
    if (received <= 0 || fd != endless_fd)
        return received;
    endless_begun = true;
    return make_input(data, size);
}

static int count_accept(int fd)
{
    int saved = errno, count = fd != -1 ? atomic_fetch_add(&accepted, 1) + 1 : 0;
    if (fd != -1 && count == term_after_accept)
        send_sigterm("just after accept");
    if (fd != -1 && count == never_drained)
        endless_fd = fd;
    errno = saved;
    if (fd != -1 && small_buffers)
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
    return fd;
}

static _Thread_local bool stopped; /* a stop has made a call that waits fail with EINTR */

static void sleep_milliseconds(int n)
{
    nanosleep(&(struct timespec){.tv_sec = n / 1000, .tv_nsec = n % 1000 * 1000000L}, NULL);
}

void close_late(int fd)
{
    if (close_after_stop == 0 || !stopped || !is_socket(fd))
        return;
    stopped = false;
    sleep_milliseconds(close_after_stop);
}

static bool interrupted_wait(atomic_int *calls)
{
    if (pause_after_stop != 0 && stopped) {
        stopped = false;
        sleep_milliseconds(pause_after_stop);
    }
    if (interrupted(calls))
        return true;
    if (term_before_wait != 0 && accepted >= term_before_wait) {
        term_before_wait = 0;
        send_sigterm("just before a call that waits");
    }
    return false;
}

/* What a call that waits returns. A stop makes it fail with EINTR; the next one may be late. */
static int late(int result)
{
    int saved = errno;
    if (result == -1 && errno == EINTR)
        stopped = true;
    if (late_after_stop != 0 && stopped && result > 0) {
        stopped = false;
        sleep_milliseconds(late_after_stop);
    }
    errno = saved;
    return result;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    INTERCEPT(send);
    if (has_more(fd))
        return (ssize_t)size;
    return interrupted(&calls) ? -1 : real(fd, data, at_most(size, short_send), flags);
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, __CONST_SOCKADDR_ARG to,
               socklen_t length)
{
    INTERCEPT(sendto);
    if (has_more(fd))
        return (ssize_t)size;
    return interrupted(&calls) ? -1 : real(fd, data, at_most(size, short_send), flags, to, length);
}

ssize_t write(int fd, const void *data, size_t size)
{
    INTERCEPT(write);
    if (has_more(fd))
        return (ssize_t)size;
    if ((eintr == 0 && short_send == 0) || !is_socket(fd)) {
        ssize_t n = real(fd, data, size);
        count_wakeup(fd);
        return n;
    }
    return interrupted(&calls) ? -1 : real(fd, data, at_most(size, short_send));
}

/* All that a shortened call transfers. It may begin with empty parts, which are no end of file. */
static struct iovec first_part(const struct iovec *parts, size_t count, size_t limit)
{
    size_t i = 0;
    while (i + 1 < count && parts[i].iov_len == 0)
        i++;
    return (struct iovec){parts[i].iov_base, at_most(parts[i].iov_len, limit)};
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    INTERCEPT(writev);
    if (count < 1 || !is_socket(fd))
        return real(fd, parts, count);
    struct iovec part = first_part(parts, (size_t)count, short_send);
    if (has_more(fd))
        return (ssize_t)part.iov_len;
    return interrupted(&calls) ? -1 : short_send ? real(fd, &part, 1) : real(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    INTERCEPT(sendmsg);
    struct msghdr shorter = *message;
    struct iovec part = {0};
    if (message->msg_iovlen > 0)
        part = first_part(message->msg_iov, message->msg_iovlen, short_send);
    if (has_more(fd) && message->msg_iovlen > 0)
        return (ssize_t)part.iov_len;
    if (short_send && message->msg_iovlen > 0) {
        shorter.msg_iov = &part;
        shorter.msg_iovlen = 1;
    }
    return interrupted(&calls) ? -1 : real(fd, &shorter, flags);
}

/* What a receiving function returns: CALL is the real one, for at most SIZE bytes. */
#define RECEIVE(DATA, SIZE, CALL)                                                                  \
    (has_more(fd)          ? make_input(DATA, SIZE)                                                \
     : interrupted(&calls) ? -1                                                                    \
                           : fill_if_endless(fd, DATA, SIZE, CALL))

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    INTERCEPT(recv);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size, flags));
}

ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags);
ssize_t __recv_chk(int fd, void *data, size_t size, size_t room, int flags)
{
    INTERCEPT(__recv_chk);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size, room, flags));
}

ssize_t recvfrom(int fd, void *data, size_t size, int flags, __SOCKADDR_ARG from, socklen_t *length)
{
    INTERCEPT(recvfrom);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size, flags, from, length));
}

ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *length);
ssize_t __recvfrom_chk(int fd, void *data, size_t size, size_t room, int flags, __SOCKADDR_ARG from,
                       socklen_t *length)
{
    INTERCEPT(__recvfrom_chk);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size, room, flags, from, length));
}

ssize_t read(int fd, void *data, size_t size)
{
    INTERCEPT(read);
    hold_drain(fd);
    if ((eintr == 0 && short_recv == 0 && never_drained == 0 && term_after_recv == 0) ||
        !is_socket(fd))
        return real(fd, data, size);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size));
}

ssize_t __read_chk(int fd, void *data, size_t size, size_t room);
ssize_t __read_chk(int fd, void *data, size_t size, size_t room)
{
    INTERCEPT(__read_chk);
    if (!is_socket(fd))
        return real(fd, data, size, room);
    size = at_most(size, short_recv);
    return RECEIVE(data, size, real(fd, data, size, room));
}

ssize_t readv(int fd, const struct iovec *parts, int count)
{
    INTERCEPT(readv);
    if (!is_socket(fd) || count < 1)
        return real(fd, parts, count);
    struct iovec part = first_part(parts, (size_t)count, short_recv);
    return RECEIVE(part.iov_base, part.iov_len,
                   short_recv ? real(fd, &part, 1) : real(fd, parts, count));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    INTERCEPT(recvmsg);
    struct iovec *parts = message->msg_iov;
    size_t count = message->msg_iovlen;
    if (interrupted(&calls))
        return -1;
    if (count == 0)
        return real(fd, message, flags);
    struct iovec part = first_part(parts, count, short_recv);
    if (has_more(fd))
        return make_input(part.iov_base, part.iov_len);
    if (short_recv != 0) {
        message->msg_iov = &part;
        message->msg_iovlen = 1;
    }
    ssize_t n = fill_if_endless(fd, part.iov_base, part.iov_len, real(fd, message, flags));
    message->msg_iov = parts;
    message->msg_iovlen = count;
    return n;
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    INTERCEPT(accept);
    if (interrupted(&calls))
        return child_ends_after_eintr();
    if (accept_is_aborted(fd))
        return -1;
    before_accept();
    int imaginary = accept_imaginary();
    if (imaginary != -1)
        return imaginary;
    return count_accept(real(fd, address, length));
}

int accept4(int fd, __SOCKADDR_ARG address, socklen_t *length, int flags)
{
    INTERCEPT(accept4);
    if (interrupted(&calls))
        return child_ends_after_eintr();
    if (accept_is_aborted(fd))
        return -1;
    before_accept();
    int imaginary = accept_imaginary();
    if (imaginary != -1)
        return imaginary;
    return count_accept(real(fd, address, length, flags));
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    INTERCEPT(poll);
    return interrupted_wait(&calls) ? -1 : late(real(fds, count, timeout));
}

int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room);
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t room)
{
    INTERCEPT(__poll_chk);
    return interrupted_wait(&calls) ? -1 : late(real(fds, count, timeout, room));
}

int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    INTERCEPT(ppoll);
    return interrupted_wait(&calls) ? -1 : late(real(fds, count, timeout, mask));
}

int select(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
    INTERCEPT(select);
    if (interrupted_wait(&calls))
        return note_reported(0, NULL, NULL, -1);
    if (select_times_out(n, in, out, other, timeout))
        return 0;
    return note_reported(n, in, out, late(real(n, in, out, other, timeout)));
}

int pselect(int n, fd_set *in, fd_set *out, fd_set *other, const struct timespec *timeout,
            const sigset_t *mask)
{
    INTERCEPT(pselect);
    if (interrupted_wait(&calls))
        return note_reported(0, NULL, NULL, -1);
    return note_reported(n, in, out, late(real(n, in, out, other, timeout, mask)));
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    INTERCEPT(epoll_wait);
    return interrupted_wait(&calls) ? -1 : late(real(fd, events, most, timeout));
}

int epoll_pwait(int fd, struct epoll_event *events, int most, int timeout, const sigset_t *mask)
{
    INTERCEPT(epoll_pwait);
    return interrupted_wait(&calls) ? -1 : late(real(fd, events, most, timeout, mask));
}

/* valgrind does not know this call, and would let it fail: there it is epoll_pwait, in milliseconds
 * that are rounded up. */
int epoll_pwait2(int fd, struct epoll_event *events, int most, const struct timespec *timeout,
                 const sigset_t *mask)
{
    INTERCEPT(epoll_pwait2);
    if (interrupted_wait(&calls))
        return -1;
    if (!RUNNING_ON_VALGRIND)
        return late(real(fd, events, most, timeout, mask));
    long milliseconds =
        timeout == NULL ? -1 : timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return epoll_pwait(fd, events, most, (int)milliseconds, mask);
}

void end_endless(int fd)
{
    if (fd == -1 || fd == endless_fd) {
        endless_fd = -1;
        endless_begun = false;
    }
}
