/*
 * /proc/PID/task/TID/children lists the children of one thread (proc(5)): reading those of a
 * check's few processes costs a tenth of reading all processes of a machine. When a process ends
 * meanwhile, a list may lack one that exists, since
 *  - its siblings are found by their position: but then one that is listed can no longer be read;
 *  - its children go to a thread of the same process, or to a subreaper above: but then the list of
 *    a process that has children changes.
 * In both cases the tree is read again.
 */
#include "observe/process_tree.h"
#include "core/procfs.h"
#include "core/report.h"
#include "core/run_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The kernel writes no number into two pages. */
enum { LARGEST_PAGE = 1 << 16 };

struct list {
    struct process *all;
    int total;
};

static bool add_children_of_thread(struct list *list, pid_t pid, pid_t tid)
{
    static char text[LARGEST_PAGE + 1];
    char path[64];
    ssize_t n;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return false;
    while ((n = read(fd, text, LARGEST_PAGE)) > 0) {
        text[n] = '\0';
        char *end = text;
        for (long child; (child = strtol(end, &end, 10)) > 0 && list->total < MAX_IN_TREE;)
            list->all[list->total++] = (struct process){(pid_t)child, pid};
    }
    close(fd);
    return n == 0;
}

static bool add_children(struct list *list, pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *directory = opendir(path);
    if (directory == NULL)
        return false;
    bool ok = true;
    for (struct dirent *entry; ok && (entry = readdir(directory)) != NULL;) {
        pid_t tid = atoi(entry->d_name);
        ok = tid <= 0 || add_children_of_thread(list, pid, tid);
    }
    closedir(directory);
    return ok;
}

/* Are the children of this process still the first `count` of these? */
static bool has_children(pid_t pid, const struct process *children, int count)
{
    static struct process again[MAX_IN_TREE];
    struct list now = {.all = again};
    return add_children(&now, pid) && now.total == count &&
           memcmp(again, children, (size_t)count * sizeof *again) == 0;
}

/* Returns 0 if the processes changed meanwhile. */
static int try_to_read_tree(pid_t top, struct process *all)
{
    static int children[MAX_IN_TREE]; /* of each, how many */
    struct list list = {.all = all, .total = 1};
    all[0] = (struct process){.pid = top};
    for (int i = 0; i < list.total; i++) {
        int before = list.total;
        if (!add_children(&list, all[i].pid))
            return 0;
        children[i] = list.total - before;
    }
    for (int i = 0, first = 1; i < list.total; first += children[i], i++)
        if (children[i] > 0 && !has_children(all[i].pid, &all[first], children[i]))
            return 0;
    return list.total;
}

static int read_machine(struct process *all)
{
    int total = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        grader_error("cannot read /proc: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(proc)) != NULL && total < MAX_IN_TREE;) {
        struct process *p = &all[total];
        p->pid = atoi(entry->d_name);
        if (p->pid > 0 && read_task_state(p->pid, p->pid, &p->parent) != '-')
            total++;
    }
    closedir(proc);
    return total;
}

int read_process_tree(struct process *all)
{
    enum { MAX_TRIES = 10 };
    pid_t top = check_process();
    for (int i = 0, total; top > 0 && i < MAX_TRIES; i++)
        if ((total = try_to_read_tree(top, all)) > 0)
            return total;
    return read_machine(all);
}
