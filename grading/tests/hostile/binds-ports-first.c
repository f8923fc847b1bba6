/* Binds hundreds of ports on which the grader might want to listen, then serves correctly. */
static int ports[400];
static void attack(void)
{
    for (int i = 0; i < 400; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        ports[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(ports[i], (struct sockaddr *)&address, sizeof address) == 0)
            listen(ports[i], 1);
    }
}
