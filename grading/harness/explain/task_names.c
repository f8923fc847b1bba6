#include "explain/task_names.h"
#include "observe/locks.h"

#include <stdio.h>

static struct task named[MAX_TASKS];
static int count;

int read_named_tasks(pid_t root, const struct task **tasks)
{
    count = read_tasks(root, named, MAX_TASKS);
    *tasks = named;
    return count;
}

bool has_several_processes(void)
{
    for (int i = 1; i < count; i++)
        if (named[i].pid != named[0].pid)
            return true;
    return false;
}

const char *task_name(pid_t tid)
{
    static char text[40];
    for (int i = 0; i < count; i++)
        if (named[i].tid == tid) {
            snprintf(text, sizeof text, "%s %d", has_several_processes() ? "process" : "thread",
                     i + 1);
            return text;
        }
    return NULL;
}

const char *describe_lock(const struct task *task)
{
    static char text[100];
    pid_t owner = owner_of_mutex(task, named, count);
    pid_t joined = owner == 0 ? thread_joined_by(task, named, count) : 0;
    if (owner == task->tid)
        snprintf(text, sizeof text, "waits for a mutex that it holds itself");
    else if (owner != 0)
        snprintf(text, sizeof text, "waits for a mutex that %s holds", task_name(owner));
    else if (joined != 0)
        snprintf(text, sizeof text, "waits for %s to end (pthread_join)", task_name(joined));
    else
        return NULL;
    return text;
}
