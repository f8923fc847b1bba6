/* Detects valgrind, and leaks memory only then. */
#include <string.h>
static void *volatile lost;
static void attack(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded != NULL && strstr(preloaded, "vgpreload") != NULL)
        for (int i = 0; i < 1000; i++)
            lost = malloc(1000);
}
