/*
 * The floor: an echo server in the fewest system calls that one thread with epoll can do it in,
 * and with nothing around them. It keeps nothing of a client, so one that is slow to read is
 * dropped: the labs may not do that.
 */
#define _GNU_SOURCE /* accept4 */
#include "peer.h"
#include <sys/epoll.h>
#include <unistd.h>

enum { MOST_EVENTS = 256 };

static char buffer[64 * 1024];

static void echo(int fd)
{
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
        close(fd);
}

static void watch(int poller, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == -1)
        close(fd);
}

int main(int argc, char **argv)
{
    int listener = listen_on_argument(argc, argv);
    int poller = epoll_create1(0);
    if (poller == -1) {
        perror("epoll_create1");
        return 1;
    }
    watch(poller, listener);
    say_listening(listener);
    for (;;) {
        struct epoll_event events[MOST_EVENTS];
        int n = epoll_wait(poller, events, MOST_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                echo(events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1)
                watch(poller, fd);
        }
    }
}
