/* Servers that switch between stacks of their own, under valgrind. */
#ifndef DRIVE_VALGRIND_STACKS_H
#define DRIVE_VALGRIND_STACKS_H

#include <stdbool.h>

/* In a test.c: the servers of this lab switch stacks. */
#define SWITCHES_STACKS                                                                            \
    __attribute__((constructor)) static void declare_switches_stacks(void)                         \
    {                                                                                              \
        switches_stacks = true;                                                                    \
    }
extern bool switches_stacks;

/* An option that valgrind needs for this program, or NULL. */
const char *stack_option(const char *program);

#endif
