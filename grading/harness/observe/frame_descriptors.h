/* The descriptors that a function on a stack was called with: its int parameters and variables
 * whose names say so, such as "client" or "fd". */
#ifndef OBSERVE_FRAME_DESCRIPTORS_H
#define OBSERVE_FRAME_DESCRIPTORS_H

#include <elfutils/libdwfl.h>

enum { MAX_FRAME_DESCRIPTORS = 8 };

struct frame_descriptors {
    int count, values[MAX_FRAME_DESCRIPTORS];
    int pending_count;
    Dwarf_Sword pending[MAX_FRAME_DESCRIPTORS]; /* offsets from the frame's end, not known yet */
};

/* Call this first for each frame, from the innermost on: it adds what the frame before it keeps on
 * the stack, whose end is this frame's stack pointer. */
void add_pending_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame,
                             bool (*read_word)(Dwfl *, Dwarf_Addr, Dwarf_Word *, void *),
                             void *argument);

/* Those of a function, inlined or not, at this address of its unit. */
void add_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame, Dwarf_Die *function,
                     Dwarf_Addr address);

#endif
