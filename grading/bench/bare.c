/*
 * The lower bound: an echo server with the fewest system calls possible for one thread with epoll,
 * and hardly any other code. It has no buffers, so it disconnects a client that is slow to read,
 * which the labs must not do.
 */
#define _GNU_SOURCE /* accept4 */
#include "listen.h"
#include <sys/epoll.h>
#include <unistd.h>

enum { MAX_EVENTS = 256 };

static char buffer[64 * 1024];

static void echo(int fd)
{
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n)
        close(fd);
}

static void add_interest(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
        close(fd);
}

int main(int argc, char **argv)
{
    int listener = listen_on_argument(argc, argv);
    int epoll_fd = epoll_create1(0);
    if (epoll_fd == -1) {
        perror("epoll_create1");
        return 1;
    }
    add_interest(epoll_fd, listener);
    print_address(listener);
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                echo(events[i].data.fd);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1)
                add_interest(epoll_fd, fd);
        }
    }
}
