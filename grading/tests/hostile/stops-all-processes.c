/* Stops every process that it can, including the first one of its sandbox. */
#include <sys/syscall.h>
static void attack(void)
{
    for (int i = 0; i < 3; i++)
        for (int pid = 1; pid < 70000; pid++)
            if (pid != getpid())
                syscall(SYS_kill, pid, SIGSTOP);
}
