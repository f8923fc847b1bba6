/* TCP sockets, from sock_diag(7) or /proc/net/tcp, and which descriptor is which socket. */
#ifndef OBSERVE_SOCKETS_H
#define OBSERVE_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

enum {
    STATE_ESTABLISHED = 1,
    STATE_SYN_SENT = 2,
    STATE_FIN_WAIT2 = 5,
    STATE_TIME_WAIT = 6,
    STATE_CLOSE_WAIT = 8,
    STATE_LISTEN = 10,
    STATE_BOUND = 13
};

struct connection {
    unsigned address;  /* the local one, as in s_addr */
    int local, remote; /* ports */
    int state;
    unsigned long to_send, to_read; /* bytes waiting in the socket */
    bool eof_unread;                /* the FIN of the other side is one of them, not counted */
    unsigned long inode;            /* 0: not accepted yet, or closed */
};

/* Reads all TCP sockets anew. What the functions below return is valid until the next call. */
void read_connections(void);
/* All of them, except those in TIME_WAIT. */
const struct connection *all_connections(int *count);
/* The socket between these ports that is not a listening one, or NULL. */
const struct connection *find_connection(int local, int remote);
/* The socket behind a process's descriptor, or NULL. */
const struct connection *connection_of(pid_t pid, int fd);
/* Has a process a socket connected to this port? */
bool has_connection_to(pid_t pid, int remote_port);

/* These read the sockets themselves. */
/* The same as find_connection(), for addresses 127.0.0.1; much faster than to read all sockets. */
const struct connection *read_connection(int local, int remote);
enum listening { NOWHERE, ON_LOOPBACK, ON_OTHER_ADDRESS };
enum listening listening_at(int port);
/* The local port of a process's connection to remote_port, or -1. */
int local_port_of(pid_t pid, int remote_port);

#endif
