/*
 * Preloaded into a server under valgrind: closes the descriptor of valgrind's log before main. The
 * server must not write to it, and it would count as one that the server has left open. valgrind
 * goes on with a copy that no program under it can use.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <valgrind/valgrind.h>

/* Also called in the process that becomes valgrind, which still needs the descriptor. */
__attribute__((constructor)) static void begin(void)
{
    const char *variable = getenv("VALGRIND_LOG");
    int fd = variable != NULL ? atoi(variable) : -1;
    if (!RUNNING_ON_VALGRIND)
        return;
    unsetenv("VALGRIND_LOG");
    if (fd > 2)
        syscall(SYS_close, fd);
}
