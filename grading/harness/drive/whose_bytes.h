/* Where bytes come from that a client should not have received: evidence that no student can guess.
 */
#ifndef DRIVE_WHOSE_BYTES_H
#define DRIVE_WHOSE_BYTES_H

#include "drive/peer.h"

/* `received` is all that has arrived instead of `expected`; they differ at byte `same`. Adds a line
 * when it is clear whose bytes these are. */
void add_origin_of_bytes(const struct peer *p, const char *expected, size_t expected_size,
                         const char *received, size_t received_size, size_t same);
/* The same for bytes after which nothing was expected. */
void add_origin_of_excess(const struct peer *p, const char *excess, size_t size);

/* What has been received as expected: excess bytes may follow it. */
void remember_expected(struct peer *p, const char *data, size_t size);

#endif
