/* The faults of select, and a record of what it has reported. See faults.h. */
#include "drive/faults.h"

#include <errno.h>
#include <stdio.h>

int timeout_elapses, strict_select;

/* So many clients, in the same round: then it is no exception. */
enum { MAX_UNREPORTED = 8 };

static fd_set reported;
static bool has_reported;
static int unreported;

bool select_times_out(int n, fd_set *in, fd_set *out, fd_set *other, struct timeval *timeout)
{
    if (timeout_elapses == 0 || timeout == NULL || (timeout->tv_sec == 0 && timeout->tv_usec == 0))
        return false;
    timeout_elapses = 0;
    fd_set *sets[] = {in, out, other};
    for (int i = 0; i < 3; i++)
        for (int fd = 0; sets[i] != NULL && fd < n && fd < FD_SETSIZE; fd++)
            FD_CLR(fd, sets[i]);
    *timeout = (struct timeval){0, 0}; /* what is left of it: select(2) */
    return true;
}

int note_reported(int n, const fd_set *in, const fd_set *out, int result)
{
    if (strict_select == 0)
        return result;
    FD_ZERO(&reported);
    for (int fd = 0; result > 0 && fd < n && fd < FD_SETSIZE; fd++)
        if ((in != NULL && FD_ISSET(fd, in)) || (out != NULL && FD_ISSET(fd, out)))
            FD_SET(fd, &reported);
    has_reported = true;
    unreported = 0;
    return result;
}

/* A client that has just been accepted may be tried at once; so it takes several. */
void note_received(int fd, ssize_t received)
{
    if (strict_select == 0 || !has_reported || received != -1 ||
        (errno != EAGAIN && errno != EWOULDBLOCK) || fd >= FD_SETSIZE || FD_ISSET(fd, &reported))
        return;
    if (++unreported != MAX_UNREPORTED)
        return;
    report_fault("FAULTS: recv() failed with EAGAIN for %d clients that select had not reported\n",
                 MAX_UNREPORTED);
    errno = EAGAIN;
}
