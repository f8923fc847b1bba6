#include "drive/event_loop.h"
#include "core/report.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

static int epoll_fd = -1;
static void (*periodic)(void);

static void control(int operation, struct source *source)
{
    struct epoll_event event = {.events = source->events, .data.ptr = source};
    if (epoll_fd == -1)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd == -1 || epoll_ctl(epoll_fd, operation, source->fd, &event) == -1)
        grader_error("epoll_ctl: %s", strerror(errno));
}

/* Without events a source is removed: epoll would still report EPOLLHUP. */
void watch(struct source *source, uint32_t events)
{
    uint32_t before = source->events;
    source->events = events;
    if (before == 0 && events != 0)
        control(EPOLL_CTL_ADD, source);
    else if (before != 0 && events == 0)
        control(EPOLL_CTL_DEL, source);
    else if (before != events)
        control(EPOLL_CTL_MOD, source);
}

void unwatch(struct source *source)
{
    watch(source, 0);
}

bool serve_sources(int milliseconds)
{
    struct epoll_event events[64];
    if (epoll_fd == -1)
        epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int n = epoll_wait(epoll_fd, events, 64, milliseconds);
    if (n == -1 && errno != EINTR)
        grader_error("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        struct source *source = events[i].data.ptr;
        if (source->events != 0) /* an earlier event of this batch may have unwatched it */
            source->on_ready(source, events[i].events);
    }
    return n > 0;
}

void process_pending(void)
{
    for (int i = 0; i < 1000 && serve_sources(0); i++)
        ;
}

void set_periodic(void (*function)(void))
{
    periodic = function;
}

void run_periodic(void)
{
    if (periodic != NULL)
        periodic();
}
