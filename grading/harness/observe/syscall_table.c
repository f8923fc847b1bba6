#include "observe/syscall_table.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

static const struct call {
    long number;
    const char *name;
    enum call_kind kind;
} calls[] = {
    {SYS_read, "read", CALL_READS},
    {SYS_readv, "readv", CALL_READS},
    {SYS_recvfrom, "recv", CALL_READS}, /* to the kernel recv(2) is recvfrom */
    {SYS_recvmsg, "recvmsg", CALL_READS},
    {SYS_recvmmsg, "recvmmsg", CALL_READS},
    {SYS_splice, "splice", CALL_READS}, /* from its first argument; it writes to its third */
    {SYS_write, "write", CALL_WRITES},
    {SYS_writev, "writev", CALL_WRITES},
    {SYS_sendto, "send", CALL_WRITES},
    {SYS_sendmsg, "sendmsg", CALL_WRITES},
    {SYS_sendmmsg, "sendmmsg", CALL_WRITES},
    {SYS_sendfile, "sendfile", CALL_WRITES},
    {SYS_accept, "accept", CALL_OTHER},
    {SYS_accept4, "accept4", CALL_OTHER},
    {SYS_connect, "connect", CALL_OTHER},
    {SYS_close, "close", CALL_OTHER},
    {SYS_shutdown, "shutdown", CALL_OTHER},
    {SYS_epoll_pwait, "epoll_wait", CALL_POLLS},
#ifdef SYS_epoll_wait
    {SYS_epoll_wait, "epoll_wait", CALL_POLLS},
#endif
#ifdef SYS_epoll_pwait2
    {SYS_epoll_pwait2, "epoll_wait", CALL_POLLS},
#endif
#ifdef SYS_select
    {SYS_select, "select", CALL_POLLS},
#endif
    {SYS_pselect6, "select", CALL_POLLS},
#ifdef SYS_poll
    {SYS_poll, "poll", CALL_POLLS},
#endif
    {SYS_ppoll, "poll", CALL_POLLS},
#ifdef SYS_pause
    {SYS_pause, "pause", CALL_WAITS},
#endif
    {SYS_futex, "futex (a lock, a condition variable or a join)", CALL_WAITS},
    {SYS_nanosleep, "nanosleep", CALL_WAITS},
    {SYS_clock_nanosleep, "nanosleep", CALL_WAITS},
    {SYS_wait4, "waitpid", CALL_WAITS},
    {SYS_waitid, "waitid", CALL_WAITS},
    {SYS_rt_sigtimedwait, "sigwait", CALL_WAITS},
    {SYS_rt_sigsuspend, "sigsuspend", CALL_WAITS},
};

static const struct call *find_call(long number)
{
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return &calls[i];
    return NULL;
}

const char *call_name(long number)
{
    const struct call *call = find_call(number);
    return call == NULL ? NULL : call->name;
}

enum call_kind call_kind(long number)
{
    const struct call *call = find_call(number);
    return call == NULL ? CALL_OTHER : call->kind;
}

bool is_epoll_wait(long number)
{
    const char *name = call_name(number);
    return name != NULL && strcmp(name, "epoll_wait") == 0;
}
