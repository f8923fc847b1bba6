/*
 * Preloaded into the server: when a signal that reports a crash is about to kill one of its
 * processes, copies the registers and the stack to the memory that the harness has prepared. The
 * signal then does what it would have done without this. A server that installs a handler of its
 * own replaces this one.
 *
 * CRASH_RECORD is the descriptor of that memory. It is closed before main begins.
 */
#include "drive/crash_record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <threads.h>
#include <ucontext.h>
#include <unistd.h>

static struct crash_record *record;
static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

/* ---- the handler -------------------------------------------------------------------------------
 */

/* Asks the kernel, which reads the set first and then rejects the request. */
static bool is_readable(uint64_t address)
{
    enum { INVALID = -1, KERNEL_SET_SIZE = 8 };
    int saved = errno;
    syscall(SYS_rt_sigprocmask, INVALID, address & ~7UL, NULL, KERNEL_SET_SIZE);
    bool readable = errno != EFAULT;
    errno = saved;
    return readable;
}

/* After a stack overflow the pages at the stack pointer are a guard. */
static void copy_stack(struct crash *crash)
{
    enum { PAGE = 4096, MAX_UNREADABLE_PAGES = 64 };
    uint64_t from = crash->sp & ~7UL;
    for (int i = 0; i < MAX_UNREADABLE_PAGES && !is_readable(from); i++)
        from = (from | (PAGE - 1)) + 1;
    crash->start = from;
    while (crash->size < CRASH_STACK_SIZE && is_readable(from + crash->size)) {
        uint64_t next = from + crash->size, n = PAGE - next % PAGE;
        if (n > CRASH_STACK_SIZE - crash->size)
            n = CRASH_STACK_SIZE - crash->size;
        memcpy(crash->bytes + crash->size, (void *)next, n);
        crash->size += n;
    }
}

/* By their numbers in DWARF. */
static void copy_registers(struct crash *crash, const ucontext_t *context)
{
#if defined __x86_64__
    static const int in_order[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                   REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                   REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};
    for (size_t i = 0; i < sizeof in_order / sizeof *in_order; i++)
        crash->registers[i] = (uint64_t)context->uc_mcontext.gregs[in_order[i]];
    crash->sp = crash->registers[7];
    crash->pc = crash->registers[16];
#elif defined __aarch64__
    memcpy(crash->registers, context->uc_mcontext.regs, sizeof context->uc_mcontext.regs);
    crash->sp = crash->registers[31] = context->uc_mcontext.sp;
    crash->pc = context->uc_mcontext.pc;
#endif
}

static void record_crash(int signal, const ucontext_t *context)
{
    int which = 0;
    if (getpid() != record->first_process)
        which = atomic_fetch_add(&record->other_crashes, 1) + 1;
    struct crash *crash = which < MAX_CRASHES ? &record->crashes[which] : NULL;
    if (crash == NULL || crash->sp != 0)
        return;
    copy_registers(crash, context);
    copy_stack(crash);
    crash->signal = signal;
}

/* Of signals that are sent, only those that a process sends itself (abort) are crashes. */
static void on_crash(int signal, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0;
    if (!sent || info->si_pid == getpid())
        record_crash(signal, context);
    sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    if (sent)
        raise(signal); /* blocked until this handler returns */
    /* Otherwise the instruction is executed again, and fails again. */
}

/* ---- alternate stacks: after a stack overflow a handler needs one, and each thread its own -----
 */

enum { ALTERNATE_SIZE = 16 * 1024, MAX_THREADS = 16 };

static struct alternate {
    atomic_bool used;
    void *(*start)(void *);   /* pthread_create's, or */
    int (*start_c11)(void *); /* thrd_create's */
    void *argument;
    char stack[ALTERNATE_SIZE];
} main_threads, alternates[MAX_THREADS];

static pthread_key_t key;
static bool key_created;

static void use_alternate(struct alternate *alternate)
{
    stack_t stack = {.ss_sp = alternate->stack, .ss_size = sizeof alternate->stack};
    sigaltstack(&stack, NULL);
}

