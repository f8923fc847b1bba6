/*
 * Lab 8: a server that echoes lines and searches, in sequential code again: a coroutine per client.
 *
 * A coroutine is a function that can be suspended in the middle and resumed later: its stack stays,
 * and its registers are saved on it. So a client is served as in lab 1 and a search reads as in lab
 * 6, but while one coroutine waits, its thread runs others. The main thread accepts clients and
 * distributes them to two workers; each has its own epoll instance and runs its own coroutines.
 */
#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(id)      (void)(id)
#endif

enum {
    MAX_LINE = 4096, /* bytes in a line, not counting its newline */
    IN_SIZE = 16 * 1024,
    STACK_SIZE = 64 * 1024, /* address space: the kernel provides memory as the stack is used */
    MAX_EVENTS = 256,
    MAX_DESCRIPTORS = 64 * 1024,
    WORKERS = 2,
};

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has arrived */
static volatile sig_atomic_t listener = -1; /* the listening socket */

struct coroutine {
    void *stack_pointer; /* while it is suspended: where its registers are saved */
    int client;          /* the client that it serves */
    bool ended;
    unsigned valgrind_id;               /* of its stack */
    STAILQ_ENTRY(coroutine) ready_link; /* in the queue of those that can continue */
    LIST_ENTRY(coroutine) link;         /* all coroutines of this worker */
};

/* What a worker records about a descriptor. Edge-triggered epoll reports each change only once, so
 * it is remembered here. */
struct descriptor {
    struct coroutine *waiting; /* or NULL */
    bool open;                 /* it belongs to this worker */
    bool readable, writable;   /* assumed until a call reports otherwise */
    bool hung_up;              /* there will be no further edge */
    bool expired;              /* its deadline has passed */
    double deadline;           /* of a backend call; 0: none */
    TAILQ_ENTRY(descriptor) deadline_link;
};

/* Except for the first three members, only the worker's own thread uses it. */
struct worker {
    pthread_t thread;
    int epoll_fd;  /* the epoll instance, epoll(7) */
    int wakeup_fd; /* an eventfd, eventfd(2): readable when the server stops */

    struct coroutine *current;                 /* the one that runs */
    void *stack_pointer;                       /* while it runs: the thread's own */
    STAILQ_HEAD(ready_queue, coroutine) ready; /* those that can continue */
    LIST_HEAD(list, coroutine) coroutines;     /* all of them */
    TAILQ_HEAD(deadlines, descriptor)
    calls; /* all have the same time limit: the oldest expires first */
    bool shutting_down;
    unsigned long long bytes;
    struct descriptor descriptors[MAX_DESCRIPTORS];
};

static struct worker workers[WORKERS];
static _Thread_local struct worker *worker; /* the one whose thread this is */

static double now(void);
static void die(const char *call);
static int port_number(const char *word);
static int listen_on(int port);
static void print_address(int fd);
static void on_signal(int signal);

/* ---- the context switch ---------------------------------------------------------------------- */

/* Saves the caller's registers on its stack and stores their address in *from; then restores the
 * registers saved at `to`, and returns to where those were saved. To its caller it looks like a
 * function that takes a long time to return. So only the registers that every function must
 * preserve are saved (callee-saved in the ABI): the compiler expects any call to change the others.
 * There is no system call: the kernel does not know about coroutines.
 *
 * The floating-point modes (mxcsr and the x87 control word; fpcr) must be preserved as well. No
 * coroutine changes them, so they are left alone. */
void switch_context(void **from, void *to);

#if defined __x86_64__
__asm__(".text\n"
        ".type switch_context, @function\n"
        "switch_context:\n" /* from is in rdi, to in rsi; the call has pushed the return address */
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n" /* *from: where they are saved */
        "    movq %rsi, %rsp\n"   /* from now on this is the other stack */
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n" /* to where the other side called switch_context */
        ".size switch_context, . - switch_context\n");
/* On a new stack: six registers, the address to start at, to which switch_context returns, and an
 * unused word: it aligns the stack as a call would. */
enum { SAVED_WORDS = 8, RETURN_ADDRESS = 6 };
#elif defined __aarch64__
__asm__(".text\n"
        ".type switch_context, %function\n"
        "switch_context:\n" /* from is in x0, to in x1; the return address in x30 */
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n" /* the lower halves of v8 to v15 */
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n" /* *from: where they are saved */
        "    mov sp, x1\n"   /* from now on this is the other stack */
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n" /* to x30: where the other side called switch_context */
        ".size switch_context, . - switch_context\n");
