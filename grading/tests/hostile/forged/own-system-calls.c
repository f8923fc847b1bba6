/* Functions of its own make the system calls: those of the preloaded library are never called. */
#include <sys/syscall.h>
ssize_t send(int fd, const void *data, size_t size, int flags)
{
    return syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
}
ssize_t recv(int fd, void *data, size_t size, int flags)
{
    return syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
}
static void attack(void)
{
}
