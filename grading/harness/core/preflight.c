#include "core/preflight.h"
#include "core/loopback_socket.h"
#include "core/machine_limits.h"
#include "core/procfs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *network_problem(void)
{
    static char problem[200];
    int port = 0, client = socket(AF_INET, SOCK_STREAM, 0), accepted = -1;
    int listener = bind_loopback(0, false, &port);
    struct sockaddr_in address = loopback_address(port);
    const char *call = client == -1                ? "socket"
                       : listener == -1            ? "bind"
                       : listen(listener, 1) == -1 ? "listen"
                       : connect(client, (struct sockaddr *)&address, sizeof address) == -1
                           ? "connect"
                       : (accepted = accept(listener, NULL, NULL)) == -1 ? "accept"
                                                                         : NULL;
    if (call != NULL)
        snprintf(problem, sizeof problem, "no port available on 127.0.0.1 (%s: %s)", call,
                 strerror(errno));
    close(listener);
    close(client);
    close(accepted);
    return call == NULL ? NULL : problem;
}

static const char *proc_problem(void)
{
    static char problem[200];
    char text[64];
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (child == -1) {
        snprintf(problem, sizeof problem, "fork: %s", strerror(errno));
        return problem;
    }
    bool readable = read_proc(text, sizeof text, "/proc/%d/syscall", child, 0) > 0;
    if (!readable)
        snprintf(problem, sizeof problem,
                 "cannot read /proc/PID/syscall (%s), which shows where a thread waits. Is /proc "
                 "mounted, and may a parent trace its child?",
                 strerror(errno));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return readable ? NULL : problem;
}

const char *machine_problem(void)
{
    const char *problem = network_problem();
    if (problem == NULL)
        problem = limits_problem();
    return problem != NULL ? problem : proc_problem();
}
