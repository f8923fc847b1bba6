/* Takes three gigabytes that no process maps: in memfds, by write(). */
#include <sys/mman.h>
static void attack(void)
{
    static char block[1 << 20];
    for (int i = 0; i < 60; i++) {
        int fd = memfd_create("m", 0);
        for (int j = 0; fd != -1 && j < 50; j++)
            if (write(fd, block, sizeof block) == -1)
                break;
        usleep(20000);
    }
    succeeded("3000 MB in memfds");
}
