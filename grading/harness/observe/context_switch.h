/* Recognizes calls of a function that switches to a different stack, as a coroutine library or lab
 * 8's switch_context does. */
#ifndef OBSERVE_CONTEXT_SWITCH_H
#define OBSERVE_CONTEXT_SWITCH_H

#include "observe/memory_image.h"

enum { MAX_SAVED = 16 };

struct context_switch {
    /* From the stack pointer that the function stores to where its return address is, in bytes: 48
     * if it has pushed six registers. */
    int64_t to_return_address;
    int saved_count;
    struct saved {
        int number;     /* of the register, in DWARF */
        int64_t offset; /* from the return address to where it is */
    } saved[MAX_SAVED];
};

/* Is this address just after a call instruction of the program? */
bool follows_call(const struct segment *code, uint64_t address);
/* Is it just after a call of a function that stores its stack pointer, then loads a different one?
 * False also if the function does anything that is not understood here. */
bool follows_switch(const struct segment *code, uint64_t address, struct context_switch *found);

#endif
