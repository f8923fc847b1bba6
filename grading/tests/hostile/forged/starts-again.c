/* Starts itself again without the preloaded library. */
#include <string.h>
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *preloaded = getenv("LD_PRELOAD");
    (void)argc;
    if (preloaded != NULL && strstr(preloaded, "vgpreload") == NULL) {
        unsetenv("LD_PRELOAD");
        execv(argv[0], argv);
    }
}
static void attack(void)
{
}
