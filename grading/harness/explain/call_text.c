#include "explain/call_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static const char *const names[CALLED_FUNCTIONS] = {
    [CALLED_ACCEPT] = "accept",
    [CALLED_CONNECT] = "connect",
    [CALLED_LISTEN] = "listen",
    [CALLED_RECV] = "recv",
    [CALLED_RECVFROM] = "recvfrom",
    [CALLED_RECVMSG] = "recvmsg",
    [CALLED_READ] = "read",
    [CALLED_READV] = "readv",
    [CALLED_SEND] = "send",
    [CALLED_SENDTO] = "sendto",
    [CALLED_SENDMSG] = "sendmsg",
    [CALLED_WRITE] = "write",
    [CALLED_WRITEV] = "writev",
    [CALLED_SENDFILE] = "sendfile",
    [CALLED_SPLICE_FROM] = "splice from it",
    [CALLED_SPLICE_TO] = "splice to it",
    [CALLED_SHUTDOWN] = "shutdown",
    [CALLED_CLOSE] = "close",
    [CALLED_LINGER] = "setsockopt(SO_LINGER",
    [CALLED_EPOLL_CTL] = "epoll_ctl",
    [CALLED_SELECT] = "select",
    [CALLED_POLL] = "poll",
    [CALLED_EPOLL_WAIT] = "epoll_wait",
};

void append_text(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    size_t used = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

/* ---- arguments --------------------------------------------------------------------------- */

struct bit {
    uint32_t value;
    const char *name;
};

static const struct bit receive_flags[] = {{MSG_WAITALL, "MSG_WAITALL"},
                                           {MSG_PEEK, "MSG_PEEK"},
                                           {MSG_DONTWAIT, "MSG_DONTWAIT"},
                                           {0, NULL}};
/* Not MSG_NOSIGNAL, which all should have. */
static const struct bit send_flags[] = {
    {MSG_DONTWAIT, "MSG_DONTWAIT"}, {MSG_MORE, "MSG_MORE"}, {MSG_OOB, "MSG_OOB"}, {0, NULL}};
static const struct bit epoll_bits[] = {{EPOLLIN, "EPOLLIN"},
                                        {EPOLLOUT, "EPOLLOUT"},
                                        {EPOLLPRI, "EPOLLPRI"},
                                        {EPOLLERR, "EPOLLERR"},
                                        {EPOLLHUP, "EPOLLHUP"},
                                        {EPOLLRDHUP, "EPOLLRDHUP"},
                                        {0, NULL}};

static void append_bits(char *text, size_t size, uint32_t value, const struct bit *bits,
                        const char *before)
{
    for (; bits->name != NULL; bits++)
        if (value & bits->value) {
            append_text(text, size, "%s%s", before, bits->name);
            before = " | ";
        }
}

const char *events_text(const struct recorded_call *c)
{
    static char text[120];
    *text = '\0';
    if (c->function == CALLED_SELECT)
        return c->flags & EPOLLIN ? "readable" : c->flags & EPOLLOUT ? "writable" : "exceptional";
    append_bits(text, sizeof text, c->flags, epoll_bits, "");
    return text;
}

bool is_sending_call(const struct recorded_call *c)
{
    return c->function >= CALLED_SEND && c->function <= CALLED_SPLICE_TO &&
           c->function != CALLED_SPLICE_FROM;
}

bool is_receiving(const struct recorded_call *c)
{
    return (c->function >= CALLED_RECV && c->function <= CALLED_READV) ||
           c->function == CALLED_SPLICE_FROM;
}

static void append_arguments(char *text, size_t size, const struct recorded_call *c)
{
    static const char *const hows[] = {"SHUT_RD", "SHUT_WR", "SHUT_RDWR"};
    static const char *const operations[] = {"", "EPOLL_CTL_ADD", "EPOLL_CTL_DEL", "EPOLL_CTL_MOD"};
    if (c->function == CALLED_SHUTDOWN)
        append_text(text, size, "(%s)", c->flags < 3 ? hows[c->flags] : "?");
    else if (c->function == CALLED_EPOLL_CTL)
        append_text(text, size, "(%s)", c->flags < 4 ? operations[c->flags] : "?");
    else if (c->function == CALLED_LINGER && c->size < 0)
        append_text(text, size, ", off)");
    else if (c->function == CALLED_LINGER)
        append_text(text, size, ", %lld seconds)", (long long)c->size);
    else if (c->function >= CALLED_SELECT && c->size < 0)
        append_text(text, size, "(no timeout)");
    else if (c->function >= CALLED_SELECT)
        append_text(text, size, "(timeout %g ms)", (double)c->size / 1e6);
    else if (c->function >= CALLED_RECV && c->function < CALLED_SHUTDOWN) {
        append_text(text, size, "(%lld", (long long)c->size);
        append_bits(text, size, c->flags, is_sending_call(c) ? send_flags : receive_flags, ", ");
        append_text(text, size, ")");
    }
}

/* ---- results ----------------------------------------------------------------------------- */

static const char *with_commas(uint32_t n)
{
    static char text[16];
    if (n >= 1000000)
        snprintf(text, sizeof text, "%u,%03u,%03u", n / 1000000, n / 1000 % 1000, n % 1000);
    else if (n >= 1000)
        snprintf(text, sizeof text, "%u,%03u", n / 1000, n % 1000);
    else
        snprintf(text, sizeof text, "%u", n);
    return text;
}

static void append_result(char *text, size_t size, const struct recorded_call *c)
{
    bool says_nothing = c->function == CALLED_CLOSE || c->function == CALLED_SHUTDOWN ||
                        c->function == CALLED_LINGER || c->function == CALLED_LISTEN;
    if (c->result == -1) {
        const char *name = strerrorname_np(c->error);
        append_text(text, size, " = %s", name != NULL ? name : "an error");
    } else if (!says_nothing) {
        append_text(text, size, " = %lld", (long long)c->result);
    }
    if (c->times > 1)
        append_text(text, size, ", %s times", with_commas(c->times));
}

void append_call(char *text, size_t size, const struct recorded_call *c, const char *in_it)
{
    append_text(text, size, "%s", names[c->function]);
    append_arguments(text, size, c);
    if (c->returned)
        append_result(text, size, c);
    else
        append_text(text, size, ": %s", in_it);
}