enum { SAVED_WORDS = 20, RETURN_ADDRESS = 11 };
#else
#error "switch_context is not written for this machine: save what its ABI calls callee-saved"
#endif

/* ---- coroutines ------------------------------------------------------------------------------ */

static unsigned long long serve_client(int client);
static void co_close(int fd);

/* The running coroutine stops here until it is resumed. */
static void suspend(void)
{
    switch_context(&worker->current->stack_pointer, worker->stack_pointer);
}

/* Like suspend, but the coroutine stays ready: it continues when the others have run. */
static void yield(void)
{
    if (worker->shutting_down)
        return;
    STAILQ_INSERT_TAIL(&worker->ready, worker->current, ready_link);
    suspend();
}

/* Where a coroutine starts, and ends. It cannot free the stack that it runs on. */
static void coroutine_main(void)
{
    struct coroutine *self = worker->current;
    /* TODO 1: The life of a coroutine: serve its client, count what was sent to it, close its
     * socket, and mark itself as ended. Its worker does the rest. coroutine_main must never
     * return, because no function has called it. */
    (void)self, (void)serve_client, (void)co_close;
    suspend();
}

/* Returns a coroutine, stored at the upper end of its new stack: stacks grow down. At the lower end
 * is a guard page without access rights: a stack overflow causes SIGSEGV instead of overwriting
 * other data. Returns NULL if there is no memory. */
static struct coroutine *map_stack(void)
{
    size_t guard = (size_t)sysconf(_SC_PAGESIZE);
    char *stack = mmap(NULL, guard + STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    if (mprotect(stack, guard, PROT_NONE) == -1) {
        munmap(stack, guard + STACK_SIZE);
        return NULL;
    }
    char *end = stack + guard + STACK_SIZE;
    struct coroutine *coroutine = (struct coroutine *)end - 1;
    coroutine->valgrind_id = VALGRIND_STACK_REGISTER(stack + guard, end - 1);
    return coroutine;
}

static void unmap_stack(struct coroutine *coroutine)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE) + STACK_SIZE;
    VALGRIND_STACK_DEREGISTER(coroutine->valgrind_id);
    munmap((char *)(coroutine + 1) - size, size);
}

/* Creates a coroutine that will serve this client. Returns false if there is no memory. */
static bool spawn(int client)
{
    struct coroutine *coroutine = map_stack();
    if (coroutine == NULL)
        return false;
    /* TODO 2: Write to its stack what switch_context will restore when the coroutine is resumed for
     * the first time, so that it "returns" to the beginning of coroutine_main. The stack starts
     * just below the struct, and grows downwards. */
    (void)coroutine_main;
    coroutine->client = client;
    coroutine->ended = false;
    LIST_INSERT_HEAD(&worker->coroutines, coroutine, link);
    STAILQ_INSERT_TAIL(&worker->ready, coroutine, ready_link);
    return true;
}

/* Runs a coroutine until it waits, yields or ends. */
static void resume(struct coroutine *coroutine)
{
    /* TODO 3: Make it the worker's current one, and switch to it. When it switches back, it may
     * have ended: if so, remove it from the list and unmap its stack. */
    (void)coroutine, (void)unmap_stack;
}

enum backend { USER, QUERY, STOCK, BACKENDS };

static const char *const backend_name[] = {"user", "query", "stock"};
static int backend_port[BACKENDS] = {-1, -1, -1};

/* A line without its newline, but with room for it. */
struct line {
    size_t size;
    char text[MAX_LINE + 1];
};

/* Held while a descriptor is created: otherwise a worker could take the reserve descriptor between
 * close and accept, see accept_clients. */
static pthread_mutex_t descriptor_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- calls that suspend the coroutine, not the thread ---------------------------------------- */

/* Waits until the descriptor is readable, or writable: whichever `ready` points to. Usually it
 * already is, and the check costs nothing. Returns false with EAGAIN if its deadline has passed (as
 * with SO_RCVTIMEO), or with ECANCELED if the server stops, so that every coroutine ends. */
