/* What each thread of the server is doing, in words: the evidence when a check fails. */
#ifndef EXPLAIN_EVIDENCE_H
#define EXPLAIN_EVIDENCE_H

#include "drive/server_process.h"

/* Adds it to the current check's evidence, also of a check that passes. */
void add_thread_evidence(struct server *s);

#endif
