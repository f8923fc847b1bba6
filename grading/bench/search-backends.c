/*
 * The three backends of labs 6 to 8 for many searches at once: one process, each on a port of its
 * own. An answer is the request's words and the backend's name, DELAY milliseconds later. The names
 * end in a number that a server cannot know: it must really ask.
 *
 *   search-backends DELAY NUMBER
 *
 * Prints its three ports.
 */
#define _GNU_SOURCE /* accept4 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "listen.h"

enum { BACKENDS = 3, MAX_EVENTS = 256, MAX_TEXT = 512 };

struct call {
    int fd, backend;
    bool queued, closed;
    size_t size;
    char text[MAX_TEXT];
    int64_t due;
    struct call *next; /* in the queue of answers */
};

static const char *names[BACKENDS] = {"user", "query", "stock"};
static const char *number;
static int epoll_fd;
static int64_t delay;
static struct call *first,
    **last = &first; /* every answer has the same delay: the first is due first */

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The server has closed its end first. A reset leaves it no socket in TIME_WAIT, of which some
 * 28,000 would use up the ports. */
static void end_call(struct call *call)
{
    struct linger no_linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(call->fd, SOL_SOCKET, SO_LINGER, &no_linger, sizeof no_linger);
    close(call->fd);
    call->closed = true;
    if (!call->queued)
        free(call);
}

static void answer(struct call *call)
{
    char text[2 * MAX_TEXT];
    call->queued = false;
    if (call->closed) {
        free(call);
        return;
    }
    int size = snprintf(text, sizeof text, "%.*s %s%s\n", (int)call->size - 1, call->text,
                        names[call->backend], number);
    if (send(call->fd, text, (size_t)size, MSG_NOSIGNAL) != size)
        end_call(call);
}

static void receive_request(struct call *call)
{
    ssize_t n = recv(call->fd, call->text + call->size, sizeof call->text - call->size, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end_call(call);
        return;
    }
    call->size += (size_t)n;
    if (call->queued || call->text[call->size - 1] != '\n')
        return;
    call->queued = true;
    call->due = now() + delay;
    call->next = NULL;
    *last = call;
    last = &call->next;
}

static void send_due_answers(void)
{
    while (first != NULL && first->due <= now()) {
        struct call *call = first;
        first = call->next;
        if (first == NULL)
            last = &first;
        answer(call);
    }
}

static void accept_calls(int listener, int backend)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        struct call *call = calloc(1, sizeof *call);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = call};
        if (call == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1) {
            close(fd);
            free(call);
            continue;
        }
        call->fd = fd;
        call->backend = backend;
    }
}

static void run(const int *listeners)
{
    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        int64_t wait = first != NULL ? (first->due - now() + 999999) / 1000000 : -1;
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, wait < 0 && first != NULL ? 0 : (int)wait);
        for (int i = 0; i < n; i++) {
            const int *listener = events[i].data.ptr;
            if (listener >= listeners && listener < listeners + BACKENDS)
                accept_calls(*listener, (int)(listener - listeners));
            else
                receive_request(events[i].data.ptr);
        }
        send_due_answers();
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: search-backends DELAY NUMBER\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    delay = atoi(argv[1]) * 1000000LL;
    number = argv[2];
    epoll_fd = epoll_create1(0);
    static int listeners[BACKENDS];
    for (int i = 0; i < BACKENDS; i++) {
        listeners[i] = listen_on_argument(2, (char *[]){"search-backends", "0"});
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listeners[i], &event) == -1) {
            perror("epoll_ctl");
            return 1;
        }
    }
    for (int i = 0; i < BACKENDS; i++)
        print_address(listeners[i]);
    run(listeners);
}
