/*
 * An echo server that answers wrongly, in the way that its first argument names. The load
 * generators must detect each of them.
 *
 *   misbehaving-server MISTAKE PORT
 *
 * Prints its address, like the servers of the labs. The mistake is made once per client, in its
 * second message, or its first in the case of `early`.
 */
#define _GNU_SOURCE /* accept4 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "../bench/listen.h"

enum { MESSAGE = 64, MAX_CLIENTS = 1024 };

static const char *mistake;
static struct client {
    size_t size; /* of the message that has arrived in part */
    int messages;
    char text[MESSAGE];
} clients[MAX_CLIENTS];
static char kept[MESSAGE]; /* for `swap`: another client's message, whose answer is held back */
static int kept_for = -1;

static bool is(const char *name)
{
    return strcmp(mistake, name) == 0;
}

static void send_bytes(int fd, const char *text, size_t size)
{
    if (send(fd, text, size, MSG_NOSIGNAL) != (ssize_t)size)
        close(fd);
}

/* Two clients get each other's answers: the first one waits until there is a second. */
static void swap(int fd, const char *text)
{
    if (kept_for == -1) {
        memcpy(kept, text, MESSAGE);
        kept_for = fd;
        return;
    }
    send_bytes(fd, kept, MESSAGE);
    send_bytes(kept_for, text, MESSAGE);
    kept_for = -1;
}

static void answer(int fd, char *text)
{
    if (clients[fd].messages++ != 1) {
        send_bytes(fd, text, MESSAGE);
    } else if (is("drop")) { /* a byte in the middle */
        send_bytes(fd, text, 20);
        send_bytes(fd, text + 21, MESSAGE - 21);
    } else if (is("drop-end")) {
        send_bytes(fd, text, MESSAGE - 1);
    } else if (is("duplicate")) {
        send_bytes(fd, text, MESSAGE);
        send_bytes(fd, text, MESSAGE);
    } else if (is("reorder")) {
        char other[MESSAGE];
        memcpy(other, text + MESSAGE / 2, MESSAGE / 2);
        memcpy(other + MESSAGE / 2, text, MESSAGE / 2);
        send_bytes(fd, other, MESSAGE);
    } else if (is("swap")) {
        swap(fd, text);
    } else if (is("corrupt")) {
        text[30] ^= 1;
        send_bytes(fd, text, MESSAGE);
    } else if (is("close")) {
        close(fd);
    } else {
        send_bytes(fd, text, MESSAGE);
    }
}

static void receive(int fd)
{
    struct client *client = &clients[fd];
    ssize_t n = recv(fd, client->text + client->size, MESSAGE - client->size, 0);
    if (n <= 0) {
        close(fd);
        return;
    }
    client->size += (size_t)n;
    /* A whole answer, and more, whatever has arrived. */
    if (is("early")) {
        memset(client->text + client->size, 'x', MESSAGE - client->size);
        send_bytes(fd, client->text, MESSAGE);
        send_bytes(fd, "x", 1);
        return;
    }
    if (client->size == MESSAGE) {
        client->size = 0;
        answer(fd, client->text);
    }
}

static void add(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
        close(fd);
}

int main(int argc, char **argv)
{
    mistake = argv[1];
    int listener = listen_on_argument(argc - 1, argv + 1), epoll_fd = epoll_create1(0);
    add(epoll_fd, listener);
    print_address(listener);
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(epoll_fd, &event, 1, -1) < 1)
            continue;
        if (event.data.fd != listener) {
            receive(event.data.fd);
            continue;
        }
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd == -1 || fd >= MAX_CLIENTS) {
            close(fd);
            continue;
        }
        clients[fd] = (struct client){0};
        add(epoll_fd, fd);
    }
}
