/* Steps that several of the shared checks take. */
#ifndef STEPS_H
#define STEPS_H

#include "../harness.h"

/* More CPU time than any echo costs, in nanoseconds: where a check has not measured one. */
enum { ECHO_NANOSECONDS = 200 * 1000 };

/* More than the smallest socket buffers hold, and less than the usual ones. */
enum { MANY_BYTES = 48 * 1024 };

/* Sends "hello\n", and receives it. */
void greet(struct peer *p);
struct peer *connect_and_greet(struct server *s);

/* Waits until the server is asleep, freezes it, and sends as much of the text as fits. The server
 * finds all of it at once, after thaw(). Returns the number of bytes. */
size_t send_while_frozen(struct server *s, struct peer *p, const char *text, size_t size);

/* Sends text while the server is frozen, and reads none of it until the server has received all and
 * can send no more: what it could not send must wait. With FIN behind the text, or without. */
void expect_delayed_echo(struct server *s, size_t size, bool half_close);

/* A new client is served. */
void expect_service(struct server *s);
/* Beside a client that never stops sending, do both get their echo, twice? The first time may be in
 * the batch of events in which that client begins. */
bool are_served(struct server *s, struct peer *p, struct peer *q);
/* So many new clients, which the server finds all at once, each with its line and FIN. */
void expect_service_at_once(struct server *s, int count);

/* Many clients, and always one that has sent something: the others need no recv(). The faults
 * include strict_select. */
void expect_recv_of_reported_clients_only(const char *faults);

/* The preloaded library reports a descriptor that is closed twice: .faults = "strict_close". */
bool has_closed_twice(struct server *s);
void expect_closed_once(struct server *s);

#endif
