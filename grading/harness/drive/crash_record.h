/* Memory that the server's processes share with the harness: where each crashed. */
#ifndef DRIVE_CRASH_RECORD_H
#define DRIVE_CRASH_RECORD_H

#include <stdatomic.h>
#include <stdint.h>

enum {
    MAX_CRASHES = 4,
    CRASH_REGISTERS = 32,
    CRASH_STACK_SIZE = 64 * 1024,
    CRASH_MODULES_SIZE = 16 * 1024,
};

struct crash {
    atomic_int signal; /* set last; 0: there is none */
    uint64_t pc, sp, registers[CRASH_REGISTERS];
    uint64_t start, size; /* of the copy of the stack */
    unsigned char bytes[CRASH_STACK_SIZE];
};

struct crash_record {
    char modules[CRASH_MODULES_SIZE]; /* the mapped files, in the format of /proc/PID/maps */
    atomic_int first_process;         /* the server's own pid, as it sees it */
    atomic_int other_crashes;
    struct crash crashes[MAX_CRASHES]; /* the first: the server's first process's */
};

#endif