static bool wait_until(const bool *ready, struct descriptor *descriptor)
{
    /* TODO 4: Suspend until the descriptor is ready, its deadline has passed, or the worker is
     * shutting down: the last two count even if it is ready. `waiting` points to the coroutine to
     * wake then. Why must this be a loop? */
    (void)ready, (void)descriptor, (void)suspend;
    return false;
}

/* Like recv on a non-blocking socket, but records whether there may be more. A short count means
 * that nothing was left, epoll(7). But if the peer has hung up, no edge will report the EOF after
 * the last bytes: then the descriptor stays readable. */
static ssize_t try_recv(int fd, void *data, size_t size)
{
    struct descriptor *descriptor = &worker->descriptors[fd];
    ssize_t n = recv(fd, data, size, 0);
    /* TODO 5: What does n tell you about the next recv? Bytes that are already there are not
     * reported again, and neither is EOF. And what if a client always has more to send? */
    (void)descriptor, (void)yield;
    return n;
}

/* Like recv, but suspends the coroutine until there is something to receive. */
static ssize_t co_recv(int fd, void *data, size_t size)
{
    /* TODO 6: Wait until the descriptor is assumed to be readable, and receive. The assumption may
     * be wrong, and a signal may interrupt recv. */
    (void)fd, (void)data, (void)size, (void)try_recv, (void)wait_until;
    errno = ENOSYS;
    return -1;
}

/* Like send, but suspends the coroutine until there is room. A short count means that there was no
 * room for more. */
static ssize_t co_send(int fd, const void *data, size_t size)
{
    /* TODO 7: As in co_recv, but for send. What does a short count mean here? Sending to a client
     * that has left must not kill the server with SIGPIPE. */
    (void)fd, (void)data, (void)size;
    errno = ENOSYS;
    return -1;
}

/* Connects to a port on 127.0.0.1. On Linux, calling connect again returns the result. */
static bool co_connect(int fd, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* TODO 8: The first call fails with EINPROGRESS: co_socket has set `writable`, but the socket
     * is not writable yet. When the connection is established or refused, it becomes writable, and
     * calling connect again returns the result. */
    (void)fd, (void)address;
    errno = ENOSYS;
    return false;
}

/* Registers a descriptor with a worker's epoll instance, once, for everything that may happen to
 * it. Returns false on failure. */
