/*
 * An echo server with libevent, in the style of its book: a bufferevent per client, whose input is
 * moved to its output.
 */
#include "listen.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <signal.h>

static void on_read(struct bufferevent *client, void *unused)
{
    (void)unused;
    evbuffer_add_buffer(bufferevent_get_output(client), bufferevent_get_input(client));
}

static void on_event(struct bufferevent *client, short events, void *unused)
{
    (void)unused;
    if (events & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        bufferevent_free(client);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int size, void *unused)
{
    (void)address, (void)size, (void)unused;
    struct bufferevent *client =
        bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
    if (client == NULL) {
        evutil_closesocket(fd);
        return;
    }
    bufferevent_setcb(client, on_read, NULL, on_event, NULL);
    bufferevent_enable(client, EV_READ | EV_WRITE);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    int fd = listen_on_argument(argc, argv);
    struct event_base *base = event_base_new();
    if (base == NULL || evconnlistener_new(base, on_connection, NULL, 0, 0, fd) == NULL)
        return 1;
    print_address(fd);
    return event_base_dispatch(base);
}
