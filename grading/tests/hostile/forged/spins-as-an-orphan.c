/* An orphan in a session of its own spins, while the server itself sleeps. */
#include <sys/wait.h>
static void attack(void)
{
    pid_t child = fork();
    if (child == 0) {
        if (fork() != 0)
            _exit(0);
        setsid();
        close(listener);
        for (;;)
            ;
    }
    waitpid(child, NULL, 0);
}
