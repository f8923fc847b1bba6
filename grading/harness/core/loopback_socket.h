/* TCP addresses and bound sockets on 127.0.0.1. */
#ifndef CORE_LOOPBACK_SOCKET_H
#define CORE_LOOPBACK_SOCKET_H

#include <netinet/in.h>
#include <stdbool.h>

struct sockaddr_in loopback_address(int port);

/* A socket bound to this port (0: any free one), stored in *bound_port. Returns -1, with errno set,
 * on failure. */
int bind_loopback(int port, bool reuse_address, int *bound_port);

#endif
