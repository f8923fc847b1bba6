/*
 * The three servers that a search queries, in labs 6 to 8. They live in the check's own process and
 * answer, hold, trickle or close as the check tells them. An answer that is held must be released
 * within a second of the call's beginning, or a correct server reports "timed out".
 */
#ifndef DRIVE_BACKEND_H
#define DRIVE_BACKEND_H

#include "drive/backend_call.h"

/* Each answers a line with the line and its name: "red shoes" becomes "red shoes user". */
enum backend { USER, QUERY, STOCK, BACKENDS };

/* For calls from now on. For each new server all three answer. */
void set_backend(enum backend b, enum backend_mode mode);
/* The same, with this text instead of the usual answer, until set_backend(). It is not copied. */
void set_answer(enum backend b, const void *text, size_t size);

/* From now on their sockets have the smallest receive buffer: with a small send buffer on the other
 * side (small_buffers), a long request is sent in pieces. */
void shrink_backend_buffers(void);

/* Connections accepted since the server was started. */
int calls_at(enum backend b);
/* The same as a list, the latest first. */
struct call *calls_of(enum backend b);

/* A server's arguments: port 0 and the three ports. Opens the backends and makes each answer. */
const char *const *backend_arguments(void);
int backend_port(enum backend b);
const char *backend_name(enum backend b); /* "user" */
const char *backend_name_at(int port);    /* the same, or NULL */
bool is_backlog_filler(int port);         /* the local port of a connection of DOES_NOT_ACCEPT */

#endif
