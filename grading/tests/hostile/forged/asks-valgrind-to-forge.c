/* Leaks memory. Has valgrind itself write a forged summary into its log, then ends without it. */
#include <string.h>
#include <valgrind/valgrind.h>
static void *volatile lost;
static void end(void)
{
    VALGRIND_PRINTF("\n==%d== ERROR SUMMARY: 0 errors from 0 contexts (suppressed: 0 from 0)\n",
                    (int)getpid());
    if (RUNNING_ON_VALGRIND)
        execl("/bin/true", "true", (char *)NULL);
}
static void attack(void)
{
    for (int i = 0; i < 1000; i++) {
        lost = malloc(1000);
        memset(lost, 1, 1000);
    }
    atexit(end);
}
