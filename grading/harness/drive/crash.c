#include "drive/crash.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Sealed: if the server made it shorter, reading it would end the harness by SIGBUS. */
int create_crash_record(struct crash_record **record)
{
    *record = NULL;
    int fd = memfd_create("crash record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd == -1)
        return -1;
    if (ftruncate(fd, sizeof **record) == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
        void *memory = mmap(NULL, sizeof **record, PROT_READ, MAP_SHARED, fd, 0);
        if (memory != MAP_FAILED) {
            *record = memory;
            return fd;
        }
    }
    close(fd);
    return -1;
}

/* The server can write there too, at any time: so everything is copied, then checked. */
bool read_crash(const struct crash_record *record, int which, int *signal, struct stack *stack)
{
    if (record == NULL || (*signal = record->crashes[which].signal) == 0)
        return false;
    struct crash *copy = malloc(sizeof *copy);
    char *modules = malloc(CRASH_MODULES_SIZE);
    if (copy == NULL || modules == NULL)
        return false;
    memcpy(copy, &record->crashes[which], sizeof *copy);
    memcpy(modules, record->modules, CRASH_MODULES_SIZE);
    modules[CRASH_MODULES_SIZE - 1] = '\0';
    *stack = (struct stack){.pc = copy->pc,
                            .sp = copy->sp,
                            .all_known = true,
                            .start = copy->start,
                            .bytes = copy->bytes,
                            .modules = modules,
                            .size = copy->size <= sizeof copy->bytes ? copy->size : 0};
    memcpy(stack->registers, copy->registers, sizeof stack->registers);
    return true;
}
