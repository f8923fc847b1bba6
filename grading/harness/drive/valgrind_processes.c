#include "drive/valgrind_processes.h"
#include "core/hints.h"
#include "core/report.h"
#include "drive/server_process.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* valgrind executes the server inside a program of its own, such as memcheck-amd64-linux. That of a
 * process which called exec() is a different one; the server could create one in memory, or where
 * everyone can write. */
static bool runs_under_valgrind(pid_t pid)
{
    char path[64], program[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t n = readlink(path, program, sizeof program - 1);
    if (n <= 0)
        return true; /* it has just ended */
    program[n] = '\0';
    const char *name = strrchr(program, '/');
    name = name != NULL ? name + 1 : program;
    return (strncmp(name, "memcheck-", 9) == 0 || strncmp(name, "helgrind-", 9) == 0) &&
           strstr(program, "memfd:") == NULL && strstr(program, "(deleted)") == NULL &&
           strncmp(program, "/tmp/", 5) != 0 && strncmp(program, "/dev/", 5) != 0;
}

void expect_served_under_valgrind(struct peer *p)
{
    static pid_t pids[MAX_PROCESSES_READ];
    struct server *s = p->server;
    if (p->seen_served || *valgrind_log_of(s) == '\0')
        return;
    p->seen_served = true;
    bool read_already = false;
    int n = read_processes(s->pid, pids, MAX_PROCESSES_READ);
    for (int i = 0; i < n; i++) {
        if (runs_under_valgrind(pids[i]))
            continue;
        if (!read_already)
            read_connections();
        read_already = true;
        if (!has_connection_to(pids[i], p->port))
            continue;
        note_failure(OTHER_FAILURE);
        set_hint("valgrind cannot see a program that the server becomes with exec(): what it did "
                 "with its memory and its descriptors stays unknown. Serve the clients in the "
                 "program that was started.",
                 NULL);
        fail_check(s, "each client served by a process that runs under valgrind",
                   "%s is served by a process that does not (exec?)", p->name);
    }
}
