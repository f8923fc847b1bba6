/* How a check waits for calls to the backends, and releases held answers. */
#ifndef DRIVE_BACKEND_WAIT_H
#define DRIVE_BACKEND_WAIT_H

#include "drive/backend.h"
#include "drive/peer_receive.h"
#include "drive/server_process.h"

/* Waits until n calls are held there; fails if the server sleeps without having made them. */
void wait_for_calls(struct server *s, enum backend b, int n);
int calls_held_at(enum backend b);
/* The same, but also counts calls that the server has given up since: for so many that the first
 * may be over when the last is made, or even before it could be sent, if the machine is busy.
 * `since` is when the server was given something to do. */
void wait_for_calls_made(struct server *s, enum backend b, int n, double since);
/* Waits until the server is seen waiting for a connection to this backend, for this client; or
 * until it has given up, which a busy machine may let us see too late. */
void wait_connecting(struct server *s, enum backend b, struct peer *client);

/* When the server began the first of the calls that are held there; now if none is. */
double held_since(enum backend b);

/* Answers the held call with this request; or all that are held, and returns how many. */
void release(enum backend b, const char *words);
int release_all(enum backend b);
/* The same when the server may have given up: nothing waits for the answers any more. */
int release_late(enum backend b);

/* Waits until the server has closed all its connections to this backend. */
void expect_no_calls_open(struct server *s, enum backend b);
/* The same for all three, and for calls that a search would still begin: the server is asleep. */
void expect_searches_finished(struct server *s);

#endif
