/*
 * Lab 8: a server that echoes lines and searches, in plain order again: a coroutine per client.
 *
 * A coroutine is a function that can stop in the middle and go on later: its stack stays, and its
 * registers are kept on it. So a client is served as in lab 1 and a search reads as in lab 6, but
 * whoever would have to wait lets others run meanwhile. The main thread lets clients in and deals
 * them out to two workers; each has its own epoll instance and runs its own coroutines.
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
    LINE_MOST = 4096, /* bytes in a line, its newline not counted */
    IN_SIZE = 16 * 1024,
    STACK_SIZE = 64 * 1024, /* of addresses: memory is used as far as the stack has ever reached */
    SPARE_STACKS = 8,       /* kept by each worker for those who come next */
    MOST_EVENTS = 256,
    MOST_DESCRIPTORS = 64 * 1024,
    WORKERS = 2,
};

static volatile sig_atomic_t stopping;      /* SIGTERM or SIGINT has come */
static volatile sig_atomic_t listener = -1; /* where clients knock */

struct coroutine {
    void *stack_pointer; /* while it does not run: where its registers are */
    int client;          /* whom it serves */
    bool ended;
    unsigned valgrind_id;            /* of its stack */
    STAILQ_ENTRY(coroutine) in_line; /* others that can go on */
    LIST_ENTRY(coroutine) others;    /* all of this worker, or its spare stacks */
};

/* A descriptor, as its worker knows it. Edge-triggered epoll tells each change once, so what it has
 * told is remembered here. */
struct descriptor {
    struct coroutine *waiting; /* or NULL */
    bool open;                 /* it is this worker's */
    bool readable, writable;   /* thought so: until a call has said otherwise */
    bool hung_up;              /* no edge will come any more */
    bool late;                 /* its deadline has passed */
    double deadline;           /* of a backend call; 0: none */
    TAILQ_ENTRY(descriptor) calls;
};

/* A line without its newline, and with room for it. */
struct line {
    size_t size;
    char text[LINE_MOST + 1];
};

/* What a client has said and what has not been answered. A client that says nothing has none. */
struct buffer {
    size_t start, end;
    size_t portion;   /* at the start: what is being answered */
    bool finished;    /* it has said all (FIN) */
    struct line line; /* a search: its words, then its answer */
    char text[IN_SIZE];
};

/* Only its own thread touches a worker; the other two know what stands first. */
struct worker {
    pthread_t thread;
    int poller; /* the epoll instance, epoll(7) */
    int bell;   /* an eventfd: rings when the server stops, eventfd(2) */

    struct coroutine *current;             /* who runs */
    void *stack_pointer;                   /* of the thread itself, meanwhile */
    STAILQ_HEAD(line_up, coroutine) ready; /* who can go on */
    LIST_HEAD(list, coroutine) coroutines, spare_stacks;
    int spares;
    TAILQ_HEAD(calls, descriptor) calls; /* by deadline: as each has one second, the first first */
    struct buffer *spare_buffer;
    bool closing;
    unsigned long long bytes;
    struct descriptor descriptors[MOST_DESCRIPTORS];
};

static struct worker workers[WORKERS];
static _Thread_local struct worker *worker; /* whose thread this is */
static unsigned long long connections;
static int spare = -1; /* a descriptor to give up when there are no others: see accept_clients */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER; /* lest a worker takes the spare one */

/* Says which system call failed and why, and ends the server. Only for what happens before the
 * first client: later on, nothing that one client does is a reason to end. */
static void die(const char *call)
{
    fprintf(stderr, "server: %s: %s\n", call, strerror(errno));
    exit(1);
}

/* Returns the port that a word names, 0 to 65535, or -1. */
static int port_number(const char *word)
{
    if (!isdigit((unsigned char)word[0]))
        return -1;
    char *end;
    errno = 0;
    long port = strtol(word, &end, 10);
    return *end != '\0' || errno != 0 || port > 65535 ? -1 : (int)port;
}

