/*
 * A process whose parent has exited goes to the check's process, a subreaper, or to the first
 * process of its pid namespace if the server runs in a sandbox. The harness itself starts processes
 * as children of this process only, and two in each sandbox before the server.
 */
#include "observe/orphans.h"
#include "core/procfs.h"
#include "core/run_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A pid namespace, and a pid in it, proc(5). Processes of the harness's own have no name there. */
struct place {
    char namespace[64];
    long pid;
};

static bool read_place(pid_t pid, struct place *place)
{
    char path[64], status[4096];
    snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)pid);
    ssize_t n = readlink(path, place->namespace, sizeof place->namespace - 1);
    const char *found = NULL;
    if (n > 0 && read_proc(status, sizeof status, "/proc/%d/status", pid, 0) > 0)
        found = strstr(status, "\nNSpid:");
    if (found == NULL)
        return false;
    place->namespace[n] = '\0';
    char *end = (char *)found + strlen("\nNSpid:");
    for (long number; *end != '\n' && (number = strtol(end, &end, 10)) > 0;)
        place->pid = number;
    return true;
}

/* The first server's, as long as it can be read: a zombie has no namespace. */
static const struct place *place_of_server(pid_t root)
{
    static struct place place;
    static pid_t known;
    if (known == root)
        return &place;
    known = read_place(root, &place) ? root : 0;
    return known != 0 ? &place : NULL;
}

/* In the server's sandbox, pids are assigned in ascending order: the sandbox's own came before. */
static bool is_in_sandbox_of(pid_t root, pid_t pid)
{
    const struct place *server = place_of_server(root);
    struct place own, its;
    return server != NULL && read_place(getpid(), &own) && read_place(pid, &its) &&
           strcmp(own.namespace, server->namespace) != 0 &&
           strcmp(its.namespace, server->namespace) == 0 && its.pid > server->pid;
}

/* Of two servers of one check, both without a sandbox, it is in the group of the other. */
static bool is_in_group_of_other_server(pid_t root, pid_t pid)
{
    pid_t group = getpgid(pid), parent = -1;
    return group != root && read_task_state(group, group, &parent) != '-' && parent == getpid() &&
           getpgid(getpid()) != group;
}

bool is_orphan_of(pid_t root, const struct process *p)
{
    pid_t parent;
    if (p->pid == root || p->pid == getpid() || p->parent == getpid())
        return false;
    if (getpgid(p->pid) != root && !is_in_sandbox_of(root, p->pid) &&
        (p->parent != check_process() || is_in_group_of_other_server(root, p->pid)))
        return false;
    /* When it has exited too, it is not the server that has to wait for it. */
    char state = read_task_state(p->pid, p->pid, &parent);
    return state != '-' && state != 'Z' && state != 'X';
}
