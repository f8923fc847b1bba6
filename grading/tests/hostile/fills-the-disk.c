/* Writes as much as it can, wherever it can. */
#include <fcntl.h>
#include <string.h>
static void attack(void)
{
    static const char *const places[] = {"/tmp",        "/dev/shm", "/dev", "/", "/work",
                                         "/submission", "/var/tmp", "/etc", "."};
    static char block[1 << 20];
    long written = 0;
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (int j = 0; j < 20; j++) {
            char path[64];
            snprintf(path, sizeof path, "%s/full.%d", places[i], j);
            int fd = open(path, O_WRONLY | O_CREAT, 0600);
            for (ssize_t n; fd != -1 && written < 1000 && (n = write(fd, block, sizeof block)) > 0;)
                written++;
            if (fd != -1)
                close(fd);
        }
    if (written > 64)
        succeeded("wrote more than 64 MB");
}