/* Returns a socket that listens on 127.0.0.1; port 0 lets the kernel choose: ip(7), listen(2). */
static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1)
        die("socket");
    /* Without this, a restart within a minute of the last run finds its port still taken. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == -1)
        die("setsockopt");
    if (bind(fd, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    if (listen(fd, SOMAXCONN) == -1)
        die("listen");
    return fd;
}

/* Says where the server listens. Flushed, because a program may be waiting to read it. */
static void say_listening(int fd)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &size) == -1)
        die("getsockname");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* The signal handler. A flag alone would not do: the signal may come just before accept or recv
 * begins to wait, and nobody would look at the flag again. A socket that is shut down stays so:
 * accept fails and recv says 0 whenever they are called. shutdown is async-signal-safe. */
static void stop(int signal)
{
    (void)signal;
    int saved = errno;
    stopping = 1;
    shutdown(listener, SHUT_RDWR);
    errno = saved;
}

/* ---- the switch ------------------------------------------------------------------------------ */

/* Keeps the registers of who calls on its stack, and where they are in *from; then takes those that
 * lie at `to`, and returns to where those were kept. To who calls it looks like a function that
 * takes long. So only what a function must preserve is kept (the ABI's callee-saved registers): the
 * compiler expects any call to change all others. No system call: the kernel does not know.
 *
 * The modes of the floating-point unit (mxcsr and the x87 control word; fpcr) are to be preserved
 * as well. They are the same for all here, as nobody changes them: so they are left alone. */
void switch_stack(void **from, void *to);

#if defined __x86_64__
__asm__(".text\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n" /* from is in rdi, to in rsi; the return address was pushed */
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n" /* *from: here they lie */
        "    movq %rsi, %rsp\n"   /* from here on it is the other stack */
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n" /* to where that one had called. As ret; but ret is foreseen to go */
        "    jmp *%rcx\n" /* back to this caller, and a wrong guess costs more than all else here */
        ".size switch_stack, . - switch_stack\n");
/* The first time: six registers, where to begin, and a return address for it that nobody uses. Its
 * place makes the stack aligned as behind a call. */
enum { KEPT = 8, RETURN_ADDRESS = 6 };
#elif defined __aarch64__
__asm__(".text\n"
        ".type switch_stack, %function\n"
        "switch_stack:\n" /* from is in x0, to in x1; the return address in x30 */
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n" /* of v8 to v15, the lower halves */
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n" /* *from: here they lie */
        "    mov sp, x1\n"   /* from here on it is the other stack */
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
        "    ret\n" /* to x30: where that one had called */
        ".size switch_stack, . - switch_stack\n");
enum { KEPT = 20, RETURN_ADDRESS = 11 };
#else
#error "switch_stack is to be written for this machine: keep what its ABI calls callee-saved"
#endif

/* ---- coroutines ------------------------------------------------------------------------------ */

static unsigned long long serve_client(int client);
static void co_close(int fd);

/* The running coroutine stops here, until it is resumed. */
static void suspend(void)
{
    switch_stack(&worker->current->stack_pointer, worker->stack_pointer);
}

/* As suspend, but it can go on at once, after the others. */
static void let_others_run(void)
{
    if (worker->closing)
        return;
    STAILQ_INSERT_TAIL(&worker->ready, worker->current, in_line);
    suspend();
}

/* Where a coroutine begins, and ends: it can't free the stack that it stands on. */
static void live(void)
{
    /* TODO 1: The life of a coroutine: serve its client, count what was sent to it, close its
     * socket and say that it has ended. Its worker does the rest: live() must never return, for
     * nobody has called it. */
    (void)serve_client, (void)co_close;
    suspend();
}

/* Returns a coroutine, at the upper end of a stack: stacks grow downwards. At the lower end is a
 * page that nobody may touch: a stack that is too small ends with SIGSEGV, and not in its
 * neighbour's data. NULL when there is no memory. */
static struct coroutine *new_stack(void)
{
    struct coroutine *coroutine = LIST_FIRST(&worker->spare_stacks);
    if (coroutine != NULL) {
        LIST_REMOVE(coroutine, others);
        worker->spares--;
        return coroutine;
    }
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
    coroutine = (struct coroutine *)end - 1;
    coroutine->valgrind_id = VALGRIND_STACK_REGISTER(stack + guard, end - 1);
    return coroutine;
}

