/* The same, but the memfds are not even open: they wait in the queues of sockets. */
#include <sys/mman.h>
static void attack(void)
{
    static char block[1 << 20];
    for (int i = 0; i < 60; i++) {
        int ends[2], fd = memfd_create("m", 0);
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        for (int j = 0; fd != -1 && j < 50; j++)
            if (write(fd, block, sizeof block) == -1)
                break;
        send_descriptor(ends[0], fd, 1);
        close(fd);
        usleep(20000);
    }
    succeeded("3000 MB in sockets");
}