static void release_alternate(void *alternate)
{
    sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    ((struct alternate *)alternate)->used = false;
}

/* NULL: threads beyond the first 16 do without. */
static struct alternate *take_alternate(void)
{
    for (int i = 0; record != NULL && key_created && i < MAX_THREADS; i++)
        if (!atomic_exchange(&alternates[i].used, true))
            return &alternates[i];
    return NULL;
}

static void *start(void *argument)
{
    struct alternate *alternate = argument;
    pthread_setspecific(key, alternate);
    use_alternate(alternate);
    return alternate->start(alternate->argument);
}

static int start_c11(void *argument)
{
    struct alternate *alternate = argument;
    pthread_setspecific(key, alternate);
    use_alternate(alternate);
    return alternate->start_c11(alternate->argument);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *),
                   void *argument)
{
    static __typeof__(pthread_create) *real;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    struct alternate *alternate = take_alternate();
    if (alternate == NULL)
        return real(thread, attributes, function, argument);
    alternate->start = function;
    alternate->argument = argument;
    int error = real(thread, attributes, start, alternate);
    if (error != 0)
        alternate->used = false;
    return error;
}

int thrd_create(thrd_t *thread, thrd_start_t function, void *argument)
{
    static __typeof__(thrd_create) *real;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "thrd_create");
    struct alternate *alternate = take_alternate();
    if (alternate == NULL)
        return real(thread, function, argument);
    alternate->start_c11 = function;
    alternate->argument = argument;
    int result = real(thread, start_c11, alternate);
    if (result != thrd_success)
        alternate->used = false;
    return result;
}

/* ---- signals that are blocked ------------------------------------------------------------------
 */

/* A thread that blocks all signals means those that are sent to it. A crash would kill the server
 * all the same, but without running the handler. */
static const sigset_t *without_crashes(const sigset_t *set, sigset_t *copy)
{
    if (set == NULL || record == NULL)
        return set;
    *copy = *set;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigdelset(copy, signals[i]);
    return copy;
}

int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
    static __typeof__(pthread_sigmask) *real;
    sigset_t copy;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_sigmask");
    return real(how, how == SIG_UNBLOCK ? set : without_crashes(set, &copy), old);
}

int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    static __typeof__(sigprocmask) *real;
    sigset_t copy;
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "sigprocmask");
    return real(how, how == SIG_UNBLOCK ? set : without_crashes(set, &copy), old);
}

/* ---- before main -------------------------------------------------------------------------------
 */

static struct crash_record *open_record(void)
{
    const char *variable = getenv("CRASH_RECORD");
    int fd = variable != NULL ? atoi(variable) : -1;
    struct stat s;
    unsetenv("CRASH_RECORD");
    if (fd < 3 || fstat(fd, &s) == -1 || s.st_size != sizeof *record ||
        fcntl(fd, F_GET_SEALS) == -1)
        return NULL;
    void *memory = mmap(NULL, sizeof *record, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return memory != MAP_FAILED ? memory : NULL;
}

static void record_modules(void)
{
    size_t size = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n = 1; fd != -1 && n > 0 && size < CRASH_MODULES_SIZE - 1; size += (size_t)n) {
        n = read(fd, record->modules + size, CRASH_MODULES_SIZE - 1 - size);
        if (n == -1)
            break;
    }
    if (fd != -1)
        syscall(SYS_close, fd);
}

__attribute__((constructor)) static void begin(void)
{
    record = open_record();
    if (record == NULL)
        return;
    record->first_process = getpid();
    record_modules();
    /* Finds the real ones: dlsym must not be called in a signal handler. */
    pthread_sigmask(SIG_BLOCK, NULL, NULL);
    sigprocmask(SIG_BLOCK, NULL, NULL);
    key_created = pthread_key_create(&key, release_alternate) == 0;
    use_alternate(&main_threads);
    struct sigaction old, action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_DFL)
            sigaction(signals[i], &action, NULL);
}
