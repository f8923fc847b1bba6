/* Eight processes allocate memory endlessly, and write to every page. */
#include <string.h>
static void attack(void)
{
    for (int i = 0; i < 3; i++)
        fork();
    for (;;) {
        char *more = malloc(1 << 22);
        if (more != NULL)
            memset(more, 1, 1 << 22);
    }
}
