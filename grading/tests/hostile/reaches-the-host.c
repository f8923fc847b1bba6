/* Connects to a listener on the host's loopback; tries only 127.0.0.1. */
static void attack(void)
{
    struct sockaddr_in host = {.sin_family = AF_INET,
                               .sin_port = htons(HOST_PORT),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd != -1 && connect(fd, (struct sockaddr *)&host, sizeof host) == 0)
        succeeded("connected to the host's loopback");
    close(fd);
}
