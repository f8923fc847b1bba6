#include "drive/exec_failure.h"
#include "core/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Shared with the child until it execs: the program that it then becomes no longer has it. */
static char *reason;
enum { REASON_SIZE = 500 };

void forget_exec_failure(void)
{
    if (reason == NULL) {
        void *shared =
            mmap(NULL, REASON_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        reason = shared != MAP_FAILED ? shared : NULL;
    }
    if (reason != NULL)
        *reason = '\0';
}

void note_exec_failure(const char *what)
{
    if (reason != NULL)
        snprintf(reason, REASON_SIZE, "cannot run %s: %s", what, strerror(errno));
}

const char *exec_failure(void)
{
    return reason != NULL && *reason != '\0' ? reason : NULL;
}

bool valgrind_works(void)
{
    int status;
    pid_t pid = sandbox_is_used() ? fork_into_sandbox() : fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        if (null != -1 && dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(null, 2) == 2)
            execlp("valgrind", "valgrind", "--vgdb=no", "/bin/true", (char *)NULL);
        _exit(127);
    }
    if (pid == -1)
        return false;
    while (waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
