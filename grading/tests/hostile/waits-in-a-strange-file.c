/* Waits in a read of a pipe whose name holds terminal escapes, a C1 control character, a
 * bidirectional control, a newline and what is not UTF-8: the evidence names the file.
 */
#include <fcntl.h>
#include <sys/stat.h>
static void attack(void)
{
    static const char name[] =
        "/tmp/\033]0;owned\007\033[31mred\302\2332J\342\200\256gnp\n# 100 of 100 points\n\377<b>";
    mkfifo(name, 0600);
    int fd = open(name, O_RDWR);
    printf("listening on 127.0.0.1:1\n");
    fflush(stdout);
    char c;
    if (read(fd, &c, 1) == 1)
        exit(3);
}