static void unmap_stack(struct coroutine *coroutine)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE) + STACK_SIZE;
    VALGRIND_STACK_DEREGISTER(coroutine->valgrind_id);
    munmap((char *)(coroutine + 1) - size, size);
}

/* A coroutine for this client, which can begin. */
static bool spawn(int client)
{
    struct coroutine *coroutine = new_stack();
    if (coroutine == NULL)
        return false;
    /* TODO 2: Leave on its stack what switch_stack will find there when it is resumed for the first
     * time, so that it "returns" to the beginning of live(). The stack begins where the struct
     * does, and grows downwards. */
    (void)live;
    coroutine->client = client;
    coroutine->ended = false;
    LIST_INSERT_HEAD(&worker->coroutines, coroutine, others);
    STAILQ_INSERT_TAIL(&worker->ready, coroutine, in_line);
    return true;
}

/* Runs it until it waits, lets others run, or ends. */
static void resume(struct coroutine *coroutine)
{
    /* TODO 3: Switch to it. When the switch comes back, it may have ended: then take it off the
     * list, and keep its stack for the next one or, if there are SPARE_STACKS already, unmap it. */
    (void)coroutine, (void)unmap_stack;
}

/* ---- calls that wait, and hold up nobody ----------------------------------------------------- */

/* Waits until it is readable, or writable: whichever `ready` points to. That is known most often,
 * and costs nothing. False when its deadline has passed (EAGAIN, as with SO_RCVTIMEO), or when the
 * server stops: so that every coroutine comes to its end. */
static bool wait_until(const bool *ready, struct descriptor *descriptor)
{
    /* TODO 4: Suspend until it is ready, late, or the worker is closing; `waiting` tells who is to
     * go on then. Why is the test a loop? */
    (void)ready, (void)descriptor, (void)suspend;
    return false;
}

/* As recv on a non-blocking socket, and remembers what it learns. A short count says that there was
 * no more, epoll(7). But when the other side has hung up nobody will tell of the end behind the
 * last bytes: then it stays readable. */
static ssize_t recv_now(int fd, void *data, size_t size)
{
    struct descriptor *descriptor = &worker->descriptors[fd];
    ssize_t n = recv(fd, data, size, 0);
    /* TODO 5: What does n say about the next recv? Nobody will tell again of what is there already,
     * and nobody of an end that has been told of. And who always has more to say? */
    (void)descriptor, (void)let_others_run;
    return n;
}

/* As recv, but others run until there is something to receive. */
static ssize_t co_recv(int fd, void *data, size_t size)
{
    /* TODO 6: Wait until it is thought readable, and receive; it may have been thought wrongly. */
    (void)fd, (void)data, (void)size, (void)recv_now, (void)wait_until;
    errno = ENOSYS;
    return -1;
}

/* As send. A short count says that there was no more room. */
static ssize_t co_send(int fd, const void *data, size_t size)
{
    /* TODO 7: The same for send. What does a short count say here? A client that is gone must not
     * end the server, by SIGPIPE. */
    (void)fd, (void)data, (void)size;
    errno = ENOSYS;
    return -1;
}

/* Connects to a port of 127.0.0.1. On Linux the same call again says how it went. */
static bool co_connect(int fd, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    /* TODO 8: The first call says EINPROGRESS. When the connection is there, or refused, the socket
     * becomes writable, and the same call says which. */
    (void)fd, (void)address;
    errno = ENOSYS;
    return false;
}

/* Tells a worker's epoll instance about a descriptor, once and for all that may happen to it. */
static bool watch(struct worker *whose, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
    errno = EMFILE; /* the descriptor is beyond the table, or epoll_ctl knows better */
    return fd < MOST_DESCRIPTORS && epoll_ctl(whose->poller, EPOLL_CTL_ADD, fd, &event) == 0;
}

/* As socket, and no call waits for it beyond the deadline. */
static int co_socket(double deadline)
{
    pthread_mutex_lock(&opening);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pthread_mutex_unlock(&opening);
    if (fd != -1 && !watch(worker, fd)) {
        close(fd);
        return -1;
    }
    if (fd != -1) {
        struct descriptor *descriptor = &worker->descriptors[fd];
        *descriptor = (struct descriptor){.open = true, .writable = true, .deadline = deadline};
        TAILQ_INSERT_TAIL(&worker->calls, descriptor, calls);
    }
    return fd;
}