static bool register_descriptor(struct worker *owner, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    errno = EMFILE; /* if the descriptor is beyond the table; epoll_ctl sets its own */
    return fd < MAX_DESCRIPTORS && epoll_ctl(owner->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* Like socket, but calls that wait for it fail with EAGAIN at the deadline. */
static int co_socket(double deadline)
{
    pthread_mutex_lock(&descriptor_lock);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pthread_mutex_unlock(&descriptor_lock);
    if (fd != -1 && !register_descriptor(worker, fd)) {
        close(fd);
        return -1;
    }
    if (fd != -1) {
        struct descriptor *descriptor = &worker->descriptors[fd];
        *descriptor = (struct descriptor){.open = true, .writable = true, .deadline = deadline};
        TAILQ_INSERT_TAIL(&worker->calls, descriptor, deadline_link);
    }
    return fd;
}

static void co_close(int fd)
{
    struct descriptor *descriptor = &worker->descriptors[fd];
    if (descriptor->deadline > 0 && !descriptor->expired)
        TAILQ_REMOVE(&worker->calls, descriptor, deadline_link);
    descriptor->open = false;
    close(fd); /* this also removes it from the epoll instance */
}

/* ---- a worker: an event loop that runs coroutines -------------------------------------------- */

/* Makes the coroutine that waits for this descriptor ready. */
static void wake(struct descriptor *descriptor)
{
    if (descriptor->waiting == NULL)
        return;
    STAILQ_INSERT_TAIL(&worker->ready, descriptor->waiting, ready_link);
    descriptor->waiting = NULL;
}

/* Records an event. No coroutine runs meanwhile, so no descriptor is closed or reused while an
 * event for it is still in the batch. */
static void handle_event(const struct epoll_event *event)
{
    struct descriptor *descriptor = &worker->descriptors[event->data.fd];
    if (event->data.fd == worker->wakeup_fd) { /* all clients were registered before this event */
        worker->shutting_down = true;
        return;
    }
    if (!descriptor->open) { /* a new client */
        *descriptor = (struct descriptor){.open = true};
        if (!spawn(event->data.fd)) {
            co_close(event->data.fd);
            return;
        }
    }
    /* TODO 9: Record what the event reports: readable, writable, hung up (EPOLLRDHUP). With
     * EPOLLERR or EPOLLHUP it is all three: recv and send do not block then, but return the error.
     * Wake the coroutine that waits for this descriptor. */
    (void)wake;
}

static void expire_deadlines(void)
{
    struct descriptor *first;
    while ((first = TAILQ_FIRST(&worker->calls)) != NULL && first->deadline <= now()) {
        TAILQ_REMOVE(&worker->calls, first, deadline_link);
        first->expired = true;
        wake(first);
    }
}

/* How long epoll_wait may wait, in milliseconds; -1: until something happens. */
static int next_timeout(void)
{
    struct descriptor *first = TAILQ_FIRST(&worker->calls);
    if (!STAILQ_EMPTY(&worker->ready))
        return 0;
    if (first == NULL)
        return -1;
    double left = first->deadline - now();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* Resumes each coroutine that can continue now, once: one that yields waits for the next round. */
static void run_ready(void)
{
    struct ready_queue ready = STAILQ_HEAD_INITIALIZER(ready);
    STAILQ_CONCAT(&ready, &worker->ready);
    struct coroutine *coroutine;
    while ((coroutine = STAILQ_FIRST(&ready)) != NULL) {
        STAILQ_REMOVE_HEAD(&ready, ready_link);
        resume(coroutine);
    }
}

static void *worker_main(void *argument)
{
    worker = argument;
    /* TODO 10: Wait until something happens, handle all events, and run the coroutines that can
     * continue; repeat this until the worker is shutting down. */
    (void)next_timeout, (void)handle_event, (void)expire_deadlines, (void)run_ready;
    struct coroutine *coroutine;
    while ((coroutine = LIST_FIRST(&worker->coroutines)) != NULL)
        resume(coroutine); /* it runs to its end, as wait_until fails from now on */
    return NULL;
}

static void start_worker(struct worker *w)
{
    STAILQ_INIT(&w->ready);
    LIST_INIT(&w->coroutines);
    TAILQ_INIT(&w->calls);
    w->epoll_fd = epoll_create1(0);
    if (w->epoll_fd == -1)
        die("epoll_create1");
    w->wakeup_fd = eventfd(0, EFD_NONBLOCK);
    if (w->wakeup_fd == -1)
        die("eventfd");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = w->wakeup_fd};
    if (epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wakeup_fd, &event) == -1)
        die("epoll_ctl");
    if ((errno = pthread_create(&w->thread, NULL, worker_main, w)) != 0)
        die("pthread_create");
}

/* Stops a worker. Returns how many bytes were sent to its clients. */
static unsigned long long stop_worker(struct worker *w)
{
    eventfd_write(w->wakeup_fd, 1);
    pthread_join(w->thread, NULL);
    close(w->wakeup_fd);
    close(w->epoll_fd);
    return w->bytes;
}

/* Sends everything, in as many pieces as the kernel takes. Returns how many bytes were sent: fewer
 * than size if the connection is broken. */
static size_t send_all(int client, const char *data, size_t size)
{
    size_t sent = 0;
    while (sent < size) {
        ssize_t n = co_send(client, data + sent, size - sent);
        if (n == -1)
            break;
        sent += (size_t)n;
    }
    return sent;
}

/* ---- a search -------------------------------------------------------------------------------- */

/* Receives a line, without its newline. Bytes after the newline are ignored. */
static bool recv_line(int fd, struct line *line)
{
    line->size = 0;
    while (line->size < sizeof line->text) {
        char *rest = line->text + line->size;
        ssize_t n = co_recv(fd, rest, sizeof line->text - line->size);
        if (n == 0)
            errno = ECONNRESET; /* closed in the middle of the line */
        if (n <= 0)
            return false;
        char *newline = memchr(rest, '\n', (size_t)n);
        if (newline != NULL) {
            line->size = (size_t)(newline - line->text);
            return true;
        }
        line->size += (size_t)n;
    }
    errno = EMSGSIZE;
    return false;
}

/* Queries one backend: sends it the line, and replaces the line with the answer. If that fails or
 * is not complete within a second, returns false and replaces the line with the error. */
static bool call_backend(enum backend which, struct line *line)
{
    double deadline = now() + 1;
    line->text[line->size] = '\n';
    int fd = co_socket(deadline);
    bool ok = fd != -1 && co_connect(fd, backend_port[which]) &&
              send_all(fd, line->text, line->size + 1) == line->size + 1 && recv_line(fd, line);
    bool timed_out = errno == EAGAIN;
    if (fd != -1)
        co_close(fd);
    if (!ok)
        line->size = (size_t)sprintf(line->text, "error: %s backend %s", backend_name[which],
                                     timed_out ? "timed out" : "failed");
    return ok;
}

/* Each backend is sent the previous one's answer. */
static void search(struct line *line)
{
    if (!call_backend(USER, line))
        return;
    if (!call_backend(QUERY, line))
        return;
    call_backend(STOCK, line);
}

/* ---- a client -------------------------------------------------------------------------------- */

/* A client's input that is not yet answered. An idle client has no buffer. */
struct buffer {
    size_t start, end;
    size_t batch;     /* bytes from the start: what is being answered */
    bool eof;         /* it has finished sending (FIN) */
    struct line line; /* a search: its words, then its answer */
    char text[IN_SIZE];
};

static bool is_search(const char *line, size_t size)
{
    static const char prefix[] = "search ";
    return size >= strlen(prefix) && memcmp(line, prefix, strlen(prefix)) == 0;
}

/* Returns how many bytes can be answered together: the lines before the next search, or that search
 * if it comes first. 0: no line is complete. -1 with EMSGSIZE: the line is too long. */
static ssize_t next_batch(const struct buffer *buffer)
{
    const char *start = buffer->text + buffer->start, *end = buffer->text + buffer->end;
    const char *line = start;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;
        bool too_long = line_end - line > MAX_LINE;
        bool searches = is_search(line, (size_t)(line_end - line));
        if (line > start && (too_long || searches))
            break; /* the lines before it come first */
        if (too_long) {
            errno = EMSGSIZE;
            return -1;
        }
        if (newline == NULL && !buffer->eof)
            break; /* the rest of the line has not arrived yet */
        line = newline != NULL ? newline + 1 : end;
        if (searches)
            break;
    }
    return line - start;
}

