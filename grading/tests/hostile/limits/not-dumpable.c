/* Does not let itself be inspected. */
#include <sys/prctl.h>
static void attack(void)
{
    prctl(PR_SET_DUMPABLE, 0);
}
