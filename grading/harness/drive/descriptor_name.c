#include "drive/descriptor_name.h"
#include "drive/backend.h"
#include "drive/peer.h"
#include "observe/resources.h"
#include "observe/sockets.h"

#include <stdio.h>
#include <string.h>

static void name_socket(char *text, size_t size, const struct connection *c)
{
    if (c->state == STATE_LISTEN)
        snprintf(text, size, "the listening socket");
    else if (peer_name_at(c->remote) != NULL)
        snprintf(text, size, "%s", peer_name_at(c->remote));
    else if (backend_name_at(c->remote) != NULL)
        snprintf(text, size, "the %s backend", backend_name_at(c->remote));
    else
        snprintf(text, size, "a connection to port %d", c->remote);
}

void name_descriptor(char *text, size_t size, pid_t pid, int fd)
{
    char target[256];
    const struct connection *c = connection_of(pid, fd);
    if (read_descriptor(pid, fd, target, sizeof target) < 0)
        snprintf(text, size, "descriptor %d, which is not open", fd);
    else if (c != NULL)
        name_socket(text, size, c);
    else if (strncmp(target, "socket:", 7) == 0)
        snprintf(text, size, "a socket that is not connected");
    else if (strncmp(target, "pipe:", 5) == 0)
        snprintf(text, size,
                 fd == 1   ? "its standard output"
                 : fd == 2 ? "its standard error"
                           : "a pipe");
    else if (strcmp(target, "anon_inode:[eventpoll]") == 0)
        snprintf(text, size, "an epoll instance");
    else if (strcmp(target, "anon_inode:[eventfd]") == 0)
        snprintf(text, size, "an eventfd");
    else if (strncmp(target, "anon_inode:[", 12) == 0)
        snprintf(text, size, "a %.*s", (int)strcspn(target + 12, "]"), target + 12);
    else
        snprintf(text, size, "%s", target);
}
