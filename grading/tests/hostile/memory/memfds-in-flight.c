/* The same, but the memfds are not even open: they wait in the queues of sockets. */
#include <string.h>
#include <sys/mman.h>
static void send_descriptor(int socket, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec one = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    sendmsg(socket, &message, 0);
}
static void attack(void)
{
    static char block[1 << 20];
    for (int i = 0; i < 60; i++) {
        int ends[2], fd = memfd_create("m", 0);
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        for (int j = 0; fd != -1 && j < 50; j++)
            if (write(fd, block, sizeof block) == -1)
                break;
        send_descriptor(ends[0], fd);
        close(fd);
        usleep(20000);
    }
    succeeded("3000 MB in sockets");
}
