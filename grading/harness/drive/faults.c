/*
 * Preloaded into the server (LD_PRELOAD, ld.so(8)): makes rare events certain. The environment
 * variable FAULTS lists them, as "short_send=7,short_recv=100,eintr=2":
 *
 *   short_send=N   a send takes at most N bytes
 *   short_recv=N   a recv returns at most N bytes
 *   eintr=N        each function's first call of every N fails with EINTR. Each function has its
 *                  own count: with one for all, every other recv could fail forever.
 *   eintr_close    the first close of every two sockets closes it and fails with EINTR
 *   sigchld_after_eintr  a child ends just after a call has failed with EINTR
 *   no_socket, no_listen  socket or listen fails
 *   fork_fails=N   the Nth fork after the first accept fails with EAGAIN
 *   thread_fails=N the Nth pthread_create after the first accept fails with EAGAIN
 *   late_parent    fork returns in the parent only when the child has ended
 *   late_kill      kill returns only when the child that it signals has ended
 *   late_children=N  in the first N children, fork returns only when a signal has arrived
 *   imaginary_children=N  after the first client, accept returns a socket N times without a client;
 *                  the first N forks return a pid without a child
 *   early_threads  pthread_create returns only when the new thread has ended or is blocked
 *   late_ends      a thread whose client has ended goes on only when the first thread waits for a
 *                  condition variable for the second time; and one second after it has unlocked
 *                  a mutex
 *   late_threads=N no new thread starts before N clients are accepted and N threads created
 *   spurious_wakeup=N  of every N calls that wait for a condition variable, the first returns at
 *                  once: pthread_cond_wait(3p) allows it
 *   term_before_accept=N, term_after_accept=N  SIGTERM arrives just before, or just after, the
 *                  Nth accept: too early to interrupt a call, or too late
 *   term_before_wait=N  SIGTERM arrives just before the first select, poll or epoll_wait after
 *                  the Nth accept. While blocked it stays pending until a call unblocks it.
 *   late_after_stop=N  after a stop (SIGSTOP, SIGCONT), the first select, poll or epoll_wait that
 *                  finds something ready returns N milliseconds late, as on a busy machine
 *   timeout_elapses  the first select with a timeout returns 0 at once, and no time is left
 *   strict_select  recv is reported on standard error when it fails with EAGAIN for eight clients
 *                  that select has not reported
 *   small_buffers  each accepted socket has the smallest possible send buffer
 *   big_receive    each accepted socket has a large receive buffer from the beginning
 *   strict_close   a close that fails with EBADF is reported on standard error
 *   never_drained=N  the Nth accepted client, after its first bytes, always has more to send: each
 *                  recv is full, and a send takes everything, which goes nowhere
 *
 * read and write are affected on sockets only: pipes, eventfds and signalfds are left alone.
 * EAGAIN is never injected: a server may take it to mean "drained".
 * The variants __recv_chk and so on are what _FORTIFY_SOURCE turns the plain names into.
 */
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
int fork_fails, thread_fails, late_threads, spurious_wakeup;
static int term_before_accept, term_after_accept, term_before_wait, never_drained;
static int late_after_stop;
static bool small_buffers;
bool strict_close, big_receive, eintr_close, no_socket, no_listen;

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

static const char *const names[] = {
    "short_send",         "short_recv",          "eintr",           "fork_fails",
    "thread_fails",       "late_threads",        "spurious_wakeup", "term_before_accept",
    "term_after_accept",  "term_before_wait",    "late_after_stop", "small_buffers",
    "big_receive",        "strict_close",        "never_drained",   "eintr_close",
    "no_socket",          "no_listen",           "late_parent",     "late_children",
    "imaginary_children", "sigchld_after_eintr", "early_threads",   "late_ends",
    "late_kill",          "timeout_elapses",     "strict_select",   NULL};

/* A misspelt name would be a fault that never happens. */
static void refuse_unknown(const char *faults)
{
    for (const char *word = faults; word != NULL && *word != '\0';) {
        size_t size = strcspn(word, "=,");
        int i = 0;
        while (names[i] != NULL && (strlen(names[i]) != size || strncmp(names[i], word, size) != 0))
            i++;
        if (names[i] == NULL) {
            dprintf(2, "FAULTS: unknown fault '%.*s'. Known faults:", (int)size, word);
            for (i = 0; names[i] != NULL; i++)
                dprintf(2, " %s", names[i]);
            dprintf(2, "\n");
            _exit(2);
        }
        word += strcspn(word, ",");
        word += *word == ',';
    }
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
    never_drained = (int)setting("never_drained=");
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
    dprintf(2, "FAULTS: SIGTERM %s\n", when);
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
    return endless_begun && fd == endless_fd;
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

static bool interrupted_wait(atomic_int *calls)
{
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
    static _Thread_local bool stopped;
    int saved = errno;
    if (late_after_stop != 0 && result == -1 && errno == EINTR)
        stopped = true;
    if (stopped && result > 0) {
        stopped = false;
        nanosleep(&(struct timespec){.tv_sec = late_after_stop / 1000,
                                     .tv_nsec = late_after_stop % 1000 * 1000000L},
                  NULL);
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
    if ((eintr == 0 && short_send == 0) || !is_socket(fd))
        return real(fd, data, size);
    return interrupted(&calls) ? -1 : real(fd, data, at_most(size, short_send));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    INTERCEPT(writev);
    if (has_more(fd) && count > 0)
        return (ssize_t)parts[0].iov_len;
    if (!is_socket(fd) || count < 1)
        return real(fd, parts, count);
    struct iovec part = parts[0];
    part.iov_len = at_most(part.iov_len, short_send);
    return interrupted(&calls) ? -1 : short_send ? real(fd, &part, 1) : real(fd, parts, count);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    INTERCEPT(sendmsg);
    if (has_more(fd) && message->msg_iovlen > 0)
        return (ssize_t)message->msg_iov[0].iov_len;
    struct msghdr shorter = *message;
    struct iovec part = {0};
    if (short_send && message->msg_iovlen > 0) {
        part = message->msg_iov[0];
        part.iov_len = at_most(part.iov_len, short_send);
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
    if ((eintr == 0 && short_recv == 0 && never_drained == 0) || !is_socket(fd))
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
    struct iovec part = parts[0];
    part.iov_len = at_most(part.iov_len, short_recv);
    return RECEIVE(part.iov_base, part.iov_len,
                   short_recv ? real(fd, &part, 1) : real(fd, parts, count));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    INTERCEPT(recvmsg);
    size_t count = message->msg_iovlen;
    if (interrupted(&calls))
        return -1;
    if (count == 0)
        return real(fd, message, flags);
    struct iovec whole = message->msg_iov[0];
    size_t size = at_most(whole.iov_len, short_recv);
    if (has_more(fd))
        return make_input(whole.iov_base, size);
    if (short_recv == 0)
        return fill_if_endless(fd, whole.iov_base, size, real(fd, message, flags));
    message->msg_iov[0].iov_len = size;
    message->msg_iovlen = 1;
    ssize_t n = fill_if_endless(fd, whole.iov_base, size, real(fd, message, flags));
    message->msg_iov[0] = whole;
    message->msg_iovlen = count;
    return n;
}

int accept(int fd, __SOCKADDR_ARG address, socklen_t *length)
{
    INTERCEPT(accept);
    if (interrupted(&calls))
        return child_ends_after_eintr();
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

/* The client has been closed: its descriptor may be given to another. */
void end_endless(int fd)
{
    if (fd == endless_fd) {
        endless_fd = -1;
        endless_begun = false;
    }
}
