/* Leaves a descriptor open, and prints that it is a process for which that does not matter. */
#include <fcntl.h>
static void attack(void)
{
    if (open("/dev/null", O_RDONLY) == -1)
        exit(1);
    fprintf(stderr, "FAULTS: process %d only forks\n", (int)getpid());
}
