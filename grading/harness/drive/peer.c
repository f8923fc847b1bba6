#include "drive/peer.h"
#include "core/report.h"
#include "core/timeline.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct peer *first, **last = &first, *of_step;
static int peer_count;

/* ---- names ------------------------------------------------------------------------------- */

void restart_peer_names(void)
{
    peer_count = 0;
    of_step = NULL;
}

void set_client_of_step(struct peer *p)
{
    of_step = p;
}

struct peer *client_of_step(void)
{
    return of_step;
}

int count_peers(void)
{
    return peer_count;
}

const struct peer *first_peer(void)
{
    return first;
}

struct peer *peer_at(int port)
{
    struct peer *found = NULL; /* the latest: the kernel may assign a port twice */
    for (struct peer *p = first; p != NULL; p = p->next)
        if (p->port == port)
            found = p;
    return found;
}

const char *peer_name_at(int port)
{
    const struct peer *p = peer_at(port);
    return p == NULL ? NULL : p->name;
}

const char *peer_state_at(int port)
{
    static char text[160];
    const struct peer *p = peer_at(port);
    if (p == NULL)
        return NULL;
    int n = p->sent == 0 ? snprintf(text, sizeof text, "which has sent nothing")
                         : snprintf(text, sizeof text, "which has sent %zu bytes and received %zu",
                                    p->sent, p->received);
    snprintf(text + n, sizeof text - (size_t)n, "%s%s",
             p->not_reading && !p->closed ? "; it does not read" : "",
             p->closed        ? "; it has closed the connection"
             : p->half_closed ? "; it has half-closed (FIN)"
                              : "");
    return text;
}

/* ---- moving bytes ------------------------------------------------------------------------ */

void update_peer(struct peer *p)
{
    uint32_t reading = p->end == STILL_OPEN && !p->not_reading && !p->closed ? EPOLLIN : 0;
    uint32_t writing = buffered(&p->outbox) > 0 && !p->broken && !p->closed ? EPOLLOUT : 0;
    watch(&p->in, p->is_nc ? reading : reading | writing);
    if (p->is_nc)
        watch(&p->out, writing);
}

void send_some(struct peer *p)
{
    while (buffered(&p->outbox) > 0 && !p->broken) {
        ssize_t n = write(p->is_nc ? p->out.fd : p->in.fd, p->outbox.data + p->outbox.start,
                          buffered(&p->outbox));
        if (n == -1 && errno == EAGAIN)
            break;
        if (n == -1) {
            p->broken = true;
            break;
        }
        note_client(p->name, p->port, "sends", p->outbox.data + p->outbox.start, (size_t)n);
        p->outbox.start += (size_t)n;
        p->sent += (size_t)n;
    }
    if (p->half_closed && !p->is_nc && buffered(&p->outbox) == 0)
        shutdown(p->in.fd, SHUT_WR); /* repeating it is harmless */
}

/* A server that sends without end must not use up this process's memory: what exceeds all that a
 * check ever receives is read and dropped. */
static bool too_much_is_kept(size_t more)
{
    enum { MOST = 256 << 20 };
    static size_t kept_at_most; /* since it was last counted, some has been used up */
    kept_at_most += more;
    if (kept_at_most <= MOST)
        return false;
    kept_at_most = more;
    for (const struct peer *p = first; p != NULL; p = p->next)
        kept_at_most += buffered(&p->inbox);
    return kept_at_most > MOST;
}

static void receive_some(struct peer *p)
{
    enum { PIECE = 64 * 1024, MAX_PIECES = 16 }; /* other sources must have their turn */
    static char room[PIECE]; /* copied from, so that the inboxes of ten thousand stay small */
    for (int i = 0; i < MAX_PIECES && p->end == STILL_OPEN; i++) {
        ssize_t n = read(p->in.fd, room, sizeof room);
        if (n == -1 && errno == EAGAIN)
            return;
        if (n <= 0) {
            p->end = n == 0 ? GOT_FIN : GOT_RST;
            note_client(p->name, p->port, n == 0 ? "is closed by the server" : "is reset", NULL, 0);
            return;
        }
        note_client(p->name, p->port, "receives", room, (size_t)n);
        if (!too_much_is_kept((size_t)n))
            append(&p->inbox, room, (size_t)n);
        p->received += (size_t)n;
    }
}

static void on_in(struct source *source, uint32_t events)
{
    struct peer *p = (struct peer *)((char *)source - offsetof(struct peer, in));
    if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        send_some(p);
    if (!p->not_reading && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        receive_some(p);
    update_peer(p);
}

static void on_out(struct source *source, uint32_t events)
{
    struct peer *p = (struct peer *)((char *)source - offsetof(struct peer, out));
    (void)events;
    send_some(p);
    update_peer(p);
}

/* ---- creating and closing ---------------------------------------------------------------- */

struct peer *new_peer(struct server *s)
{
    struct peer *p = calloc(1, sizeof *p);
    if (p == NULL)
        grader_error("out of memory");
    p->server = s;
    p->in = (struct source){.fd = -1, .on_ready = on_in};
    p->out = (struct source){.fd = -1, .on_ready = on_out};
    if (peer_count < 26)
        snprintf(p->name, sizeof p->name, "client %c", 'A' + peer_count);
    else
        snprintf(p->name, sizeof p->name, "client %d", peer_count + 1);
    peer_count++;
    *last = p;
    last = &p->next;
    set_client_of_step(p);
    return p;
}

void send_fin(struct peer *p)
{
    asked("%s half-closes (FIN)", p->name);
    note_client(p->name, p->port, "half-closes", NULL, 0);
    set_client_of_step(p);
    p->half_closed = true;
    if (p->is_nc) {
        unwatch(&p->out);
        close(p->out.fd);
    } else {
        send_some(p);
        update_peer(p);
    }
}

static void close_peer(struct peer *p)
{
    set_client_of_step(p);
    p->closed = true;
    update_peer(p);
    close(p->in.fd);
    if (p->is_nc && !p->half_closed)
        close(p->out.fd);
    if (p->is_nc) {
        kill(p->nc, SIGKILL);
        waitpid(p->nc, NULL, 0); /* now its socket is closed */
    }
    free(p->inbox.data);
    free(p->outbox.data);
    p->inbox = p->outbox = (struct buffer){0};
}

void hang_up(struct peer *p)
{
    asked("%s closes its socket", p->name);
    note_client(p->name, p->port, "closes", NULL, 0);
    close_peer(p);
}

void reset(struct peer *p)
{
    asked("%s resets the connection (RST)", p->name);
    note_client(p->name, p->port, "resets", NULL, 0);
    if (setsockopt(p->in.fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0},
                   sizeof(struct linger)) == -1)
        grader_error("setsockopt: %s", strerror(errno));
    close_peer(p);
}
