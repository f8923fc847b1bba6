/*
 * Tests that lab 8's switch_context preserves every register that the ABI calls callee-saved. The
 * server itself may work without one of them, as long as the compiler does not use it.
 */
#define main server_main
#include "../../lab08-coroutines/solution.c"
#undef main

void *tester_stack, *changer_stack; /* the stack pointer of each, while the other one runs */

/* Changes all these registers and switches back, in an endless loop. */
void change_registers(void);
/* Stores a number in each register, switches to change_registers, and returns how many registers
 * have a different value afterwards. */
long count_changed(void);

/* .irp repeats its body for each name. */
__asm__(".globl change_registers, count_changed\n");
#if defined __x86_64__
enum { REGISTERS = 6 };
__asm__("change_registers:\n"
        ".irp name, rbx, rbp, r12, r13, r14, r15\n"
        "    movq $-1, %\\name\n"
        ".endr\n"
        "    leaq changer_stack(%rip), %rdi\n"
        "    movq tester_stack(%rip), %rsi\n"
        "    call switch_context\n"
        "    jmp change_registers\n"

        "count_changed:\n"
        ".set number, 0\n"
        ".irp name, rbx, rbp, r12, r13, r14, r15\n"
        "    pushq %\\name\n"
        "    .set number, number + 1\n"
        "    movq $number, %\\name\n"
        ".endr\n"
        "    leaq tester_stack(%rip), %rdi\n"
        "    movq changer_stack(%rip), %rsi\n"
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
__asm__("change_registers:\n"
        ".irp n, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29\n"
        "    mov x\\n, #-1\n"
        ".endr\n"
        ".irp n, 8, 9, 10, 11, 12, 13, 14, 15\n"
        "    fmov d\\n, x19\n"
        ".endr\n"
        "    ldr x0, =changer_stack\n"
        "    ldr x1, =tester_stack\n"
        "    ldr x1, [x1]\n"
        "    bl switch_context\n"
        "    b change_registers\n"

        "count_changed:\n"
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
        "    ldr x0, =tester_stack\n"
        "    ldr x1, =changer_stack\n"
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
    uintptr_t *saved = (uintptr_t *)(stack + sizeof stack) - SAVED_WORDS;
    saved[RETURN_ADDRESS] = (uintptr_t)change_registers;
    changer_stack = saved;
    long changed = 0;
    for (int i = 0; i < 3; i++)
        changed += count_changed();
    printf("%d registers, three switches: %ld changed\n", REGISTERS, changed);
    return changed != 0;
}
