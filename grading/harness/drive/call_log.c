#include "drive/call_log.h"

#include "drive/shared_memory.h"

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static int log_fd = -1;

/* Only a dynamic linker preloads anything. Without one, nothing would close the descriptor. */
static bool has_interpreter(const char *program)
{
    Elf64_Ehdr header;
    Elf64_Phdr segment;
    bool found = false;
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd != -1 && read(fd, &header, sizeof header) == sizeof header)
        for (int i = 0; i < header.e_phnum && !found; i++)
            found = pread(fd, &segment, sizeof segment,
                          (off_t)(header.e_phoff + (size_t)i * sizeof segment)) == sizeof segment &&
                    segment.p_type == PT_INTERP;
    if (fd != -1)
        close(fd);
    return found;
}

const struct call_log *open_call_log(const char *program)
{
    if (!has_interpreter(program))
        return NULL;
    struct call_log *log = share_memory("calls", sizeof *log, PROT_READ | PROT_WRITE, &log_fd);
    if (log != NULL)
        log->magic = CALL_LOG_MAGIC;
    return log;
}

int call_log_fd(void)
{
    return log_fd;
}

bool move_call_log(int fd)
{
    if (log_fd == fd)
        return fcntl(fd, F_SETFD, 0) == 0;
    if (dup2(log_fd, fd) == -1)
        return false;
    close(log_fd);
    log_fd = fd;
    return true;
}

void close_call_log(void)
{
    if (log_fd != -1)
        close(log_fd);
    log_fd = -1;
}

uint32_t last_serial(const struct call_log *log)
{
    return log->records_made & MAX_SERIAL;
}

uint32_t first_serial(const struct call_log *log)
{
    uint32_t last = last_serial(log);
    return last > MAX_RECORDS ? last - MAX_RECORDS + 1 : 1;
}

int read_record(const struct call_log *log, uint32_t serial, struct record_copy *copy)
{
    const struct record *from = &log->records[serial % MAX_RECORDS];
    int n = 0;
    if (serial == 0 || from->serial != serial)
        return -1;
    copy->record = *from;
    uint32_t made = copy->record.made;
    for (uint32_t i = CALLS_KEPT; i-- > 0;) {
        const struct recorded_call *c = &copy->record.calls[(made - i) % CALLS_KEPT];
        if (made > i && c->number == made - i && c->function != CALLED_NOTHING &&
            c->function < CALLED_FUNCTIONS)
            copy->calls[n++] = *c;
    }
    return n;
}
