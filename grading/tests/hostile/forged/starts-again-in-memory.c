/* Starts a copy of itself that is in memory only, without any environment. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *preloaded = getenv("LD_PRELOAD");
    (void)argc;
    if (preloaded == NULL || strstr(preloaded, "vgpreload") != NULL)
        return;
    int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int copy = memfd_create("copy", MFD_CLOEXEC);
    while (sendfile(copy, program, NULL, 1 << 20) > 0)
        ;
    fexecve(copy, argv, (char *[]){NULL});
}
static void attack(void)
{
}
