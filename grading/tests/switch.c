/*
 * Does lab 8's switch_context preserve each register that the ABI calls callee-saved? A server may
 * well live without one of them, as long as the compiler keeps nothing there.
 */
#define main server_main
#include "../../lab08-coroutines/solution.c"
#undef main

void *tester, *spoiler; /* their stack pointers, while the other one runs */

/* Changes all those registers and switches back to who has switched here, again and again. */
void spoil(void);
/* Puts a number into each, switches to spoil, and returns how many came back changed. */
long count_lost(void);

/* .irp repeats what follows for each of the names; .globl: C takes their addresses. */
__asm__(".globl spoil, count_lost\n");
#if defined __x86_64__
enum { REGISTERS = 6 };
__asm__("spoil:\n"
        ".irp name, rbx, rbp, r12, r13, r14, r15\n"
        "    movq $-1, %\\name\n"
        ".endr\n"
        "    leaq spoiler(%rip), %rdi\n"
        "    movq tester(%rip), %rsi\n"
        "    call switch_context\n"
        "    jmp spoil\n"

        "count_lost:\n"
        ".set number, 0\n"
        ".irp name, rbx, rbp, r12, r13, r14, r15\n"
        "    pushq %\\name\n"
        "    .set number, number + 1\n"
        "    movq $number, %\\name\n"
        ".endr\n"
        "    leaq tester(%rip), %rdi\n"
        "    movq spoiler(%rip), %rsi\n"
        "    call switch_context\n"
        "    xorl %eax, %eax\n"
        ".irp name, r15, r14, r13, r12, rbp, rbx\n"
        "    cmpq $number, %\\name\n"
        "    je 1f\n"
        "    incq %rax\n"
        "1:  popq %\\name\n"
        "    .set number, number - 1\n"
        ".endr\n"
        "    ret\n");
#elif defined __aarch64__
enum { REGISTERS = 19 };
__asm__("spoil:\n"
        ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
        "    mov x\\n, #-1\n"
        ".endr\n"
        ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    fmov d\\n, x19\n"
        ".endr\n"
        "    ldr x0, =spoiler\n"
        "    ldr x1, =tester\n"
        "    ldr x1, [x1]\n"
        "    bl switch_context\n"
        "    b spoil\n"

        "count_lost:\n"
        "    str x30, [sp, #-16]!\n"
        ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
        "    str x\\n, [sp, #-16]!\n"
        "    mov x\\n, #\\n\n"
        ".endr\n"
        ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    str d\\n, [sp, #-16]!\n"
        "    mov x9, #\\n\n"
        "    fmov d\\n, x9\n"
        ".endr\n"
        "    ldr x0, =tester\n"
        "    ldr x1, =spoiler\n"
        "    ldr x1, [x1]\n"
        "    bl switch_context\n"
        "    mov x0, #0\n"
        ".irp n, 15, 14, 13, 12, 11, 10, 9, 8\n"
        "    fmov x9, d\\n\n"
        "    cmp x9, #\\n\n"
        "    cinc x0, x0, ne\n"
        "    ldr d\\n, [sp], #16\n"
        ".endr\n"
        ".irp n, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19\n"
        "    cmp x\\n, #\\n\n"
        "    cinc x0, x0, ne\n"
        "    ldr x\\n, [sp], #16\n"
        ".endr\n"
        "    ldr x30, [sp], #16\n"
        "    ret\n");
#endif

int main(void)
{
    static _Alignas(16) char stack[STACK_SIZE];
    uintptr_t *kept = (uintptr_t *)(stack + sizeof stack) - KEPT;
    kept[RETURN_ADDRESS] = (uintptr_t)spoil;
    spoiler = kept;
    long lost = 0;
    for (int i = 0; i < 3; i++)
        lost += count_lost();
    printf("%d registers, three times: %ld lost\n", REGISTERS, lost);
    return lost != 0;
}
