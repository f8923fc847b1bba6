/*
 * An echo server with coroutines in the style of libtask: a task per client, and an fdread that
 * tries, waits, and tries again. Unlike libtask it uses epoll, since with 10,000 clients poll would
 * dominate the cost, and switches with the C library's swapcontext(3).
 */
#define _GNU_SOURCE /* accept4 */
#include "listen.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { STACK_SIZE = 64 * 1024, MAX_EVENTS = 256 };

struct task {
    ucontext_t context;
    int fd;
    bool ended;
};

static ucontext_t scheduler;
static struct task *running;
static int epoll_fd;

/* Waits until the descriptor of this task is ready; EPOLLONESHOT, so each wait registers anew. */
static void fdwait(int events)
{
    struct epoll_event event = {.events = (uint32_t)events | EPOLLONESHOT, .data.ptr = running};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, running->fd, &event) == -1)
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, running->fd, &event);
    swapcontext(&running->context, &scheduler);
}

static ssize_t fdread(int fd, void *data, size_t size)
{
    ssize_t n;
    while ((n = read(fd, data, size)) == -1 && (errno == EAGAIN || errno == EINTR))
        fdwait(EPOLLIN);
    return n;
}

static bool fdwrite(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(fd, data, size, MSG_NOSIGNAL);
        if (n == -1 && errno != EAGAIN && errno != EINTR)
            return false;
        if (n == -1) {
            fdwait(EPOLLOUT);
            continue;
        }
        data += n;
        size -= (size_t)n;
    }
    return true;
}

static void serve(void)
{
    char buffer[16 * 1024];
    ssize_t n;
    while ((n = fdread(running->fd, buffer, sizeof buffer)) > 0)
        if (!fdwrite(running->fd, buffer, (size_t)n))
            break;
    close(running->fd);
    running->ended = true;
    swapcontext(&running->context, &scheduler);
}

static void run(struct task *task)
{
    running = task;
    swapcontext(&scheduler, &task->context);
    if (!task->ended)
        return;
    munmap(task->context.uc_stack.ss_sp, STACK_SIZE);
    free(task);
}

static void spawn(int fd)
{
    struct task *task = calloc(1, sizeof *task);
    void *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (task == NULL || stack == MAP_FAILED || getcontext(&task->context) == -1) {
        perror("spawn");
        exit(1);
    }
    task->fd = fd;
    task->context.uc_stack.ss_sp = stack;
    task->context.uc_stack.ss_size = STACK_SIZE;
    makecontext(&task->context, serve, 0);
    run(task);
}

int main(int argc, char **argv)
{
    int listener = listen_on_argument(argc, argv), fd;
    epoll_fd = epoll_create1(0);
    struct epoll_event events[MAX_EVENTS], listen_event = {.events = EPOLLIN};
    if (epoll_fd == -1 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &listen_event) == -1)
        return 1;
    print_address(listener);
    for (;;) {
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (events[i].data.ptr != NULL)
                run(events[i].data.ptr);
            else
                while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1)
                    spawn(fd);
    }
}
