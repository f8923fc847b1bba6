#include "observe/interest.h"
#include "core/procfs.h"
#include "observe/process_memory.h"
#include "observe/resources.h"
#include "observe/syscall_table.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool add_interest(struct interest_list *list, int fd, unsigned events)
{
    if (list->count == MAX_INTEREST)
        return false;
    /* The kernel adds these two by itself. */
    list->all[list->count++] = (struct interest){fd, events & ~(EPOLLERR | EPOLLHUP)};
    return true;
}

const struct interest *find_interest(const struct interest_list *list, int fd)
{
    for (int i = 0; i < list->count; i++)
        if (list->all[i].fd == fd)
            return &list->all[i];
    return NULL;
}

long read_descriptor_number(pid_t pid, int fd, const char *words)
{
    char text[1024];
    const char *found = NULL;
    if (read_proc(text, sizeof text, "/proc/%d/fdinfo/%d", pid, fd) > 0)
        found = strstr(text, words);
    return found == NULL ? -1 : strtol(found + strlen(words), NULL, 16);
}

bool is_epoll_instance(pid_t pid, int fd)
{
    char target[64];
    read_descriptor(pid, fd, target, sizeof target);
    return strcmp(target, "anon_inode:[eventpoll]") == 0;
}

bool read_epoll_interest(pid_t pid, int epoll_fd, struct interest_list *list)
{
    char path[64], line[256];
    int fd;
    unsigned events;
    bool ok = true;
    *list =
        (struct interest_list){.kind = EPOLL, .pid = pid, .epoll_fd = epoll_fd, .for_ever = true};
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", (int)pid, epoll_fd);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (ok && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "tfd: %d events: %x", &fd, &events) == 2)
            ok = add_interest(list, fd, events);
    fclose(file);
    return ok;
}

static void set_timeout_ms(struct interest_list *list, int milliseconds)
{
    list->for_ever = milliseconds < 0;
    list->timeout_ms = milliseconds;
}

/* A struct timespec, or for select's own system call a struct timeval, at an address that may be
 * NULL. */
static bool set_timeout_at(struct interest_list *list, unsigned long address, double per_ms)
{
    struct timespec time;
    list->for_ever = address == 0;
    if (address == 0)
        return true;
    if (!read_process_memory(list->pid, address, &time, sizeof time))
        return false;
    list->timeout_ms = (double)time.tv_sec * 1000 + (double)time.tv_nsec / per_ms;
    return true;
}

static bool read_epoll_call(const struct task *task, struct interest_list *list)
{
    if (!read_epoll_interest(task->pid, (int)task->arg[0], list))
        return false;
#ifdef SYS_epoll_pwait2
    if (task->call == SYS_epoll_pwait2)
        return set_timeout_at(list, task->arg[3], 1e6);
#endif
    set_timeout_ms(list, (int)task->arg[3]);
    return true;
}

/* The kernel reads as much of each set as holds nfds bits. */
static bool read_set(const struct task *task, unsigned long address, int nfds, fd_set *set)
{
    size_t size = ((size_t)nfds + 63) / 64 * 8;
    FD_ZERO(set);
    return address == 0 || size == 0 || read_process_memory(task->pid, address, set, size);
}

static bool read_select_call(const struct task *task, struct interest_list *list)
{
    fd_set read, write, except;
    int nfds = (int)task->arg[0];
    double per_ms = task->call == SYS_pselect6 ? 1e6 : 1e3;
    *list = (struct interest_list){.kind = SELECT, .pid = task->pid, .nfds = nfds};
    if (nfds < 0 || nfds > FD_SETSIZE || !read_set(task, task->arg[1], nfds, &read) ||
        !read_set(task, task->arg[2], nfds, &write) ||
        !read_set(task, task->arg[3], nfds, &except) || !set_timeout_at(list, task->arg[4], per_ms))
        return false;
    for (int fd = 0; fd < nfds; fd++) {
        unsigned events = (FD_ISSET(fd, &read) ? EPOLLIN : 0U) |
                          (FD_ISSET(fd, &write) ? EPOLLOUT : 0U) |
                          (FD_ISSET(fd, &except) ? EPOLLPRI : 0U);
        if (events != 0 && !add_interest(list, fd, events))
            return false;
    }
    return true;
}

static bool read_poll_call(const struct task *task, struct interest_list *list)
{
    static struct pollfd fds[MAX_INTEREST];
    unsigned long n = task->arg[1];
    *list = (struct interest_list){.kind = POLL, .pid = task->pid};
    if (n > MAX_INTEREST ||
        (n > 0 && !read_process_memory(task->pid, task->arg[0], fds, n * sizeof *fds)))
        return false;
    for (unsigned long i = 0; i < n; i++)
        if (fds[i].fd >= 0)
            add_interest(list, fds[i].fd, (unsigned short)fds[i].events);
    if (task->call == SYS_ppoll)
        return set_timeout_at(list, task->arg[2], 1e6);
    set_timeout_ms(list, (int)task->arg[2]);
    return true;
}

static bool read_call(const struct task *task, struct interest_list *list)
{
    const char *call = call_name(task->call);
    if (call == NULL || call_kind(task->call) != CALL_POLLS)
        return false;
    return is_epoll_wait(task->call)     ? read_epoll_call(task, list)
           : strcmp(call, "select") == 0 ? read_select_call(task, list)
                                         : read_poll_call(task, list);
}

bool read_interest(const struct task *task, struct interest_list *list)
{
    return task->state == 'S' && read_call(task, list);
}

/* Returns its state: 'T', or another when it ends instead or never stops. */
static char wait_until_stopped(pid_t pid)
{
    enum { TIMES = 1000, MICROSECONDS = 1000 }; /* on a busy machine it must get a CPU first */
    pid_t parent;
    char state = '-';
    for (int i = 0; i < TIMES; i++) {
        state = read_task_state(pid, pid, &parent);
        if (strchr("T-ZX", state) != NULL)
            break;
        usleep(MICROSECONDS);
    }
    return state;
}

bool catch_interest(pid_t pid, struct interest_list *list)
{
    enum { TIMES = 10 };
    bool caught = false, has_ended = false;
    for (int i = 0; i < TIMES && !caught && !has_ended; i++) {
        struct task task;
        kill(pid, SIGSTOP);
        char state = wait_until_stopped(pid);
        caught = state == 'T' && read_task(&task, pid, pid) && read_call(&task, list);
        has_ended = strchr("-ZX", state) != NULL;
        kill(pid, SIGCONT);
    }
    return caught;
}
