/*
 * Measures what a context switch costs in lab 8's server, compared with a loop in bare assembly
 * that saves and restores the same registers. In the server, a coroutine is resumed and suspends
 * itself, by the server's own functions; in the loop, two stacks switch to each other. The two run
 * in turn, in short slices, and the result is the median of their ratios.
 */
#define main server_main
#include "../../lab08-coroutines/solution.c"
#undef main

#ifndef __x86_64__
#error "the assembly loop exists only for x86-64"
#endif

enum { SLICES = 201, ROUNDS = 100000 };

void *bare_main, *bare_other; /* the stack pointer of each, while the other one runs */

/* Switches ROUNDS times to bare_partner, which switches back. */
void bare_loop(long rounds);
void bare_partner(void);

#define SAVE    "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
#define RESTORE "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp\n"

__asm__(".globl bare_loop, bare_partner\n"
        "bare_loop:\n"
        "    pushq %rbx\n"
        "    movq %rdi, %rbx\n"
        "1:  leaq 2f(%rip), %rax\n"
        "    pushq %rax\n" SAVE "    movq %rsp, bare_main(%rip)\n"
        "    movq bare_other(%rip), %rsp\n" RESTORE "    popq %rcx\n"
        "    jmp *%rcx\n"
        "2:  decq %rbx\n"
        "    jnz 1b\n"
        "    popq %rbx\n"
        "    ret\n"
        "bare_partner:\n"
        "    leaq bare_partner(%rip), %rax\n"
        "    pushq %rax\n" SAVE "    movq %rsp, bare_other(%rip)\n"
        "    movq bare_main(%rip), %rsp\n" RESTORE "    popq %rcx\n"
        "    jmp *%rcx\n");

static void suspend_forever(void)
{
    for (;;)
        suspend();
}

/* Returns the stack pointer of a suspended stack: six saved registers, then BEGIN, the address
 * where it will resume. */
static void *prepare_stack(void *end, void (*begin)(void))
{
    uintptr_t *saved = (uintptr_t *)end - SAVED_WORDS;
    memset(saved, 0, SAVED_WORDS * sizeof *saved);
    saved[RETURN_ADDRESS] = (uintptr_t)begin;
    return saved;
}

/* Returns the CPU time of this thread in seconds, so that other processes do not count. */
static double cpu_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static _Alignas(16) char stacks[2][STACK_SIZE];
    static double ratios[SLICES], costs[SLICES], bare_costs[SLICES];
    bare_other = prepare_stack(stacks[0] + STACK_SIZE, bare_partner);
    worker = &workers[0];
    struct coroutine coroutine = {.stack_pointer =
                                      prepare_stack(stacks[1] + STACK_SIZE, suspend_forever)};
    for (int i = 0; i < SLICES; i++) {
        double begin = cpu_time();
        bare_loop(ROUNDS);
        double between = cpu_time();
        for (int round = 0; round < ROUNDS; round++)
            resume(&coroutine);
        double end = cpu_time();
        bare_costs[i] = (between - begin) / ROUNDS / 2;
        costs[i] = (end - between) / ROUNDS / 2;
        ratios[i] = costs[i] / bare_costs[i];
    }
    qsort(ratios, SLICES, sizeof *ratios, compare);
    qsort(costs, SLICES, sizeof *costs, compare);
    qsort(bare_costs, SLICES, sizeof *bare_costs, compare);
    printf("a switch: %.2f ns in the server, %.2f ns in the bare loop, ratio %.3f (%.3f to %.3f in "
           "half of the slices)\n",
           costs[SLICES / 2] * 1e9, bare_costs[SLICES / 2] * 1e9, ratios[SLICES / 2],
           ratios[SLICES / 4], ratios[SLICES - 1 - SLICES / 4]);
    return 0;
}
