#include "observe/tasks.h"
#include "core/procfs.h"
#include "observe/orphans.h"
#include "observe/process_tree.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int read_processes(pid_t root, pid_t *pids, int most)
{
    static struct process all[MAX_IN_TREE];
    static bool found_already[MAX_IN_TREE];
    int total = read_process_tree(all), found = 0;
    pids[found++] = root;
    memset(found_already, 0, sizeof found_already);
    for (int i = 0; i < found; i++)
        for (int j = 0; j < total && found < most; j++)
            if (!found_already[j] && all[j].parent == pids[i]) {
                found_already[j] = true;
                pids[found++] = all[j].pid;
            }
    int descendants = found;
    for (int j = 0; j < total && found < most; j++)
        if (!found_already[j] && is_orphan_of(root, &all[j])) {
            found_already[j] = true;
            pids[found++] = all[j].pid;
        }
    /* And what descends from orphans. */
    for (int i = descendants; i < found; i++)
        for (int j = 0; j < total && found < most; j++)
            if (!found_already[j] && all[j].parent == pids[i]) {
                found_already[j] = true;
                pids[found++] = all[j].pid;
            }
    return found;
}

bool read_task(struct task *task, pid_t pid, pid_t tid)
{
    char text[256];
    pid_t parent;
    *task = (struct task){.pid = pid, .tid = tid, .call = -1};
    ssize_t n = read_proc(text, sizeof text, "/proc/%d/task/%d/syscall", pid, tid);
    task->state = read_task_state(pid, tid, &parent);
    if (n > 0 &&
        sscanf(text, "%ld %lx %lx %lx %lx %lx %lx", &task->call, &task->arg[0], &task->arg[1],
               &task->arg[2], &task->arg[3], &task->arg[4], &task->arg[5]) != 7)
        task->call = -1; /* "running" */
    return task->state != '-';
}

static int read_threads(pid_t pid, struct task *tasks, int most)
{
    char path[64];
    int found = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return 0;
    for (struct dirent *entry; found < most && (entry = readdir(directory)) != NULL;) {
        pid_t tid = atoi(entry->d_name);
        if (tid > 0)
            found += read_task(&tasks[found], pid, tid);
    }
    closedir(directory);
    return found;
}

int read_tasks(pid_t root, struct task *tasks, int most)
{
    static pid_t pids[MAX_PROCESSES_READ];
    int processes = read_processes(root, pids, MAX_PROCESSES_READ), found = 0;
    for (int i = 0; i < processes; i++)
        found += read_threads(pids[i], tasks + found, most - found);
    return found;
}

int read_all_tasks(pid_t root, const struct task **tasks)
{
    static struct task all[MAX_TASKS];
    *tasks = all;
    return read_tasks(root, all, MAX_TASKS);
}

bool is_dead(const struct task *task)
{
    return task->state == 'Z' || task->state == 'X';
}

bool is_asleep(const struct task *task, pid_t root)
{
    return (task->state == 'S' && task->call != -1) || (is_dead(task) && task->pid != root);
}

bool all_tasks_asleep(pid_t root)
{
    const struct task *tasks;
    int n = read_all_tasks(root, &tasks);
    for (int i = 0; i < n; i++)
        if (!is_asleep(&tasks[i], root))
            return false;
    return n > 0;
}

bool any_task_runs(pid_t root)
{
    const struct task *tasks;
    int n = read_all_tasks(root, &tasks);
    for (int i = 0; i < n; i++)
        if (tasks[i].state == 'R' || tasks[i].state == 'D')
            return true;
    return false;
}

static bool thread_is_exiting(pid_t pid, pid_t tid)
{
    enum { PF_EXITING = 4 }; /* a flag in the ninth field of stat: include/linux/sched.h */
    char text[512];
    unsigned flags;
    if (read_proc(text, sizeof text, "/proc/%d/task/%d/stat", pid, tid) <= 0)
        return true; /* gone */
    const char *after_name = strrchr(text, ')');
    return after_name != NULL &&
           sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1 &&
           (flags & PF_EXITING) != 0;
}

bool refuses_inspection(pid_t root)
{
    static pid_t pids[MAX_PROCESSES_READ];
    char text[200];
    int n = read_processes(root, pids, MAX_PROCESSES_READ);
    for (int i = 0; i < n; i++)
        /* One that is ending cannot be read either, but has no memory any more. */
        if (read_proc(text, sizeof text, "/proc/%d/syscall", pids[i], 0) == -1 &&
            (errno == EACCES || errno == EPERM) &&
            read_proc(text, sizeof text, "/proc/%d/statm", pids[i], 0) > 0 && atoi(text) > 0)
            return true;
    return false;
}

bool is_exiting(pid_t pid)
{
    static struct task threads[MAX_TASKS];
    int n = read_threads(pid, threads, MAX_TASKS);
    for (int i = 0; i < n; i++)
        if (!thread_is_exiting(pid, threads[i].tid))
            return false;
    return n > 0;
}
