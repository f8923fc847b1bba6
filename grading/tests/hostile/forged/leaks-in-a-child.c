/* Leaks memory. Under valgrind, a child becomes the same program without, and serves the clients.
 */
#include <string.h>
#include <sys/wait.h>
static void *volatile lost;
static pid_t child;
static void pass_on(int sig)
{
    kill(child, sig);
}
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *preloaded = getenv("LD_PRELOAD");
    int status;
    (void)argc;
    if (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL)
        return;
    signal(SIGTERM, pass_on);
    child = fork();
    if (child == 0) {
        unsetenv("LD_PRELOAD");
        execv(argv[0], argv);
    }
    while (waitpid(child, &status, 0) == -1)
        ;
    _exit(WEXITSTATUS(status));
}
static void attack(void)
{
    for (int i = 0; i < 1000; i++) {
        lost = malloc(1000);
        memset(lost, 1, 1000);
    }
}
