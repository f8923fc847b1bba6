/* What the server's recorded calls tell of a client that waits for bytes in vain. */
#ifndef DRIVE_CLIENT_CALLS_H
#define DRIVE_CLIENT_CALLS_H

#include "core/failures.h"
#include "drive/peer.h"

#include <stdbool.h>

/* The connection is open, and bytes are missing: all of them, or only the last ones. */
enum failure kind_of_silence(const struct peer *p, bool some_came);

#endif
