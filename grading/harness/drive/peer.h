/* A client: a socket of the harness's own, or the real nc. */
#ifndef DRIVE_PEER_H
#define DRIVE_PEER_H

#include "drive/buffer.h"
#include "drive/server_process.h"

enum peer_end { STILL_OPEN, GOT_FIN, GOT_RST };

/* A client is called client A, B, C ... in the order in which they connect. */
struct peer {
    struct source in;  /* its socket, or nc's standard output */
    struct source out; /* nc's standard input; a socket is written to through `in` */
    struct server *server;
    bool is_nc, not_reading;
    pid_t nc;
    char name[24];
    int port;
    struct buffer inbox, outbox;
    size_t sent, received; /* bytes, in total */
    enum peer_end end;     /* what the server did */
    bool broken;           /* sending failed: the server has closed the connection */
    bool half_closed, closed;
    bool seen_served;       /* see valgrind_processes.h */
    struct buffer history;  /* what it has sent last, without what is long */
    size_t last_piece;      /* of that, what it has sent at last */
    double last_sent;       /* when that was */
    char last_expected[64]; /* the end of what it has received last as expected */
    size_t last_expected_size;
    struct peer *next;
};

struct peer *new_peer(struct server *s);
int count_peers(void);
/* For a new server the names begin again. */
void restart_peer_names(void);

/* The client that the current step is about: if the step fails, the evidence begins with it. NULL:
 * none yet. */
void set_client_of_step(struct peer *p);
struct peer *client_of_step(void);

/* The peer with this local port, and its name; NULL if there is none. */
struct peer *peer_at(int port);
const char *peer_name_at(int port);
/* All peers, the earliest first: those of earlier servers, too. */
const struct peer *first_peer(void);
/* "which has sent nothing", or NULL. */
const char *peer_state_at(int port);

void update_peer(struct peer *p); /* watches its descriptors for what it can do now */
void send_some(struct peer *p);   /* as much of its outbox as fits */

/* half-close: sends FIN, still receives */
void send_fin(struct peer *p);
void hang_up(struct peer *p); /* closes: FIN, and a reset if anything arrives later */
void reset(struct peer *p);   /* RST */

#endif