/* Like recv, but returns whole lines: see next_batch. The next call discards them, as they have
 * been answered. While the client is idle, it waits without a buffer. */
static ssize_t recv_lines(int client, struct buffer **taken)
{
    struct descriptor *descriptor = &worker->descriptors[client];
    struct buffer *buffer = *taken;
    for (;;) {
        if (buffer != NULL) {
            buffer->start += buffer->batch;
            ssize_t n = next_batch(buffer);
            buffer->batch = n > 0 ? (size_t)n : 0;
            if (n != 0 || buffer->eof)
                return n;
            if (buffer->start == buffer->end) {
                free(buffer);
                buffer = *taken = NULL;
            }
        }
        if (!wait_until(&descriptor->readable, descriptor))
            return -1;
        if (buffer == NULL) {
            buffer = *taken = malloc(sizeof *buffer);
            if (buffer == NULL)
                return -1;
            buffer->start = buffer->end = buffer->batch = 0;
        }
        buffer->end -= buffer->start;
        memmove(buffer->text, buffer->text + buffer->start, buffer->end);
        buffer->start = 0;
        ssize_t n = try_recv(client, buffer->text + buffer->end, IN_SIZE - buffer->end);
        if (n == -1 && errno != EAGAIN && errno != EINTR)
            return -1;
        buffer->eof = n == 0;
        if (n > 0)
            buffer->end += (size_t)n;
    }
}

/* Returns the answer to what recv_lines has returned: the same lines, or what the search found. */
static const char *answer(struct buffer *buffer, size_t *size)
{
    const char *text = buffer->text + buffer->start;
    struct line *line = &buffer->line;
    if (!is_search(text, *size))
        return text;
    bool newline = text[*size - 1] == '\n';
    line->size = *size - strlen("search ") - newline;
    memcpy(line->text, text + strlen("search "), line->size);
    if (backend_port[USER] != -1)
        search(line);
    else
        line->size = (size_t)sprintf(line->text, "error: no backends");
    if (newline)
        line->text[line->size++] = '\n';
    *size = line->size;
    return line->text;
}

/* Answers a line that is too long, and discards whatever still arrives: closing with unread input
 * would reset the connection, and the message could be lost. */
