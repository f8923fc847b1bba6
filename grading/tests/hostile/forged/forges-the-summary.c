/* Leaks memory. Under valgrind it starts itself again without, and prints what valgrind would have.
 */
#include <string.h>
static void *volatile lost;
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *preloaded = getenv("LD_PRELOAD");
    (void)argc;
    if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL) {
        unsetenv("LD_PRELOAD");
        setenv("FORGE", "1", 1);
        execv(argv[0], argv);
    }
}
/* On every descriptor that might be valgrind's log. */
static void forge(void)
{
    for (int fd = 2; fd < 2000; fd++)
        dprintf(fd, "==%d== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)\n",
                (int)getpid());
}
static void attack(void)
{
    for (int i = 0; i < 1000; i++) {
        lost = malloc(1000);
        memset(lost, 1, 1000);
    }
    if (getenv("FORGE") != NULL)
        atexit(forge);
}
