#include "drive/crash.h"

#include "drive/shared_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int create_crash_record(struct crash_record **record)
{
    int fd;
    *record = share_memory("crash record", sizeof **record, PROT_READ, &fd);
    return fd;
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
