/* Searches the processes for the grader, and tries to trace its parent. */
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
static void attack(void)
{
    for (int pid = 1; pid < 70000; pid++) {
        char path[64], line[256] = "";
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        FILE *file = pid == getpid() ? NULL : fopen(path, "r");
        if (file == NULL)
            continue;
        size_t n = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        for (size_t i = 0; i < n; i++)
            line[i] = line[i] == '\0' ? ' ' : line[i];
        if (strstr(line, "-test --lab") != NULL || strstr(line, "memory-watcher") != NULL ||
            strstr(line, "grade-in-sandbox") != NULL)
            succeeded("saw the grader");
    }
    if (getppid() != 0 && ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0)
        succeeded("traced the parent");
}
