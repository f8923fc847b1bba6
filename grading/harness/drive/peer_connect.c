#include "drive/peer_connect.h"
#include "core/clock.h"
#include "core/loopback_socket.h"
#include "core/machine_limits.h"
#include "core/report.h"
#include "core/timeline.h"
#include "drive/wait_loop.h"
#include "observe/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char expected_connection[] = "a connection for every client";

/* Usually the server has just ended: then how it ended explains more than the error. */
static _Noreturn void fail_to_connect(struct server *s)
{
    const char *error = strerror(errno);
    if (has_ended_or_ends(s))
        fail_check(s, expected_connection, "none; %s", the_server_ended(s));
    fail_check(s, expected_connection, "connect: %s", error);
}

static int client_socket(bool small)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1)
        grader_error("socket: %s", strerror(errno));
    /* Small segments as well: with a window smaller than a segment, TCP waits for timers. */
    if (small && (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){4096}, sizeof(int)) == -1 ||
                  setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &(int){536}, sizeof(int)) == -1))
        grader_error("setsockopt: %s", strerror(errno));
    return fd;
}

static struct peer *connect_socket(struct server *s, bool small)
{
    struct peer *p = new_peer(s);
    struct sockaddr_in address = loopback_address(s->port);
    socklen_t size = sizeof address;
    asked("%s connects", p->name);
    p->in.fd = client_socket(small);
    struct wait w = begin_wait(s);
    bool over = false;
    /* Once the first connect is complete, the next one fails with EISCONN. */
    while (connect(p->in.fd, (struct sockaddr *)&address, size) == -1 && errno != EISCONN) {
        if (errno == EADDRNOTAVAIL)
            no_port_available();
        if (errno != EINPROGRESS && errno != EALREADY)
            fail_to_connect(s);
        if (over)
            fail_check(s, expected_connection, "none; %s", w.why);
        watch(&p->in, EPOLLOUT);
        over = !continue_wait(&w);
    }
    if (getsockname(p->in.fd, (struct sockaddr *)&address, &size) == -1)
        grader_error("getsockname: %s", strerror(errno));
    p->port = ntohs(address.sin_port);
    note_client(p->name, p->port, "connects", NULL, 0);
    update_peer(p);
    return p;
}

struct peer *connect_to(struct server *s)
{
    return connect_socket(s, false);
}

struct peer *connect_small(struct server *s)
{
    return connect_socket(s, true);
}

void connect_many(struct server *s, struct peer **clients, int count)
{
    struct asked_text before = save_asked();
    for (int i = 0; i < count; i++) {
        struct peer *p = connect_to(s);
        if (clients != NULL)
            clients[i] = p;
    }
    restore_asked(&before);
    if (count > 0)
        asked("%d clients connect; the last is client %d", count, count_peers());
}

/* ---- nc ---------------------------------------------------------------------------------- */

static void start_nc(struct peer *p)
{
    const char *netcat = getenv("GRADE_NC"); /* grading/grade has found one that knows -N */
    if (netcat == NULL)
        netcat = "nc";
    int in[2], out[2];
    char port[16];
    if (pipe2(in, O_CLOEXEC) == -1 || pipe2(out, O_CLOEXEC) == -1)
        grader_error("pipe: %s", strerror(errno));
    snprintf(port, sizeof port, "%d", p->server->port);
    pid_t parent = getpid();
    p->nc = fork();
    if (p->nc == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (getppid() == parent && dup2(in[0], 0) != -1 && dup2(out[1], 1) != -1 &&
            dup2(null, 2) != -1)
            execlp(netcat, netcat, "-N", "127.0.0.1", port, (char *)NULL);
        _exit(127);
    }
    if (p->nc == -1)
        grader_error("fork: %s", strerror(errno));
    close(in[0]);
    close(out[1]);
    fcntl(in[1], F_SETFL, O_NONBLOCK);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    p->out.fd = in[1];
    p->in.fd = out[0];
}

struct peer *connect_with_nc(struct server *s)
{
    struct peer *p = new_peer(s);
    asked("%s is nc -N 127.0.0.1 %d", p->name, s->port);
    p->is_nc = true;
    start_nc(p);
    update_peer(p);
    struct wait w = begin_wait(s);
    /* nc prints nothing when it is connected: its socket shows it. */
    while ((p->port = local_port_of(p->nc, s->port)) == -1) {
        siginfo_t info = {0};
        bool over = !continue_wait(&w) && w.since + 20 < now();
        waitid(P_PID, (id_t)p->nc, &info, WEXITED | WNOHANG | WNOWAIT);
        if (info.si_pid == p->nc && info.si_code == CLD_EXITED && info.si_status == 127)
            grader_error("nc cannot be run (Debian package netcat-openbsd)");
        if (info.si_pid == p->nc)
            fail_if_ended(s, "a connection for nc");
        if (info.si_pid == p->nc)
            fail_check(s, "a connection for nc", "nc exited at once with status %d",
                       info.si_status);
        if (over)
            fail_check(s, "a connection for nc", "none; %s", w.why);
    }
    note_client(p->name, p->port, "connects", NULL, 0);
    return p;
}
