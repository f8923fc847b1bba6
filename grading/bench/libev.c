/*
 * An echo server with libev, as its manual writes one: an ev_io per client. libev tells who is
 * ready and leaves sending and receiving to its user. Most often all goes out at once; only what
 * does not is kept.
 */
#define _GNU_SOURCE /* accept4 */
#include "peer.h"
#include <errno.h>
#include <ev.h>
#include <string.h>
#include <unistd.h>

struct client {
    ev_io io;
    char *rest; /* what could not be sent yet, or NULL */
    size_t start, end;
};

static void leave(struct ev_loop *loop, struct client *client)
{
    ev_io_stop(loop, &client->io);
    close(client->io.fd);
    free(client->rest);
    free(client);
}

static void wait_for(struct ev_loop *loop, ev_io *io, int events)
{
    ev_io_stop(loop, io);
    ev_io_set(io, io->fd, events);
    ev_io_start(loop, io);
}

static void send_rest(struct ev_loop *loop, struct client *client)
{
    ssize_t n = send(client->io.fd, client->rest + client->start, client->end - client->start,
                     MSG_NOSIGNAL);
    if (n == -1) {
        if (errno != EAGAIN && errno != EINTR)
            leave(loop, client);
        return;
    }
    client->start += (size_t)n;
    if (client->start == client->end) {
        free(client->rest);
        client->rest = NULL;
        wait_for(loop, &client->io, EV_READ);
    }
}

static void keep_rest(struct ev_loop *loop, struct client *client, const char *bytes, size_t size)
{
    client->rest = malloc(size);
    if (client->rest == NULL) {
        leave(loop, client);
        return;
    }
    memcpy(client->rest, bytes, size);
    client->start = 0;
    client->end = size;
    wait_for(loop, &client->io, EV_WRITE);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    static char buffer[64 * 1024];
    struct client *client = (struct client *)io;
    if (events & EV_WRITE) {
        send_rest(loop, client);
        return;
    }
    ssize_t n = recv(io->fd, buffer, sizeof buffer, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        leave(loop, client);
        return;
    }
    ssize_t sent = send(io->fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (sent == n)
        return;
    if (sent == -1 && (errno == EAGAIN || errno == EINTR))
        sent = 0;
    if (sent == -1)
        leave(loop, client);
    else
        keep_rest(loop, client, buffer + sent, (size_t)(n - sent));
}

static void on_knock(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    int fd;
    while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK)) != -1) {
        struct client *client = calloc(1, sizeof *client);
        if (client == NULL) {
            close(fd);
            continue;
        }
        ev_io_init(&client->io, on_ready, fd, EV_READ);
        ev_io_start(loop, &client->io);
    }
}

int main(int argc, char **argv)
{
    int listener = listen_on_argument(argc, argv);
    struct ev_loop *loop = ev_default_loop(0);
    if (loop == NULL)
        return 1;
    ev_io knocking;
    ev_io_init(&knocking, on_knock, listener, EV_READ);
    ev_io_start(loop, &knocking);
    say_listening(listener);
    ev_run(loop, 0);
}
