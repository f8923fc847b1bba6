/* Labs 6 to 8: answers that find no room, since the client does not read. */
#ifndef PENDING_OUTPUT_H
#define PENDING_OUTPUT_H

#include "drive/server_process.h"

/* Searches, then a search or a line that is too long, whose answer does not fit behind the pending
 * output. A client that reads again must receive all answers to its searches. */
void answer_behind_pending_output(struct server *s);

#endif
