/* Binds every port of 127.0.0.1 that it can, in many processes. */
#include <sys/resource.h>
static void attack(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int part = 0; part < 64; part++)
        if (fork() == 0) {
            close(listener);
            for (int port = 1024 + part * 1008; port < 1024 + (part + 1) * 1008 && port < 65536;
                 port++) {
                struct sockaddr_in address = {.sin_family = AF_INET,
                                              .sin_port = htons((uint16_t)port),
                                              .sin_addr.s_addr = htonl(INADDR_ANY)};
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                if (fd != -1 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
                    listen(fd, 1);
            }
            for (;;)
                pause();
        }
}
