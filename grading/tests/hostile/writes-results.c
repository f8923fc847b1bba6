/* Writes full marks wherever the grader's results might be. */
#include <fcntl.h>
static void attack(void)
{
    static const char result[] = "[{\"lab\": \"lab01-blocking\", \"score\": 100, \"max\": 100, "
                                 "\"verdict\": \"graded\", \"checks\": []}]\n";
    static const char *const places[] = {"/work/result.json",
                                         "/work/results.json",
                                         "results.json",
                                         "/results/results.json",
                                         "/work/build/faults.so",
                                         "/build/lab01-blocking-test",
                                         "/grader/grading/grade",
                                         "/proc/self/exe",
                                         "/usr/bin/jq",
                                         "/proc/1/mem",
                                         "/proc/2/mem",
                                         "/proc/sys/kernel/core_pattern",
                                         "/dev/mem",
                                         "../results.json",
                                         "/submission/server.c"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int fd = open(places[i], O_WRONLY);
        if (fd != -1 && write(fd, result, sizeof result - 1) > 0)
            succeeded(places[i]);
        if (fd != -1)
            close(fd);
    }
    for (int fd = 3; fd < 1024; fd++)
        if (fd != listener && write(fd, result, sizeof result - 1) > 0)
            succeeded("inherited a descriptor of the grader");
    /* The descriptors of other processes in its sandbox; a pipe without a reader does not count. */
    signal(SIGPIPE, SIG_IGN);
    for (int pid = 1; pid < 3; pid++)
        for (int number = 3; number < 64; number++) {
            char path[64];
            snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, number);
            int fd = open(path, O_WRONLY | O_NONBLOCK);
            if (fd != -1 && write(fd, result, sizeof result - 1) > 0)
                succeeded(path);
            if (fd != -1)
                close(fd);
        }
    signal(SIGPIPE, SIG_DFL);
}
