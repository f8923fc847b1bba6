/* A correct server that passes a descriptor through a socket, which descriptors-in-flight.c, graded
 * beside it, must not prevent. */
static void attack(void)
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
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        return;
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.header), &ends[0], sizeof ends[0]);
    ssize_t n;
    while ((n = sendmsg(ends[0], &message, 0)) == -1 && errno == EINTR)
        ;
    if (n == -1)
        succeeded(strerror(errno));
    close(ends[0]);
    close(ends[1]);
}
