/* What a client sends. */
#ifndef DRIVE_PEER_SEND_H
#define DRIVE_PEER_SEND_H

#include "drive/peer.h"

void send_text(struct peer *p, const char *text);
void send_bytes(struct peer *p, const void *data, size_t size);
/* Sends to a server that may have closed the connection. */
void try_to_send(struct peer *p, const char *text);
/* Sends long text without reading, until the server is seen to be blocked by it: asleep, with all
 * buffers full. Returns the number of bytes, for receive_long_text(). */
size_t send_until_blocked(struct peer *p);
/* For frozen servers: sends at most `size` bytes, as many as fit right now, and later the rest of
 * the last line (of 64 bytes: long_text), since a server may work line by line. Returns how many.
 */
size_t send_what_fits(struct peer *p, const void *data, size_t size);

#endif
