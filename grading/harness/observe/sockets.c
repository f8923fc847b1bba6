#include "observe/sockets.h"
#include "core/procfs.h"
#include "core/report.h"
#include "observe/resources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct connection *connections;
static int connection_count;

static void add_connection(struct connection c)
{
    static int capacity;
    if (connection_count == capacity) {
        capacity = capacity == 0 ? 256 : 2 * capacity;
        connections = realloc(connections, (size_t)capacity * sizeof *connections);
        if (connections == NULL)
            grader_error("out of memory");
    }
    c.eof_unread = c.state == STATE_CLOSE_WAIT && c.to_read > 0;
    if (c.eof_unread)
        c.to_read--; /* a received FIN counts as a byte */
    if (c.state == STATE_LISTEN)
        c.to_send = 0; /* here the kernel reports the maximum backlog */
    connections[connection_count++] = c;
}

/* The address of an IPv4 socket, or of an IPv6 one that is bound to an IPv4 address
 * (::ffff:a.b.c.d, ipv6(7)). Any other IPv6 address is none of ours: 0. */
static unsigned ipv4_address(const struct inet_diag_msg *m)
{
    const __be32 *source = m->id.idiag_src;
    if (m->idiag_family == AF_INET)
        return source[0];
    return source[0] == 0 && source[1] == 0 && source[2] == htonl(0xffff) ? source[3] : 0;
}

/* One reply of the kernel may hold many sockets; true while more replies follow. */
static bool parse_reply(const struct nlmsghdr *header, size_t size)
{
    for (; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
        const struct inet_diag_msg *m = NLMSG_DATA(header);
        if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
            return false; /* the last message, or an error */
        add_connection((struct connection){.address = ipv4_address(m),
                                           .local = ntohs(m->id.idiag_sport),
                                           .remote = ntohs(m->id.idiag_dport),
                                           .state = m->idiag_state,
                                           .to_send = m->idiag_wqueue,
                                           .to_read = m->idiag_rqueue,
                                           .inode = m->idiag_inode});
    }
    return true;
}

/* Sends a request for sockets of one family, and reads the reply. */
static bool request_from_kernel(unsigned char family, const struct inet_diag_sockid *id,
                                unsigned states, bool dump)
{
    static _Alignas(struct nlmsghdr) char reply[32 * 1024];
    struct {
        struct nlmsghdr header;
        struct inet_diag_req_v2 body;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0))},
                 .body = {.sdiag_family = family,
                          .sdiag_protocol = IPPROTO_TCP,
                          .idiag_states = states,
                          .id = *id}};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    bool ok = fd != -1 && send(fd, &request, sizeof request, 0) == sizeof request, more = ok;
    while (more) {
        ssize_t n = recv(fd, reply, sizeof reply, 0);
        const struct nlmsghdr *first = (struct nlmsghdr *)reply;
        ok = n >= (ssize_t)sizeof *first && first->nlmsg_type != NLMSG_ERROR;
        if (!ok && !dump && n >= (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
            ok = ((const struct nlmsgerr *)NLMSG_DATA(first))->error == -ENOENT;
        more = ok && parse_reply(first, (size_t)n) && dump;
    }
    if (fd != -1)
        close(fd);
    return ok;
}

/* How many are in use, according to the kernel; at least 1 if it does not say. */
static int ipv6_sockets(void)
{
    char text[256];
    int n = 1;
    if (read_proc(text, sizeof text, "/proc/self/net/sockstat6", 0, 0) > 0)
        sscanf(text, "TCP6: inuse %d", &n);
    return n;
}

/* As ss(8) does. The kernel walks through the table of all connections for each family, unless only
 * listening sockets are wanted. */
static bool read_from_kernel(unsigned states)
{
    static const struct inet_diag_sockid any;
    connection_count = 0;
    return request_from_kernel(AF_INET, &any, states, true) &&
           (ipv6_sockets() == 0 || request_from_kernel(AF_INET6, &any, states, true));
}

/* Without sock_diag: IPv4 only. */
static void read_from_proc(void)
{
    FILE *file = fopen("/proc/self/net/tcp", "re");
    char line[512];
    connection_count = 0;
    if (file == NULL)
        grader_error("cannot read /proc/self/net/tcp: %s", strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        struct connection c;
        unsigned local, remote, state;
        if (sscanf(line, " %*d: %x:%x %*x:%x %x %lx:%lx %*x:%*x %*x %*d %*d %lu", &c.address,
                   &local, &remote, &state, &c.to_send, &c.to_read, &c.inode) != 7)
            continue;
        c.local = (int)local;
        c.remote = (int)remote;
        c.state = (int)state;
        add_connection(c);
    }
    fclose(file);
}

void read_connections(void)
{
    /* Sockets in TIME_WAIT are left out: after ten thousand clients it takes seconds to read them
     * again and again. So are those that are only bound, which are in a table of their own. */
    enum { STATES = (1 << STATE_BOUND) - 1 - (1 << STATE_TIME_WAIT) };
    if (!read_from_kernel(STATES))
        read_from_proc();
}

/* Of both families: the kernel finds an IPv6 socket by its IPv4 addresses. */
const struct connection *read_connection(int local, int remote)
{
    struct inet_diag_sockid id = {.idiag_sport = htons((uint16_t)local),
                                  .idiag_dport = htons((uint16_t)remote),
                                  .idiag_src = {htonl(INADDR_LOOPBACK)},
                                  .idiag_dst = {htonl(INADDR_LOOPBACK)},
                                  .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}};
    connection_count = 0;
    if (!request_from_kernel(AF_INET, &id, ~0U, false))
        read_connections();
    const struct connection *c = find_connection(local, remote);
    return c != NULL && c->state != STATE_TIME_WAIT ? c : NULL;
}

const struct connection *all_connections(int *count)
{
    *count = connection_count;
    return connections;
}

const struct connection *find_connection(int local, int remote)
{
    for (int i = 0; i < connection_count; i++)
        if (connections[i].local == local && connections[i].remote == remote &&
            connections[i].state != STATE_LISTEN)
            return &connections[i];
    return NULL;
}

/* 0 if the descriptor is not a socket. */
static unsigned long inode_of(pid_t pid, int fd)
{
    char target[128];
    unsigned long inode = 0;
    read_descriptor(pid, fd, target, sizeof target);
    return sscanf(target, "socket:[%lu]", &inode) == 1 ? inode : 0;
}

const struct connection *connection_of(pid_t pid, int fd)
{
    unsigned long inode = inode_of(pid, fd);
    for (int i = 0; inode != 0 && i < connection_count; i++)
        if (connections[i].inode == inode)
            return &connections[i];
    return NULL;
}

bool has_connection_to(pid_t pid, int remote_port)
{
    for (int fd = 0; fd < 1024; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c != NULL && c->remote == remote_port && c->state != STATE_LISTEN)
            return true;
    }
    return false;
}

enum listening listening_at(int port)
{
    if (!read_from_kernel(1 << STATE_LISTEN))
        read_from_proc();
    for (int i = 0; i < connection_count; i++)
        if (connections[i].state == STATE_LISTEN && connections[i].local == port)
            return connections[i].address == htonl(INADDR_LOOPBACK) ? ON_LOOPBACK
                                                                    : ON_OTHER_ADDRESS;
    return NOWHERE;
}

int local_port_of(pid_t pid, int remote_port)
{
    read_connections();
    for (int fd = 0; fd < 64; fd++) {
        const struct connection *c = connection_of(pid, fd);
        if (c != NULL && c->remote == remote_port && c->state != STATE_SYN_SENT)
            return c->local;
    }
    return -1;
}
