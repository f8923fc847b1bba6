#include "observe/process_memory.h"

#include <sys/uio.h>

bool read_process_memory(pid_t pid, unsigned long address, void *copy, size_t size)
{
    struct iovec local = {copy, size}, remote = {(void *)address, size};
    return address != 0 && process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size;
}
