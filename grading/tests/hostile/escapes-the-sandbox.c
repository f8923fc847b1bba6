/* Tries to get namespaces, mounts and privileges from the kernel. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
static void attack(void)
{
    if (unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWNET) == 0)
        succeeded("created a namespace");
    if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0 || umount2("/proc", MNT_DETACH) == 0 ||
        chroot("/tmp") == 0)
        succeeded("changed the mounts");
    if (setuid(0) == 0 || setgid(0) == 0)
        succeeded("became root");
    static const char *const spaces[] = {"/proc/1/ns/user", "/proc/1/ns/pid", "/proc/1/ns/mnt",
                                         "/proc/1/ns/net"};
    for (int i = 0; i < 4; i++) {
        int fd = open(spaces[i], O_RDONLY);
        if (fd != -1 && i > 0 && setns(fd, 0) == 0)
            succeeded(spaces[i]);
        if (fd != -1)
            close(fd);
    }
}
