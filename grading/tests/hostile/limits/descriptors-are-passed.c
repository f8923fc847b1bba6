/* A correct server that passes a descriptor through a socket, which descriptors-in-flight.c, graded
 * beside it, must not prevent. */
static void attack(void)
{
    int ends[2];
    ssize_t n;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
        return;
    while ((n = send_descriptor(ends[0], ends[0], 1)) == -1 && errno == EINTR)
        ;
    if (n == -1)
        succeeded(strerror(errno));
    close(ends[0]);
    close(ends[1]);
}
