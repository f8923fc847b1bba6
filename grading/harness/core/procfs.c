#include "core/procfs.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t read_proc(char *text, size_t size, const char *format, int a, int b)
{
    char path[96];
    snprintf(path, sizeof path, format, a, b);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return -1;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n;
}

char read_task_state(pid_t pid, pid_t tid, pid_t *parent)
{
    char text[512], state = '-';
    *parent = -1;
    if (read_proc(text, sizeof text, "/proc/%d/task/%d/stat", pid, tid) > 0) {
        const char *after_name = strrchr(text, ')'); /* the name itself may contain a ')' */
        if (after_name != NULL)
            sscanf(after_name + 1, " %c %d", &state, parent);
    }
    return state;
}
