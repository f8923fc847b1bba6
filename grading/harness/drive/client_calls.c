#include "drive/client_calls.h"
#include "drive/call_log.h"

/* The calls on the client's socket; -1 if they are not known. */
static int find_calls(const struct peer *p, struct record_copy *copy)
{
    const struct call_log *log = p->server->call_log;
    if (log == NULL)
        return -1;
    for (uint32_t i = last_serial(log); i >= first_serial(log) && i > 0; i--) {
        int n = read_record(log, i, copy);
        if (n >= 0 && copy->record.kind == SOCKET_RECORD &&
            copy->record.local_port == p->server->port && copy->record.peer_port == p->port)
            return n;
    }
    return -1;
}

static bool is_between(const struct recorded_call *c, enum called first, enum called last)
{
    return c->function >= first && c->function <= last;
}

enum failure kind_of_silence(const struct peer *p, bool some_came)
{
    struct record_copy copy;
    int n = find_calls(p, &copy);
    const struct recorded_call *last = n > 0 ? &copy.calls[n - 1] : NULL;
    if (last != NULL && last->function == CALLED_EPOLL_CTL && last->returned && last->result == -1)
        return EPOLL_CTL_FAILED;
    if (some_came && last != NULL && is_between(last, CALLED_RECV, CALLED_READV) &&
        last->returned && last->result > 0)
        return NOT_SENT;
    if (some_came)
        return MISSING_BYTES;
    return n == 0 && p->sent > 0 ? NEVER_READ : OTHER_FAILURE;
}
