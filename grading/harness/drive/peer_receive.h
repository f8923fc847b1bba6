/* What a client receives. */
#ifndef DRIVE_PEER_RECEIVE_H
#define DRIVE_PEER_RECEIVE_H

#include "drive/peer.h"

void stop_reading(struct peer *p);
void resume_reading(struct peer *p);

/* Each waits for exactly this, and fails on the first byte that differs. */
void receive_text(struct peer *p, const char *text);
void receive_bytes(struct peer *p, const void *data, size_t size);
/* Either of these; they differ in their first byte. */
void receive_one_of(struct peer *p, const char *one, const char *other);
void receive_long_text(struct peer *p, size_t size);
void send_and_receive(struct peer *p, const char *text, int times);

void receive_eof(struct peer *p);          /* FIN and nothing before it; a reset is a failure */
void receive_eof_or_reset(struct peer *p); /* FIN or RST, and nothing before it */

/* The client that one of these waits for, or NULL: for the evidence. A check that waits for bytes
 * in a loop of its own sets it. */
const struct peer *receiving_peer(void);
void set_receiving_peer(const struct peer *p);
/* Has it received what it should not? Otherwise something is missing. */
bool receiving_wrong_bytes(void);

size_t unread_bytes(const struct peer *p); /* bytes received that no receive_text() has consumed */

#endif