static void co_close(int fd)
{
    struct descriptor *descriptor = &worker->descriptors[fd];
    if (descriptor->deadline > 0 && !descriptor->late)
        TAILQ_REMOVE(&worker->calls, descriptor, calls);
    descriptor->open = false;
    close(fd); /* and epoll forgets it */
}

/* Sends all of it, in as many pieces as the kernel wants. Returns how many bytes went out: fewer
 * than size when the client is gone. */
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

enum backend { USER, QUERY, STOCK, BACKENDS };

static const char *const backend_name[] = {"user", "query", "stock"};
static int backend_port[BACKENDS] = {-1, -1, -1};

/* Seconds on a clock that nobody sets. */
static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Receives a line, without its newline. What comes behind the newline is nobody's. */
static bool recv_line(int fd, struct line *line)
{
    line->size = 0;
    while (line->size < sizeof line->text) {
        char *rest = line->text + line->size;
        ssize_t n = co_recv(fd, rest, sizeof line->text - line->size);
        if (n == 0)
            errno = ECONNRESET; /* it has hung up in the middle of the line */
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

/* Asks one backend: the line goes out, and the line that comes back takes its place. If that fails,
 * or is not done within a second, false, and the error takes its place. */
static bool call_backend(enum backend which, struct line *line)
{
    double deadline = now() + 1;
    line->text[line->size] = '\n';
    int fd = co_socket(deadline);
    bool well = fd != -1 && co_connect(fd, backend_port[which]) &&
                send_all(fd, line->text, line->size + 1) == line->size + 1 && recv_line(fd, line);
    bool late = errno == EAGAIN;
    if (fd != -1)
        co_close(fd);
    if (!well)
        line->size = (size_t)sprintf(line->text, "error: %s backend %s", backend_name[which],
                                     late ? "timed out" : "failed");
    return well;
}

/* Each backend is asked what the one before has answered. */
static void search(struct line *line)
{
    if (!call_backend(USER, line))
        return;
    if (!call_backend(QUERY, line))
        return;
    call_backend(STOCK, line);
}

/* ---- a client -------------------------------------------------------------------------------- */

static struct buffer *take_buffer(void)
{
    struct buffer *buffer = worker->spare_buffer;
    worker->spare_buffer = NULL;
    if (buffer == NULL)
        buffer = malloc(sizeof *buffer);
    if (buffer != NULL) {
        buffer->start = buffer->end = buffer->portion = 0;
        buffer->finished = false;
    }
    return buffer;
}

static void give_back(struct buffer *buffer)
{
    if (worker->spare_buffer == NULL)
        worker->spare_buffer = buffer;
    else
        free(buffer);
}

static bool is_search(const char *line, size_t size)
{
    static const char prefix[] = "search ";
    return size >= strlen(prefix) && memcmp(line, prefix, strlen(prefix)) == 0;
}

/* How many bytes can be answered together: as many lines as are only to be echoed, or one search.
 * 0: no line is complete. -1 and EMSGSIZE: the line is too long. */
static ssize_t portion_of(const struct buffer *buffer)
{
    const char *start = buffer->text + buffer->start, *end = buffer->text + buffer->end;
    const char *line = start;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;
        bool too_long = line_end - line > LINE_MOST;
        bool searches = is_search(line, (size_t)(line_end - line));
        if (line > start && (too_long || searches))
            break; /* first those before it */
        if (too_long) {
            errno = EMSGSIZE;
            return -1;
        }
        if (newline == NULL && !buffer->finished)
            break; /* its rest is still to come */
        line = newline != NULL ? newline + 1 : end;
        if (searches)
            break;
    }
    return line - start;
}

/* As recv, but whole lines: what portion_of says. What it has returned before has been answered. It
 * waits without a buffer if it can. */
static ssize_t recv_lines(int client, struct buffer **taken)
{
    struct descriptor *descriptor = &worker->descriptors[client];
    struct buffer *buffer = *taken;
    for (;;) {
        if (buffer != NULL) {
            buffer->start += buffer->portion;
            ssize_t n = portion_of(buffer);
            buffer->portion = n > 0 ? (size_t)n : 0;
            if (n != 0 || buffer->finished)
                return n;
            if (buffer->start == buffer->end) {
                give_back(buffer);
                buffer = *taken = NULL;
            }
        }
        if (!wait_until(&descriptor->readable, descriptor))
            return -1;
        if (buffer == NULL)
            buffer = *taken = take_buffer();
        if (buffer == NULL)
            return -1;
        buffer->end -= buffer->start;
        memmove(buffer->text, buffer->text + buffer->start, buffer->end);
        buffer->start = 0;
        ssize_t n = recv_now(client, buffer->text + buffer->end, IN_SIZE - buffer->end);
        if (n == -1 && errno != EAGAIN && errno != EINTR)
            return -1;
        buffer->finished = n == 0;
        if (n > 0)
            buffer->end += (size_t)n;
    }
}

/* Returns the answer to what recv_lines has returned: the same, or what the search has found. */
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

/* A client whose line was too long: tells it, and throws away what still comes. close would reset
 * the connection while unread bytes are there, and the message with it. */
static size_t turn_away(int client, struct buffer *buffer)
{
    static const char too_long[] = "error: line too long\n";
    size_t sent = send_all(client, too_long, strlen(too_long));
    shutdown(client, SHUT_WR);
    while (co_recv(client, buffer->text, IN_SIZE) > 0)
        ;
    return sent;
}

/* One client, from its first byte to its last. Returns how many bytes went back to it. */
static unsigned long long serve_client(int client)
{
    /* TODO 9: As in lab 1: receive, answer, send all of it, until the end; and a line that is too
     * long is the end as well. A buffer that is left is given back. */
    (void)client, (void)recv_lines, (void)answer, (void)turn_away, (void)send_all;
    return 0;
}

/* ---- a worker -------------------------------------------------------------------------------- */

/* Who waits for it can go on. */
static void wake(struct descriptor *descriptor)
{
    if (descriptor->waiting == NULL)
        return;
    STAILQ_INSERT_TAIL(&worker->ready, descriptor->waiting, in_line);
    descriptor->waiting = NULL;
}

/* Remembers what has happened. No coroutine runs meanwhile: so no descriptor is closed, or used
 * again, while an event for it is still to come. */
static void take_note(const struct epoll_event *event)
{
    struct descriptor *descriptor = &worker->descriptors[event->data.fd];
    if (event->data.fd == worker->bell) { /* who was dealt before it rang has been told of by now */
        worker->closing = true;
        return;
    }
    if (!descriptor->open) { /* a newcomer */
        *descriptor = (struct descriptor){.open = true};
        if (!spawn(event->data.fd)) {
            co_close(event->data.fd);
            return;
        }
    }
    /* TODO 10: Remember what the event says: readable, writable, hung up. A broken connection does
     * not make recv or send wait either: they say what is wrong. Who waits for it can go on. */
    (void)wake;
}

/* Whose deadlines have passed. */
static void take_note_of_late(void)
{
    struct descriptor *first;
    while ((first = TAILQ_FIRST(&worker->calls)) != NULL && first->deadline <= now()) {
        TAILQ_REMOVE(&worker->calls, first, calls);
        first->late = true;
        wake(first);
    }
}

/* How long epoll_wait may wait, in milliseconds; -1: until something happens. */
static int time_to_wait(void)
{
    struct descriptor *first = TAILQ_FIRST(&worker->calls);
    if (!STAILQ_EMPTY(&worker->ready))
        return 0;
    if (first == NULL)
        return -1;
    double left = first->deadline - now();
    return left > 0 ? (int)(left * 1000) + 1 : 0;
}

/* Each of those who can go on now, once: who is in line again by then waits for the next round. */
static void run_ready(void)
{
    struct line_up ready = STAILQ_HEAD_INITIALIZER(ready);
    STAILQ_CONCAT(&ready, &worker->ready);
    struct coroutine *coroutine;
    while ((coroutine = STAILQ_FIRST(&ready)) != NULL) {
        STAILQ_REMOVE_HEAD(&ready, in_line);
        resume(coroutine);
    }
}

/* When the server stops, each coroutine runs to its end, for whatever it waits for fails. */
static void *work(void *argument)
{
    worker = argument;
    /* TODO 11: Wait until something happens, take note of all of it, and run who can go on; again
     * and again, until the worker is closing. */
    (void)time_to_wait, (void)take_note, (void)take_note_of_late, (void)run_ready;
    struct coroutine *coroutine;
    while ((coroutine = LIST_FIRST(&worker->coroutines)) != NULL)
        resume(coroutine);
    while ((coroutine = LIST_FIRST(&worker->spare_stacks)) != NULL) {
        LIST_REMOVE(coroutine, others);
        unmap_stack(coroutine);
    }
    free(worker->spare_buffer);
    return NULL;
}

static void start_worker(struct worker *new)
{
    STAILQ_INIT(&new->ready);
    LIST_INIT(&new->coroutines);
    LIST_INIT(&new->spare_stacks);
    TAILQ_INIT(&new->calls);
    new->poller = epoll_create1(0);
    if (new->poller == -1)
        die("epoll_create1");
    new->bell = eventfd(0, EFD_NONBLOCK);
    if (new->bell == -1)
        die("eventfd");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = new->bell};
    if (epoll_ctl(new->poller, EPOLL_CTL_ADD, new->bell, &event) == -1)
        die("epoll_ctl");
    if ((errno = pthread_create(&new->thread, NULL, work, new)) != 0)
        die("pthread_create");
}

