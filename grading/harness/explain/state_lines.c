#include "explain/state_lines.h"
#include "core/report.h"
#include "drive/peer_receive.h"
#include "explain/backend_lines.h"
#include "explain/interest_lines.h"
#include "explain/signal_lines.h"
#include "explain/task_names.h"
#include "observe/sockets.h"

#include <stdio.h>
#include <string.h>

/* FIN is sent when the last process has closed the socket. */
static void add_holders(const struct peer *p, const struct task *tasks, int n)
{
    char names[200] = "";
    for (int i = 0; i < n; i++) {
        if (tasks[i].pid != tasks[i].tid || is_dead(&tasks[i]) ||
            !has_connection_to(tasks[i].pid, p->port))
            continue;
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s%s", length > 0 ? ", " : "",
                 task_name(tasks[i].tid), i == 0 ? " (the parent)" : "");
    }
    if (*names != '\0')
        evidence("%s's socket is still open in %s", p->name, names);
}

static void add_lines_of_finished_client(const struct peer *p, const struct connection *c,
                                         const struct task *tasks, int n)
{
    if (c->eof_unread && c->to_read == 0)
        evidence("%s: end-of-file (FIN) has arrived but has not been read", p->name);
    else if (has_several_processes())
        add_holders(p, tasks, n);
    else if (p == receiving_peer())
        evidence("the server still has %s's socket open", p->name);
}

/* Clients that have finished, and whose sockets the server has not closed. */
static void add_finished_lines(const struct server *s, const struct task *tasks, int n)
{
    enum { MAX_CLIENTS = 4 };
    int clients = 0;
    for (const struct peer *p = first_peer(); p != NULL && clients < MAX_CLIENTS; p = p->next) {
        const struct connection *c = find_connection(s->port, p->port);
        if (p->server != s || !(p->half_closed || p->closed) || c == NULL || c->inode == 0 ||
            c->to_read > 0 || c->to_send > 0)
            continue;
        add_lines_of_finished_client(p, c, tasks, n);
        clients++;
    }
}

void add_state_lines(struct server *s)
{
    if (has_ended(s)) {
        add_signal_that_ended(s);
    } else {
        const struct task *tasks;
        int n = read_named_tasks(s->pid, &tasks);
        add_signal_lines(s, tasks, n);
        add_finished_lines(s, tasks, n);
        add_interest_lines(s, tasks, n);
    }
    add_backend_lines(s);
}
