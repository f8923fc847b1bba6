/* Looks for the grader among the processes, and traces or stops what it finds. */
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
        if (strstr(line, "-test --lab") != NULL || strstr(line, "warden") != NULL ||
            strstr(line, "inside") != NULL)
            succeeded("the grader was seen");
    }
    if (getppid() != 0 && ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0)
        succeeded("the parent was traced");
}
