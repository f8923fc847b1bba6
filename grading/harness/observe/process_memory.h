/* What is in the memory of the server: /proc/PID/mem, which is also there where process_vm_readv(2)
 * is forbidden. */
#ifndef OBSERVE_PROCESS_MEMORY_H
#define OBSERVE_PROCESS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* False when it cannot be read: not mapped, or the machine forbids it. */
bool read_process_memory(pid_t pid, unsigned long address, void *copy, size_t size);

#endif
