#include "observe/process_memory.h"
#include "observe/stack.h"

bool read_process_memory(pid_t pid, unsigned long address, void *copy, size_t size)
{
    return address != 0 && read_memory_at(pid, address, copy, size) == size;
}