/* Returns how many bytes its clients were sent. */
static unsigned long long stop_worker(struct worker *old)
{
    eventfd_write(old->bell, 1);
    pthread_join(old->thread, NULL);
    close(old->bell);
    close(old->poller);
    return old->bytes;
}

/* ---- the main thread lets clients in --------------------------------------------------------- */

/* Deals a client out: to one worker, then to the other. epoll is the way there as well: a socket is
 * writable when it is new, so the worker is told, and it knows that it has not seen it before. */
static void add_client(int fd)
{
    if (!watch(&workers[connections % WORKERS], fd))
        close(fd);
}

/* Lets in all who knock. When there is no descriptor for one (EMFILE), it would stay in the backlog
 * and keep the listener ready, and the loop would spin: so the spare descriptor is given up for it,
 * and it is sent away. */
static void accept_clients(void)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        if (fd != -1) {
            connections++;
            add_client(fd);
        } else if (errno == EMFILE || errno == ENFILE) {
            pthread_mutex_lock(&opening);
            close(spare);
            fd = accept(listener, NULL, NULL);
            connections += fd != -1;
            close(fd);
            spare = open("/dev/null", O_RDONLY);
            pthread_mutex_unlock(&opening);
            if (fd == -1)
                return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return; /* EAGAIN: that was all */
        }
    }
}

