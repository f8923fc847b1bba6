/* Only send() is its own. */
#include <sys/syscall.h>
ssize_t send(int fd, const void *data, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
static void attack(void)
{
}
