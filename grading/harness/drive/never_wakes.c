#include "drive/never_wakes.h"
#include "core/procfs.h"
#include "drive/peer.h"
#include "observe/resources.h"
#include "observe/signals.h"
#include "observe/sockets.h"
#include "observe/tasks.h"

#include <dirent.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

/* ---- the server's threads ------------------------------------------------------------------ */

static bool waits_without_timeout(const struct task *task)
{
    if (task->state != 'S')
        return false;
    switch (task->call) {
    case SYS_pselect6:
        return task->arg[4] == 0;
    case SYS_ppoll:
        return task->arg[2] == 0;
    case SYS_epoll_pwait:
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
        return (int)task->arg[3] == -1;
#ifdef SYS_select
    case SYS_select:
        return task->arg[4] == 0;
    case SYS_poll:
        return (int)task->arg[2] == -1;
    case SYS_pause:
        return true;
#endif
    case SYS_rt_sigsuspend:
        return true;
    case SYS_futex: {
        int operation = (int)task->arg[1] & FUTEX_CMD_MASK;
        return (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) && task->arg[3] == 0;
    }
    default:
        return false;
    }
}

/* A timer that sends SIGALRM is not visible anywhere; the others are. */
static bool signal_may_come(pid_t pid, pid_t tid)
{
    struct signals signals;
    return !read_signals(pid, tid, &signals) || signals.pending != 0 ||
           signals.process_pending != 0 || contains_signal(signals.handled, SIGALRM);
}

static bool has_timers(pid_t pid)
{
    char text[16];
    return read_proc(text, sizeof text, "/proc/%d/timers", pid, 0) != 0;
}

static bool threads_never_wake(pid_t root)
{
    const struct task *tasks;
    int n = read_all_tasks(root, &tasks);
    for (int i = 0; i < n; i++)
        if (tasks[i].pid != root || !waits_without_timeout(&tasks[i]) ||
            signal_may_come(root, tasks[i].tid))
            return false;
    return n > 0 && !has_timers(root);
}

/* ---- its descriptors ----------------------------------------------------------------------- */

/* All but sockets. */
static bool reports_no_other_events(const char *descriptor)
{
    static const char *const kinds[] = {"pipe:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]",
                                        "/dev/null"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(descriptor, kinds[i], strlen(kinds[i])) == 0)
            return true;
    return false;
}

/* The server's end of a client's connection, or its listening socket. */
static bool is_known_socket(const struct server *s, int fd)
{
    const struct connection *c = connection_of(s->pid, fd);
    if (c == NULL || c->local != s->port)
        return false;
    if (c->state == STATE_LISTEN)
        return true;
    const struct peer *p = peer_at(c->remote);
    return p != NULL && p->server == s && !p->closed && c->to_send == 0;
}

static bool descriptors_are_known(const struct server *s)
{
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)s->pid);
    DIR *directory = opendir(path);
    bool known = directory != NULL;
    for (struct dirent *entry; known && (entry = readdir(directory)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        ssize_t length = read_descriptor(s->pid, fd, target, sizeof target - 1);
        target[length > 0 ? length : 0] = '\0';
        known = reports_no_other_events(target) ||
                (strncmp(target, "socket:", 7) == 0 && is_known_socket(s, fd));
    }
    if (directory != NULL)
        closedir(directory);
    return known;
}

/* ---- what the clients have sent ------------------------------------------------------------ */

static bool is_empty(int pipe)
{
    int bytes;
    return ioctl(pipe, FIONREAD, &bytes) == 0 && bytes == 0;
}

static bool nc_has_passed_on_all(const struct peer *p)
{
    struct task task;
    return !p->half_closed && is_empty(p->out.fd) && is_empty(p->in.fd) &&
           read_task(&task, p->nc, p->nc) && task.state == 'S' &&
           (task.call == SYS_ppoll
#ifdef SYS_poll
            || task.call == SYS_poll
#endif
           );
}

/* Acknowledged by the server's side, and its FIN too: then its socket has them, and has woken
 * whatever waits for it. Of a client that has sent nothing even the connection may be under way. */
static bool everything_has_arrived(const struct peer *p)
{
    if (p->closed || p->end != STILL_OPEN || p->sent == 0 || buffered(&p->outbox) > 0 ||
        (p->is_nc && !nc_has_passed_on_all(p)))
        return false;
    const struct connection *c = find_connection(p->port, p->server->port);
    return c != NULL && c->to_send == 0 && (c->to_read == 0 || p->not_reading) &&
           c->state == (p->half_closed ? STATE_FIN_WAIT2 : STATE_ESTABLISHED);
}

static bool clients_have_been_heard(const struct server *s)
{
    for (const struct peer *p = first_peer(); p != NULL; p = p->next)
        if (p->server == s && !everything_has_arrived(p))
            return false;
    return true;
}

bool never_wakes(const struct server *s)
{
    enum { MAX_PEERS = 100 }; /* with more it would take longer than to wait */
    if (s->valgrind || s->has_faults || s->frozen || s->signal_sent != 0 ||
        count_peers() > MAX_PEERS)
        return false;
    uint64_t runs = read_times_run(s->pid);
    if (!threads_never_wake(s->pid))
        return false;
    read_connections();
    return descriptors_are_known(s) && clients_have_been_heard(s) && threads_never_wake(s->pid) &&
           read_times_run(s->pid) == runs;
}
