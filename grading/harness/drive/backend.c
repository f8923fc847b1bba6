#include "drive/backend.h"
#include "core/loopback_socket.h"
#include "core/report.h"
#include "core/test_data.h"
#include "core/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILLERS = 4 }; /* connections that fill a backlog of 0 */

static struct {
    struct source listener;
    int port;
    enum backend_mode mode;
    struct fixed_answer fixed;
    struct call *calls;
    int call_count;
    int fillers[FILLERS];
} backends[BACKENDS];

static const char *const names[] = {"user", "query", "stock"};
static bool opened;

const char *backend_name(enum backend b)
{
    return names[b];
}

int backend_port(enum backend b)
{
    return backends[b].port;
}

int calls_at(enum backend b)
{
    return backends[b].call_count;
}

struct call *calls_of(enum backend b)
{
    return backends[b].calls;
}

const char *backend_name_at(int port)
{
    for (int b = 0; opened && b < BACKENDS; b++)
        if (backends[b].port == port)
            return names[b];
    return NULL;
}

/* ---- accepting calls --------------------------------------------------------------------- */

static void on_connection(struct source *source, uint32_t events)
{
    int b = USER, fd;
    (void)events;
    while (&backends[b].listener != source)
        b++;
    while ((fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
        struct call *c = new_call(fd, names[b], backends[b].mode, &backends[b].fixed);
        c->link = backends[b].calls;
        backends[b].calls = c;
        backends[b].call_count++;
    }
}

static void excuse_late_answers(void)
{
    for (int b = 0; b < BACKENDS; b++)
        for (struct call *c = backends[b].calls; c != NULL; c = c->link)
            excuse_late_answer(c);
}

static void send_due_pieces(void)
{
    for (int b = 0; b < BACKENDS; b++)
        for (struct call *c = backends[b].calls; c != NULL; c = c->link)
            send_due_piece(c);
}

/* Binds twice: a port that was requested by number stays bound to a listener that is shut down
 * (REFUSES), a port that the kernel chose does not. */
static void open_backend(enum backend b)
{
    int port, first = bind_loopback(0, true, &port);
    int fd = first != -1 ? bind_loopback(port, true, &port) : -1;
    if (fd == -1)
        grader_error("no port available for a backend: %s", strerror(errno));
    close(first);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (listen(fd, SOMAXCONN) == -1)
        grader_error("a backend cannot listen: %s", strerror(errno));
    backends[b].port = port;
    note_backend(names[b], port, "listens", NULL, 0);
    backends[b].listener = (struct source){.fd = fd, .on_ready = on_connection};
    watch(&backends[b].listener, EPOLLIN);
}

static void free_calls(enum backend b)
{
    for (struct call *c = backends[b].calls, *next; c != NULL; c = next) {
        next = c->link;
        free_call(c);
    }
    backends[b].calls = NULL;
    backends[b].call_count = 0;
}

const char *const *backend_arguments(void)
{
    static char ports[BACKENDS][8];
    static const char *argv[BACKENDS + 2] = {"0"};
    for (int b = 0; b < BACKENDS; b++) {
        if (!opened)
            open_backend((enum backend)b);
        else
            free_calls((enum backend)b);
        snprintf(ports[b], sizeof ports[b], "%d", backends[b].port);
        argv[b + 1] = ports[b];
    }
    if (!opened)
        add_excuse(excuse_late_answers);
    opened = true;
    set_periodic(send_due_pieces);
    for (int b = 0; b < BACKENDS; b++)
        if (backends[b].mode != ANSWERS)
            set_backend((enum backend)b, ANSWERS);
    return argv;
}

/* ---- modes ------------------------------------------------------------------------------- */

bool is_backlog_filler(int port)
{
    for (int b = 0; b < BACKENDS; b++)
        for (int i = 0; i < FILLERS && backends[b].mode == DOES_NOT_ACCEPT; i++) {
            struct sockaddr_in address;
            socklen_t size = sizeof address;
            if (getsockname(backends[b].fillers[i], (struct sockaddr *)&address, &size) == 0 &&
                ntohs(address.sin_port) == port)
                return true;
        }
    return false;
}

/* A listening socket whose backlog is full answers no SYN, so connect blocks: listen(2). */
static void fill_backlog(enum backend b)
{
    struct sockaddr_in address = loopback_address(backends[b].port);
    unwatch(&backends[b].listener);
    listen(backends[b].listener.fd, 0);
    for (int i = 0; i < FILLERS; i++) {
        /* The first takes the only place, before anyone else can connect: it must block. */
        int flags = i == 0 ? 0 : SOCK_NONBLOCK;
        backends[b].fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
        if (connect(backends[b].fillers[i], (struct sockaddr *)&address, sizeof address) == -1 &&
            i == 0)
            grader_error("a backend's backlog cannot be filled: %s", strerror(errno));
    }
}

static void leave_mode(enum backend b)
{
    if (backends[b].mode == DOES_NOT_ACCEPT)
        for (int i = 0; i < FILLERS; i++)
            close(backends[b].fillers[i]);
    if (backends[b].mode == REFUSES || backends[b].mode == DOES_NOT_ACCEPT) {
        listen(backends[b].listener.fd, SOMAXCONN);
        watch(&backends[b].listener, EPOLLIN);
    }
}

static void enter_mode(enum backend b, enum backend_mode mode)
{
    if (mode == REFUSES) {
        unwatch(&backends[b].listener);
        shutdown(backends[b].listener.fd, SHUT_RDWR);
    } else if (mode == DOES_NOT_ACCEPT) {
        fill_backlog(b);
    }
    backends[b].mode = mode;
}

void set_backend(enum backend b, enum backend_mode mode)
{
    static const char *const words[] = {
        [ANSWERS] = "answers each line with the line and its name",
        [ANSWERS_WITH_EXTRA] = "answers, and sends more after the newline",
        [IN_PIECES] = "answers in pieces, the newline on its own",
        [SLOW] = "answers after half a second",
        [HOLDS] = "holds its answers",
        [HOLDS_HALF] = "sends half of its answer and holds the rest",
        [TRICKLES] = "sends a byte now and then, and never a newline",
        [HOLDS_THEN_CLOSES] = "holds its answers, and closes as soon as it has sent them",
        [ANSWERS_AND_CLOSES] = "answers, and closes at once",
        [CLOSES] = "closes when it has received the request",
        [CLOSES_BEFORE_NEWLINE] = "sends its answer without the newline, and closes",
        [REFUSES] = "does not listen",
        [DOES_NOT_ACCEPT] = "accepts no connection: its backlog is full",
    };
    if (mode != backends[b].mode) {
        leave_mode(b);
        enter_mode(b, mode);
    }
    backends[b].fixed.text = NULL;
    asked("the %s backend %s", names[b], words[mode]);
}

void set_answer(enum backend b, const void *text, size_t size)
{
    backends[b].fixed = (struct fixed_answer){text, size};
    bool newline = size > 0 && ((const char *)text)[size - 1] == '\n';
    asked("the %s backend answers with %zu bytes%s: %s", names[b], size,
          newline ? "" : " and no newline", quoted(text, size, 0));
}

/* Accepted sockets inherit the size. */
void shrink_backend_buffers(void)
{
    for (int b = 0; b < BACKENDS; b++)
        setsockopt(backends[b].listener.fd, SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int));
}
