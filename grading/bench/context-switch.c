/*
 * What a switch costs in lab 8's server, against the same registers kept and exchanged by a loop of
 * nothing but assembly. Here a coroutine is resumed and suspends, with the server's own functions;
 * there two stacks call each other. In short slices, by turns, and the median of their ratios.
 */
#define main server_main
#include "../../lab08-coroutines/solution.c"
#undef main

#ifndef __x86_64__
#error "the bare loop is written for x86-64"
#endif

enum { SLICES = 201, ROUNDS = 100000 };

void *bare_main, *bare_other; /* their stack pointers, while the other one runs */

/* Switches so many times to bare_answer, which switches back. */
void bare_loop(long rounds);
void bare_answer(void);

#define KEEP    "pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
#define RESTORE "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp\n"

__asm__(".globl bare_loop, bare_answer\n"
        "bare_loop:\n"
        "    pushq %rbx\n"
        "    movq %rdi, %rbx\n"
        "1:  leaq 2f(%rip), %rax\n"
        "    pushq %rax\n" KEEP "    movq %rsp, bare_main(%rip)\n"
        "    movq bare_other(%rip), %rsp\n" RESTORE "    popq %rcx\n"
        "    jmp *%rcx\n"
        "2:  decq %rbx\n"
        "    jnz 1b\n"
        "    popq %rbx\n"
        "    ret\n"
        "bare_answer:\n"
        "    leaq bare_answer(%rip), %rax\n"
        "    pushq %rax\n" KEEP "    movq %rsp, bare_other(%rip)\n"
        "    movq bare_main(%rip), %rsp\n" RESTORE "    popq %rcx\n"
        "    jmp *%rcx\n");

static void suspend_again_and_again(void)
{
    for (;;)
        suspend();
}

/* A stack on which to begin there: six registers, then where. */
static void *stack_for(void *end, void (*begin)(void))
{
    uintptr_t *kept = (uintptr_t *)end - KEPT;
    memset(kept, 0, KEPT * sizeof *kept);
    kept[RETURN_ADDRESS] = (uintptr_t)begin;
    return kept;
}

/* Seconds of CPU time: other processes do not count. */
static double used(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static _Alignas(16) char stacks[2][STACK_SIZE];
    static double ratios[SLICES], costs[SLICES], bare_costs[SLICES];
    bare_other = stack_for(stacks[0] + STACK_SIZE, bare_answer);
    worker = &workers[0];
    struct coroutine coroutine = {.stack_pointer =
                                      stack_for(stacks[1] + STACK_SIZE, suspend_again_and_again)};
    for (int i = 0; i < SLICES; i++) {
        double begin = used();
        bare_loop(ROUNDS);
        double between = used();
        for (int round = 0; round < ROUNDS; round++)
            resume(&coroutine);
        double end = used();
        bare_costs[i] = (between - begin) / ROUNDS / 2;
        costs[i] = (end - between) / ROUNDS / 2;
        ratios[i] = costs[i] / bare_costs[i];
    }
    qsort(ratios, SLICES, sizeof *ratios, by_size);
    qsort(costs, SLICES, sizeof *costs, by_size);
    qsort(bare_costs, SLICES, sizeof *bare_costs, by_size);
    printf("a switch: %.2f ns in the server, %.2f ns in the bare loop, ratio %.3f (%.3f to %.3f in "
           "half of the slices)\n",
           costs[SLICES / 2] * 1e9, bare_costs[SLICES / 2] * 1e9, ratios[SLICES / 2],
           ratios[SLICES / 4], ratios[SLICES - 1 - SLICES / 4]);
    return 0;
}
