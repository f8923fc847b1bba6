/* Takes three gigabytes that no process maps: bytes that were sent and never received, through
 * sockets of the machine itself, unix(7). */
#include <sys/resource.h>
static void attack(void)
{
    static char block[1 << 16];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 60; i++) {
        for (size_t sent = 0; sent < 50 << 20;) {
            int ends[2];
            if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == -1)
                return;
            setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &(int){1 << 30}, sizeof(int));
            for (ssize_t n; (n = send(ends[0], block, sizeof block, MSG_DONTWAIT)) > 0;)
                sent += (size_t)n;
        }
        usleep(20000);
    }
    succeeded("3000 MB in sockets");
}
