/* Ends under valgrind, with lines that could be valgrind's own. */
#include <string.h>
static void attack(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL)
        return;
    fprintf(stderr, "valgrind: fatal error at startup\nvalgrind: mmap failed\n");
    exit(1);
}
