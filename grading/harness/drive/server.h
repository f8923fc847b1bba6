/* Starting, stopping and freezing the server under test. */
#ifndef DRIVE_SERVER_H
#define DRIVE_SERVER_H

#include "drive/server_exec.h"
#include "drive/server_process.h"

/* Starts the server and waits until it prints that it is listening. It dies with the check. */
#define start_server(...) start_server_with((struct server_options){0, __VA_ARGS__})
struct server *start_server_with(struct server_options options);

struct ending {
    bool by_signal;
    int code;        /* the signal or the exit status */
    const char *out; /* all it printed after the "listening" line; owned by the server */
    const char *err; /* the last 64 KiB of its standard error; owned by the server */
};

/* Waits for the server to end by itself; stop_server sends `sig` first, and continues a frozen
 * server. */
struct ending wait_for_exit(struct server *s, int status);
struct ending stop_server(struct server *s, int sig);
/* Waits for a server whose injected fault sends it SIGTERM at a certain moment. Returns false if
 * that moment never came, because the server makes no such call. */
bool exited_by_fault(struct server *s, struct ending *e);

/* freeze() sends SIGSTOP and returns when /proc shows that the server is stopped. All that peers do
 * meanwhile, the server finds at once after thaw(). */
void freeze(struct server *s);
void thaw(struct server *s);

#endif
