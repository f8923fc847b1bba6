#include "drive/interception.h"
#include "core/hints.h"
#include "core/report.h"
#include "drive/call_log.h"
#include "drive/peer.h"
#include "drive/server_exec.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BIT(FUNCTION) (1U << (FUNCTION))

static const uint32_t receiving = BIT(CALLED_RECV) | BIT(CALLED_RECVFROM) | BIT(CALLED_RECVMSG) |
                                  BIT(CALLED_READ) | BIT(CALLED_READV) | BIT(CALLED_SPLICE_FROM);
static const uint32_t sending = BIT(CALLED_SEND) | BIT(CALLED_SENDTO) | BIT(CALLED_SENDMSG) |
                                BIT(CALLED_WRITE) | BIT(CALLED_WRITEV) | BIT(CALLED_SENDFILE) |
                                BIT(CALLED_SPLICE_TO);

/* The functions that were called for this client, by their bits. */
static uint32_t functions_called(const struct server *s, const struct peer *p)
{
    uint32_t functions = 0, last = last_serial(s->call_log);
    for (uint32_t serial = first_serial(s->call_log); serial <= last; serial++) {
        const struct record *r = &s->call_log->records[serial % MAX_RECORDS];
        if (r->kind == SOCKET_RECORD && r->local_port == s->port && r->peer_port == p->port)
            functions |= r->functions;
    }
    return functions;
}

static bool imports(const char *file, size_t size, const char *name)
{
    char word[32] = "";
    size_t length = strlen(name);
    memcpy(word + 1, name, length); /* a name in .dynstr, between two NULs */
    return memmem(file, size, word, length + 2) != NULL;
}

/* The C library's streams call write() from inside the library, where nothing can intercept it. */
static bool may_write_with_streams(const char *program)
{
    static const char *const names[] = {"fdopen", "dprintf", "__dprintf_chk", "vdprintf",
                                        "__vdprintf_chk"};
    static const char *const copying[] = {"dup", "dup2", "dup3"}; /* to what stdout writes to */
    struct stat status;
    bool found = false;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd == -1 || fstat(fd, &status) == -1)
        return false;
    size_t size = (size_t)status.st_size;
    char *file = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (file == MAP_FAILED)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        found = imports(file, size, names[i]);
    for (size_t i = 0; i < sizeof copying / sizeof *copying && !found; i++)
        found = imports(file, size, copying[i]) && imports(file, size, "stdout");
    munmap(file, size);
    return found;
}

static void fail_evaded(struct server *s, const struct peer *p, const char *how)
{
    note_failure(OTHER_FAILURE);
    set_hint(
        "The faults are injected by a library that is loaded before the C library (LD_PRELOAD, "
        "ld.so(8)). So the server must call the C library's recv(), send() and so on: not "
        "syscall(), not functions of its own with these names, and it must not become a "
        "program without that library (exec).",
        NULL);
    fail_check(s, "calls into which faults can be injected",
               "%s was answered, but the server did not %s it through the C library", p->name, how);
}

static void expect_calls_of(struct server *s)
{
    if (!s->has_faults || s->call_log == NULL || last_serial(s->call_log) > MAX_RECORDS)
        return;
    for (const struct peer *p = first_peer(); p != NULL; p = p->next) {
        if (p->server != s || p->received == 0 || p->port <= 0)
            continue;
        uint32_t functions = functions_called(s, p);
        if ((functions & receiving) == 0)
            fail_evaded(s, p, "receive from");
        if ((functions & sending) == 0 && !may_write_with_streams(server_program))
            fail_evaded(s, p, "send to");
    }
}

void expect_calls_intercepted(void)
{
    for (struct server *s = latest_server(); s != NULL; s = s->previous)
        expect_calls_of(s);
}
