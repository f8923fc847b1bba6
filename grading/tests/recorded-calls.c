/* Tests the preloaded library call_recorder.so: makes calls under it, then reads what it recorded.
 * Its argument is the library's path. Exit status 0 if everything was recorded as it happened. */
#include "drive/call_log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(WHAT)                                                                               \
    do {                                                                                           \
        if (!(WHAT)) {                                                                             \
            fprintf(stderr, "line %d: not so: %s (errno %d)\n", __LINE__, #WHAT, errno);           \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { SPINS = 5000, THREADS = 4 };

static int listener;
static struct sockaddr_in address = {.sin_family = AF_INET};

static int client(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t size = sizeof a;
    EXPECT(getsockname(fd, (struct sockaddr *)&a, &size) == 0);
    return ntohs(a.sin_port);
}

static void *spin(void *fd)
{
    char byte;
    for (int i = 0; i < SPINS; i++)
        EXPECT(recv(*(int *)fd, &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
    return NULL;
}

static void report(const char *what, int fd)
{
    printf("%s %d\n", what, fd);
    fflush(stdout);
}

/* Prints the ports of its clients, and is killed in the end. */
static void make_calls(void)
{
    char bytes[10];
    int null = open("/dev/null", O_RDONLY);
    EXPECT(null == 3); /* the library has left no descriptor behind */
    listener = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT(bind(listener, (struct sockaddr *)&address, sizeof address) == 0);
    EXPECT(listen(listener, 10) == 0);
    address.sin_port = htons((uint16_t)port_of(listener));

    int a = client(), as = accept(listener, NULL, NULL), b = client();
    report("A", port_of(a));
    EXPECT(write(a, "hello", 5) == 5);
    EXPECT(recv(as, bytes, sizeof bytes, 0) == 5);
    EXPECT(close(as) == 0);
    errno = 0;
    EXPECT(close(as) == -1 && errno == EBADF);
    int event = eventfd(0, 0); /* the same number, but not a socket */
    EXPECT(event == as && write(event, &(uint64_t){1}, 8) == 8 && close(event) == 0);

    int bs = accept4(listener, NULL, NULL, 0);
    EXPECT(bs == as);
    report("B", port_of(b));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_create(&threads[i], NULL, spin, &bs) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    spin(&bs);
    int copy = dup(bs);
    EXPECT(close(bs) == 0 && send(copy, "x", 1, MSG_NOSIGNAL) == 1 && close(copy) == 0);

    int c = client(), cs = accept(listener, NULL, NULL);
    report("C", port_of(c));
    EXPECT(close(cs) == 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(recv(cs, bytes, sizeof bytes, 0) == -1 && errno == EBADF);
        _exit(0);
    }
    int status;
    EXPECT(waitpid(child, &status, 0) == child && status == 0);

    int d = client(), ds = accept(listener, NULL, NULL);
    report("D", port_of(d));
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 12345};
    int epoll = epoll_create1(0);
    EXPECT(epoll_ctl(epoll, EPOLL_CTL_ADD, ds, &e) == 0 && write(d, "now", 3) == 3);
    for (int i = 0; i < SPINS; i++)
        EXPECT(epoll_wait(epoll, &e, 1, -1) == 1);
    report("waiting", 0);
    recv(ds, bytes, sizeof bytes, MSG_WAITALL);
}

/* ---- what was recorded ------------------------------------------------------------------- */

static const struct call_log *call_log;

static int find(int peer_port, struct record_copy *copy)
{
    for (uint32_t i = last_serial(call_log); i > 0; i--) {
        int n = read_record(call_log, i, copy);
        if (n >= 0 && copy->record.kind == SOCKET_RECORD && copy->record.peer_port == peer_port)
            return n;
    }
    return -1;
}

static void expect_call(const struct recorded_call *c, enum called function, int64_t result,
                        int error)
{
    if (c->function != function || c->result != result || c->error != error) {
        fprintf(stderr, "recorded: function %d, result %lld, errno %d; expected %d, %lld, %d\n",
                c->function, (long long)c->result, c->error, (int)function, (long long)result,
                error);
        exit(1);
    }
}

static void check_records(const int *ports)
{
    struct record_copy r;
    EXPECT(find(ports[0], &r) == 3);
    expect_call(&r.calls[0], CALLED_RECV, 5, 0);
    expect_call(&r.calls[1], CALLED_CLOSE, 0, 0);
    expect_call(&r.calls[2], CALLED_CLOSE, -1, EBADF);
    EXPECT(r.calls[0].size == 10 && !r.calls[1].after_close && r.calls[2].after_close);

    int n = find(ports[1], &r);
    EXPECT(n >= 4);
    expect_call(&r.calls[n - 4], CALLED_RECV, -1, EAGAIN);
    EXPECT(r.calls[n - 4].times == SPINS);
    expect_call(&r.calls[n - 3], CALLED_CLOSE, 0, 0);
    expect_call(&r.calls[n - 2], CALLED_SEND, 1, 0);
    expect_call(&r.calls[n - 1], CALLED_CLOSE, 0, 0);

    EXPECT(find(ports[2], &r) == 2);
    expect_call(&r.calls[1], CALLED_RECV, -1, EBADF);
    EXPECT(r.calls[1].after_close && r.calls[1].pid != r.calls[0].pid);

    EXPECT(find(ports[3], &r) == 1 && !r.calls[0].returned && r.calls[0].flags == MSG_WAITALL);
    EXPECT(r.record.in_epoll && r.record.epoll_data == 12345);
    for (uint32_t i = last_serial(call_log); i > 0; i--)
        if (read_record(call_log, i, &r) == 1 && r.record.kind == WAITING_RECORD) {
            EXPECT(r.calls[0].times == SPINS && r.calls[0].detail == 12345);
            EXPECT(r.calls[0].size == -1 && r.calls[0].flags == EPOLLIN);
            return;
        }
    EXPECT(!"a record of epoll_wait");
}

int main(int argc, char **argv)
{
    int out[2], ports[4];
    if (argc < 2) {
        make_calls();
        return 1;
    }
    call_log = open_call_log("/proc/self/exe");
    EXPECT(call_log != NULL && pipe2(out, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(out[1], 1);
        EXPECT(move_call_log(20)); /* not one that the program will use */
        close_range(3, 19, 0);
        setenv(CALL_LOG_VARIABLE, "20", 1);
        setenv("LD_PRELOAD", argv[1], 1);
        execl("/proc/self/exe", "recorded-calls", (char *)NULL);
        _exit(1);
    }
    close_call_log();
    close(out[1]);
    FILE *lines = fdopen(out[0], "r");
    for (int i = 0; i < 4; i++)
        EXPECT(fscanf(lines, " %*s %d", &ports[i]) == 1);
    EXPECT(fscanf(lines, " waiting %*d") == 0);
    for (struct record_copy r; find(ports[3], &r) < 1;)
        EXPECT(waitpid(child, NULL, WNOHANG) == 0);
    kill(child, SIGKILL);
    EXPECT(waitpid(child, NULL, 0) == child);
    check_records(ports);
    return 0;
}
