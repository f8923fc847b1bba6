/* What a server uses: CPU time, memory, mappings, descriptors. `root` as in tasks.h. */
#ifndef OBSERVE_RESOURCES_H
#define OBSERVE_RESOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

uint64_t read_cpu_time(pid_t root); /* nanoseconds; clock_getcpuclockid(3) */
/* How often the kernel has put its threads on a CPU: the third number of schedstat. */
uint64_t read_times_run(pid_t root);
/* For how many nanoseconds its threads were ready to run and had no CPU: the second number. */
uint64_t read_run_delay(pid_t root);
/* Pss (shared pages are divided among the processes that share them) and page tables, in bytes;
 * proc(5). */
uint64_t read_memory(pid_t root);

/* Of one process. When it has ended, 0, or -1: it cannot be read. Mappings of malloc's arenas do
 * not count. */
int read_mapping_count(pid_t pid);
/* How many stretches of inaccessible pages there are: mappings of their own, mprotect(2), or also
 * holes in anonymous writable mappings, MADV_GUARD_INSTALL. To find those, every page is read, and
 * a kernel without a shared page of zeros then gives the process memory for it. */
int read_guard_count(pid_t pid, bool also_within_mappings);
int read_descriptor_count(pid_t pid);
/* What a descriptor is, as "socket:[123]". Returns the length, or -1 when it is not open. */
ssize_t read_descriptor(pid_t pid, int fd, char *target, size_t size);

#endif
