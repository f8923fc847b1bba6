/*
 * A correct server that sleeps for more than half a second before it sends a line back, without a
 * timeout in any call, and is woken by WAKER; nothing wakes it if there is none of this name.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const struct timespec late = {.tv_nsec = 700 * 1000 * 1000};
static char line[200];
static ssize_t length;
static int client = -1;
static int epoll_fd, timer_fd = -1;

static void answer(void)
{
    if (client != -1)
        send(client, line, (size_t)length, MSG_NOSIGNAL);
}

static void on_signal(int sig)
{
    (void)sig;
    answer();
}

static void *sleep_and_answer(void *unused)
{
    nanosleep(&late, NULL);
    answer();
    return unused;
}

static void add(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

/* SIGALRM, and no other trace of the timer */
static void start_alarm(void)
{
    signal(SIGALRM, on_signal);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_usec = late.tv_nsec / 1000}, NULL);
}

static void start_timer(void)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    signal(SIGUSR1, on_signal);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &(struct itimerspec){.it_value = late}, NULL);
}

static void start_timerfd(void)
{
    timer_fd = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(timer_fd, 0, &(struct itimerspec){.it_value = late}, NULL);
    add(timer_fd);
}

static void start_child(void)
{
    signal(SIGCHLD, SIG_IGN);
    if (fork() == 0) {
        sleep_and_answer(NULL);
        _exit(0);
    }
}

static void start_thread(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_and_answer, NULL);
    pthread_detach(thread);
}

static const struct {
    const char *name;
    void (*start)(void);
} wakers[] = {{"alarm", start_alarm},
              {"timer", start_timer},
              {"timerfd", start_timerfd},
              {"child", start_child},
              {"thread", start_thread}};

static void read_line(int fd)
{
    char more[sizeof line];
    ssize_t n = recv(fd, more, sizeof more, 0);
    if (n <= 0) {
        close(fd);
        return;
    }
    client = fd;
    length = n;
    memcpy(line, more, (size_t)n);
    for (size_t i = 0; i < sizeof wakers / sizeof *wakers; i++)
        if (strcmp(wakers[i].name, WAKER) == 0)
            wakers[i].start();
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, size) == -1 || listen(listener, 9) == -1 ||
        getsockname(listener, (struct sockaddr *)&address, &size) == -1)
        return 1;
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    epoll_fd = epoll_create1(0);
    add(listener);
    for (struct epoll_event event;;) {
        if (epoll_wait(epoll_fd, &event, 1, -1) != 1)
            continue;
        if (event.data.fd == listener)
            add(accept(listener, NULL, NULL));
        else if (event.data.fd == timer_fd) {
            answer();
            close(timer_fd);
            timer_fd = -1;
        } else
            read_line(event.data.fd);
    }
}
