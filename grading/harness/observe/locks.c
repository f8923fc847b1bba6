#include "observe/locks.h"
#include "core/procfs.h"
#include "observe/process_memory.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

/* The id that a thread has in its own pid namespace, that of the sandbox: gettid(2) there. */
static pid_t own_id(const struct task *task)
{
    char status[4096];
    if (read_proc(status, sizeof status, "/proc/%d/task/%d/status", task->pid, task->tid) <= 0)
        return task->tid;
    const char *line = strstr(status, "\nNSpid:");
    if (line == NULL)
        return task->tid;
    char *last = strndup(line + 1, strcspn(line + 1, "\n"));
    const char *space = last != NULL ? strrchr(last, '\t') : NULL;
    pid_t id = space != NULL ? atoi(space) : task->tid;
    free(last);
    return id;
}

static pid_t find_thread(pid_t id, pid_t pid, const struct task *tasks, int n)
{
    for (int i = 0; i < n; i++)
        if ((pid == 0 || tasks[i].pid == pid) && own_id(&tasks[i]) == id)
            return tasks[i].tid;
    return 0;
}

static bool is_futex(const struct task *task, int command)
{
    return task->state == 'S' && task->call == SYS_futex &&
           (task->arg[1] & FUTEX_CMD_MASK) == (unsigned long)command;
}

/* A lock waits with FUTEX_WAIT, while the mutex's first word is 2, "locked, and others wait".
 * Condition variables, semaphores and joins use FUTEX_WAIT_BITSET. */
pid_t owner_of_mutex(const struct task *waiting, const struct task *tasks, int n)
{
    enum { LOCKED_WITH_WAITERS = 2, MOST_KIND = 3 };
    pthread_mutex_t mutex;
    if (!is_futex(waiting, FUTEX_WAIT) || waiting->arg[2] != LOCKED_WITH_WAITERS ||
        !read_process_memory(waiting->pid, waiting->arg[0], &mutex, sizeof mutex) ||
        mutex.__data.__lock != LOCKED_WITH_WAITERS || mutex.__data.__owner <= 0 ||
        (mutex.__data.__kind & 127) > MOST_KIND)
        return 0;
    bool shared = (waiting->arg[1] & FUTEX_PRIVATE_FLAG) == 0;
    return find_thread(mutex.__data.__owner, shared ? 0 : waiting->pid, tasks, n);
}

/* The kernel clears the word when the thread has ended. It wakes only waiters that are not marked
 * private. */
pid_t thread_joined_by(const struct task *waiting, const struct task *tasks, int n)
{
    int id;
    if (!is_futex(waiting, FUTEX_WAIT_BITSET) || (waiting->arg[1] & FUTEX_PRIVATE_FLAG) != 0 ||
        !read_process_memory(waiting->pid, waiting->arg[0], &id, sizeof id) || id <= 0 ||
        (unsigned long)id != waiting->arg[2])
        return 0;
    pid_t tid = find_thread(id, waiting->pid, tasks, n);
    return tid == waiting->tid ? 0 : tid;
}