int main(int argc, char **argv)
{
    int port = argc == 2 || argc == 5 ? port_number(argv[1]) : -1;
    bool well = port != -1;
    for (int i = 2; i < argc && well; i++)
        well = (backend_port[i - 2] = port_number(argv[i])) != -1;
    if (!well) {
        fprintf(stderr, "usage: server PORT [USER QUERY STOCK]\n");
        return 2;
    }
    listener = listen_on(port);
    fcntl(listener, F_SETFL, O_NONBLOCK); /* who knocked may be gone when accept is called */
    spare = open("/dev/null", O_RDONLY);
    int poller = epoll_create1(0);
    if (poller == -1)
        die("epoll_create1");
    struct epoll_event event = {.events = EPOLLIN};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) == -1)
        die("epoll_ctl");

    /* What threads inherit: a signal is to interrupt main, and nobody on the stack of a coroutine.
     */
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGTERM);
    sigaddset(&both, SIGINT);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    for (int i = 0; i < WORKERS; i++)
        start_worker(&workers[i]);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &both, NULL);
    say_listening(listener);
    while (!stopping)
        if (epoll_wait(poller, &event, 1, -1) == 1)
            accept_clients();

    close(poller);
    close(listener);
    close(spare);
    unsigned long long bytes = 0;
    for (int i = 0; i < WORKERS; i++)
        bytes += stop_worker(&workers[i]);
    printf("served %llu connections, %llu bytes\n", connections, bytes);
    return 0;
}
