/* Copies of a thread's stack: enough to find out later where it was, while the thread goes on. */
#ifndef OBSERVE_STACK_H
#define OBSERVE_STACK_H

#include "observe/tasks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_REGISTERS = 32, MAX_MODULES_TEXT = 16 * 1024 };

struct stack {
    uint64_t pc, sp;
    bool all_known;                    /* the other registers as well as these two */
    uint64_t registers[MAX_REGISTERS]; /* by their numbers in DWARF */
    uint64_t start;                    /* the address that `bytes` were copied from */
    size_t size; /* 0: there is no copy, only the innermost function is known */
    unsigned char *bytes;
    bool returned;       /* pc is where a call returns to; otherwise it is being executed */
    int most_functions;  /* to be named; 0: four */
    const char *modules; /* the process's mapped files, in the format of /proc/PID/maps */
};

/* Copies the stack of a thread that is blocked in the call that `task` names, without disturbing
 * it, or of one that is running, which is stopped for an instant (ptrace(2)). Returns false, and a
 * stack of size 0, if the thread has moved on or if this machine does not allow it. */
bool copy_stack(struct stack *stack, const struct task *task, const char *modules);

/* Why a running thread could not be stopped for that, or 0. */
extern int ptrace_error;

/* The lines of /proc/PID/maps that belong to files; NULL if they cannot be read. The same string
 * for processes with the same mappings. Valid until the process ends. */
const char *mapped_files(pid_t pid);

/* Reads the memory of a process; returns how many bytes, from the first, could be read. */
size_t read_memory_at(pid_t pid, uint64_t address, void *data, size_t size);

#endif
