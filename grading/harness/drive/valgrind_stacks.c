#include "drive/valgrind_stacks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool switches_stacks;

/* Each request to valgrind, as VALGRIND_STACK_REGISTER, begins with these instructions. */
#if defined __x86_64__
static const unsigned char request[] = {0x48, 0xc1, 0xc7, 0x03, 0x48, 0xc1, 0xc7, 0x0d,
                                        0x48, 0xc1, 0xc7, 0x3d, 0x48, 0xc1, 0xc7, 0x33};
#elif defined __aarch64__
static const unsigned char request[] = {0x8c, 0x0d, 0xcc, 0x93, 0x8c, 0x35, 0xcc, 0x93,
                                        0x8c, 0xcd, 0xcc, 0x93, 0x8c, 0xf5, 0xcc, 0x93};
#endif

static bool makes_requests(const char *program)
{
    enum { MOST = 16 * 1024 * 1024 };
    FILE *file = fopen(program, "re");
    char *text = file != NULL ? malloc(MOST) : NULL;
    bool found = false;
    if (text != NULL)
        found = memmem(text, fread(text, 1, MOST, file), request, sizeof request) != NULL;
    free(text);
    if (file != NULL)
        fclose(file);
    return found;
}

/* Not told about a stack, valgrind takes a switch to one nearby for a frame that grows or shrinks,
 * and reports thousands of errors. So it must take any change beyond the frames of such a server
 * for a switch. */
const char *stack_option(const char *program)
{
    return switches_stacks && !makes_requests(program) ? "--max-stackframe=24576" : NULL;
}
