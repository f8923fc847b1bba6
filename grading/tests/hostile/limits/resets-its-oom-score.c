/* Takes back that the kernel kills it first when the machine runs out of memory. */
#include <fcntl.h>
static void attack(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY);
    if (fd != -1 && write(fd, "0", 1) == 1)
        succeeded("oom_score_adj is 0");
}