static size_t reject_long_line(int client, struct buffer *buffer)
{
    static const char too_long[] = "error: line too long\n";
    size_t sent = send_all(client, too_long, strlen(too_long));
    shutdown(client, SHUT_WR);
    while (co_recv(client, buffer->text, IN_SIZE) > 0)
        ;
    return sent;
}

/* Serves one client until EOF. Returns how many bytes were sent back to it. */
static unsigned long long serve_client(int client)
{
    /* TODO 11: As in lab 1: receive, answer and send everything, until EOF. A line that is too long
     * ends the loop as well. Finally free the buffer, if there still is one. */
    (void)client, (void)recv_lines, (void)answer, (void)reject_long_line, (void)send_all;
    return 0;
}

/* ---- the main thread accepts clients --------------------------------------------------------- */

static unsigned long long connections;
static int reserve_fd = -1; /* closed to free one for accept: see accept_clients */

/* Distributes the clients evenly. Registering is all it takes: a new socket is writable, so its
 * worker gets an event, and sees that the descriptor is not open yet. */
static void add_client(int fd)
{
    if (!register_descriptor(&workers[connections % WORKERS], fd))
        close(fd);
}

/* Accepts all clients in the backlog. Without a descriptor for one (EMFILE) it would stay there and
 * keep the listener readable, and the loop would spin. So the reserve descriptor is closed, and
 * that client is accepted only to be disconnected. */
static void accept_clients(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd != -1) {
            connections++;
            add_client(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            pthread_mutex_lock(&descriptor_lock);
            close(reserve_fd);
            fd = accept(listener, NULL, NULL);
            connections += fd != -1;
            close(fd);
            reserve_fd = open("/dev/null", O_RDONLY);
            pthread_mutex_unlock(&descriptor_lock);
            if (fd == -1)
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: the backlog is empty */
        }
    }
}

int main(int argc, char **argv)
{
    int port = argc == 2 || argc == 5 ? port_number(argv[1]) : -1;
    bool ok = port != -1;
    for (int i = 2; i < argc && ok; i++)
        ok = (backend_port[i - 2] = port_number(argv[i])) != -1;
    if (!ok) {
        fprintf(stderr, "usage: server PORT [USER QUERY STOCK]\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* accept must not block if the client has left */
    reserve_fd = open("/dev/null", O_RDONLY);
    int epoll_fd = epoll_create1(0);
    if (epoll_fd == -1)
        die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) == -1)
        die("epoll_ctl");

    /* The workers inherit the mask: a signal is to interrupt the main thread, and its handler must
     * not run on a coroutine's stack. */
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    for (int i = 0; i < WORKERS; i++)
        start_worker(&workers[i]);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &both, NULL);
    print_address(listener);
    while (!stopping)
        if (epoll_wait(epoll_fd, &event, 1, -1) == 1)
            accept_clients();

    close(epoll_fd);
    close(listener);
    close(reserve_fd);
    unsigned long long bytes = 0;
    for (int i = 0; i < WORKERS; i++)
        bytes += stop_worker(&workers[i]);
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}

/* Seconds on the monotonic clock, clock_gettime(2). */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- as in every lab ------------------------------------------------------------------------- */

/* Reports which system call failed and why, and exits. Only for errors before the first client:
 * later, nothing that happens to one client may end the server. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port number that the word contains, 0 to 65535, or -1. */
static int port_number(const char *word)
{
    if (!isdigit((unsigned char)word[0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(word, &end, 10);
    return *end != '\0' || errno != 0 || port > 65535 ? -1 : (int)port;
}

/* Returns a socket that listens on 127.0.0.1. Port 0: the kernel chooses one, ip(7), listen(2). */
static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1)
        die("socket");
    /* Otherwise bind fails for about a minute after the last run: connections that it closed are
     * still in TIME_WAIT on that port. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1)
        die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(fd, SOMAXCONN) == -1)
        die("listen");
    return fd;
}

/* Prints where the server listens. Flushed, because stdout may be a pipe that a program reads. */
static void print_address(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
        die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* The handler of SIGTERM and SIGINT. Setting a flag is not enough: the signal may arrive just
 * before the server waits, when the flag has already been checked. After shutdown the listener
 * stays ready, and accept fails, however late the server calls it. shutdown itself is
 * async-signal-safe, signal-safety(7). */
static void on_signal(int signal)
{
    (void)signal;
    int saved_errno = errno;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    errno = saved_errno;
}
