#include "observe/stack.h"
#include "core/clock.h"
#include "core/procfs.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_COPIED = 128 * 1024 };

size_t read_memory_at(pid_t pid, uint64_t address, void *data, size_t size)
{
    char path[64];
    size_t done = 0;
    snprintf(path, sizeof path, "/proc/%d/mem", (int)pid);
    /* Not process_vm_readv: containers forbid that call, but not this file. */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd != -1 && done < size) {
        ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(address + done));
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (fd != -1)
        close(fd);
    return done;
}

const char *mapped_files(pid_t pid)
{
    enum { MAX_KNOWN = 64 };
    static char *known[MAX_KNOWN];
    static int count;
    char path[64], line[4400], text[MAX_MODULES_TEXT] = "";
    size_t size = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    while (fgets(line, sizeof line, file) != NULL)
        if (strchr(line, '/') != NULL && size + strlen(line) < sizeof text)
            size += (size_t)sprintf(text + size, "%s", line);
    fclose(file);
    for (int i = 0; i < count; i++)
        if (strcmp(known[i], text) == 0)
            return known[i];
    if (size == 0 || count == MAX_KNOWN || (known[count] = strdup(text)) == NULL)
        return NULL;
    return known[count++];
}

static bool copy_from_stack_pointer(struct stack *stack, pid_t pid)
{
    static unsigned char copy[MAX_COPIED];
    size_t size = read_memory_at(pid, stack->sp, copy, sizeof copy);
    if (size == 0 || (stack->bytes = malloc(size)) == NULL)
        return false;
    memcpy(stack->bytes, copy, size);
    stack->start = stack->sp;
    stack->size = size;
    return true;
}

/* ---- a thread that is blocked ------------------------------------------------------------------
 */

/* Is it still in this call? The last two numbers of the file are its sp and pc. */
static bool read_blocked(const struct task *task, uint64_t *sp, uint64_t *pc)
{
    char text[256];
    long call;
    unsigned long first, second;
    ssize_t n = read_proc(text, sizeof text, "/proc/%d/task/%d/syscall", task->pid, task->tid);
    return n > 0 &&
           sscanf(text, "%ld %lx %lx %*x %*x %*x %*x %lx %lx", &call, &first, &second, sp, pc) ==
               5 &&
           call == task->call && first == task->arg[0] && second == task->arg[1];
}

/* On x86-64 a function's caller is found from sp and pc alone, unless it has an array of variable
 * size. So the thread need not be stopped, which would interrupt some calls (EINTR). */
#if defined __x86_64__
enum { SP_AND_PC_SUFFICE = true };
#else
enum { SP_AND_PC_SUFFICE = false };
#endif

static bool copy_blocked(struct stack *stack, const struct task *task)
{
    uint64_t sp, pc;
    if (!read_blocked(task, &stack->sp, &stack->pc) || !copy_from_stack_pointer(stack, task->pid))
        return false;
    return read_blocked(task, &sp, &pc) && sp == stack->sp && pc == stack->pc;
}

/* ---- a thread that is running ------------------------------------------------------------------
 */

static bool read_registers(struct stack *stack, pid_t tid)
{
    struct user_regs_struct r;
    if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &(struct iovec){&r, sizeof r}) == -1)
        return false;
#if defined __x86_64__
    const uint64_t in_order[] = {r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8,
                                 r.r9,  r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip};
    memcpy(stack->registers, in_order, sizeof in_order);
    stack->sp = r.rsp;
    stack->pc = r.rip;
#elif defined __aarch64__
    memcpy(stack->registers, r.regs, sizeof r.regs);
    stack->registers[31] = r.sp;
    stack->sp = r.sp;
    stack->pc = r.pc;
#endif
    stack->all_known = true;
    return true;
}

/* Without WEXITED: the server's exit status is not for us. */
static bool wait_until_stopped(pid_t tid)
{
    enum { MAX_MILLISECONDS = 200 };
    for (double start = now(); now() - start < MAX_MILLISECONDS / 1e3; usleep(100)) {
        siginfo_t info = {0};
        if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | __WALL) == -1)
            return false;
        if (info.si_pid == tid)
            return true;
    }
    return false;
}

int ptrace_error;

static bool copy_running(struct stack *stack, const struct task *task)
{
    if (ptrace(PTRACE_SEIZE, task->tid, NULL, NULL) == -1) {
        ptrace_error = errno != ESRCH ? errno : ptrace_error;
        return false;
    }
    bool copied = ptrace(PTRACE_INTERRUPT, task->tid, NULL, NULL) == 0 &&
                  wait_until_stopped(task->tid) && read_registers(stack, task->tid) &&
                  copy_from_stack_pointer(stack, task->pid);
    ptrace(PTRACE_DETACH, task->tid, NULL, NULL);
    return copied;
}

bool copy_stack(struct stack *stack, const struct task *task, const char *modules)
{
    *stack = (struct stack){.modules = modules};
    if (modules == NULL || is_dead(task) || task->state == 'T' || task->state == 't')
        return false;
    bool copied = task->call != -1 && SP_AND_PC_SUFFICE ? copy_blocked(stack, task)
                                                        : copy_running(stack, task);
    if (!copied) {
        free(stack->bytes);
        *stack = (struct stack){.modules = modules};
    }
    return copied;
}
