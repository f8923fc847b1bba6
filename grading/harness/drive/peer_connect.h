/* How a client connects. */
#ifndef DRIVE_PEER_CONNECT_H
#define DRIVE_PEER_CONNECT_H

#include "drive/peer.h"

struct peer *connect_to(struct server *s);      /* a socket of the harness's own */
struct peer *connect_small(struct server *s);   /* the same, with a small receive buffer */
struct peer *connect_with_nc(struct server *s); /* the real nc(1), as a student would use it */
/* Connects many at once, reported in one line, and stores them in `clients` unless that is NULL. */
void connect_many(struct server *s, struct peer **clients, int count);

#endif
