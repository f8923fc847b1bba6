/* Takes three gigabytes that no process maps: bytes that were sent through TCP connections, and
 * never received. */
static void attack(void)
{
    enum { ENOUGH = 50 << 20, MOST_FOR_ONE = 4 << 20 };
    static char block[1 << 16];
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int other = listen_on(0);
    getsockname(other, (struct sockaddr *)&address, &size);
    for (int i = 0; i < 60; i++) {
        for (size_t sent = 0; sent < ENOUGH;) {
            int client = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(client, (struct sockaddr *)&address, sizeof address) == -1)
                return;
            int accepted = accept(other, NULL, NULL);
            int largest = MOST_FOR_ONE;
            setsockopt(client, SOL_SOCKET, SO_SNDBUF, &largest, sizeof largest);
            setsockopt(accepted, SOL_SOCKET, SO_RCVBUF, &largest, sizeof largest);
            for (ssize_t n; (n = send(client, block, sizeof block, MSG_DONTWAIT)) > 0;)
                sent += (size_t)n;
        }
        usleep(20000);
    }
    succeeded("3000 MB in connections");
}
