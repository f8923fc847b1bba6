/*
 * An echo server with libev, in the style of its manual: an ev_io per client. libev reports which
 * descriptors are ready, and leaves sending and receiving to its user. Usually one send takes all
 * the bytes; only the rest, if any, is buffered.
 */
#define _GNU_SOURCE /* accept4 */
#include "listen.h"
#include <errno.h>
#include <ev.h>
#include <string.h>
#include <unistd.h>

struct client {
    ev_io io;
    char *pending; /* bytes that could not be sent yet, or NULL */
    size_t start, end;
};

static void close_client(struct ev_loop *loop, struct client *client)
{
    ev_io_stop(loop, &client->io);
    close(client->io.fd);
    free(client->pending);
    free(client);
}

static void set_interest(struct ev_loop *loop, ev_io *io, int events)
{
    ev_io_stop(loop, io);
    ev_io_set(io, io->fd, events);
    ev_io_start(loop, io);
}

static void flush_output(struct ev_loop *loop, struct client *client)
{
    ssize_t n = send(client->io.fd, client->pending + client->start, client->end - client->start,
                     MSG_NOSIGNAL);
    if (n == -1) {
        if (errno != EAGAIN && errno != EINTR)
            close_client(loop, client);
        return;
    }
    client->start += (size_t)n;
    if (client->start == client->end) {
        free(client->pending);
        client->pending = NULL;
        set_interest(loop, &client->io, EV_READ);
    }
}

static void save_pending(struct ev_loop *loop, struct client *client, const char *bytes,
                         size_t size)
{
    client->pending = malloc(size);
    if (client->pending == NULL) {
        close_client(loop, client);
        return;
    }
    memcpy(client->pending, bytes, size);
    client->start = 0;
    client->end = size;
    set_interest(loop, &client->io, EV_WRITE);
}

static void on_ready(struct ev_loop *loop, ev_io *io, int events)
{
    static char buffer[64 * 1024];
    struct client *client = (struct client *)io;
    if (events & EV_WRITE) {
        flush_output(loop, client);
        return;
    }
    ssize_t n = recv(io->fd, buffer, sizeof buffer, 0);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        close_client(loop, client);
        return;
    }
    ssize_t sent = send(io->fd, buffer, (size_t)n, MSG_NOSIGNAL);
    if (sent == n)
        return;
    if (sent == -1 && (errno == EAGAIN || errno == EINTR))
        sent = 0;
    if (sent == -1)
        close_client(loop, client);
    else
        save_pending(loop, client, buffer + sent, (size_t)(n - sent));
}

static void on_connection(struct ev_loop *loop, ev_io *io, int events)
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
    ev_io listen_io;
    ev_io_init(&listen_io, on_connection, listener, EV_READ);
    ev_io_start(loop, &listen_io);
    print_address(listener);
    ev_run(loop, 0);
}
