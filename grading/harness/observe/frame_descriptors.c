#include "observe/frame_descriptors.h"

#include <dwarf.h>
#include <elfutils/version.h>
#include <string.h>

/* dwfl_frame_reg() is new in elfutils 0.188. */
#if defined __x86_64__ && _ELFUTILS_PREREQ(0, 188)

static void add_value(struct frame_descriptors *found, int value)
{
    for (int i = 0; i < found->count; i++)
        if (found->values[i] == value)
            return;
    if (found->count < MAX_FRAME_DESCRIPTORS && value > 2)
        found->values[found->count++] = value;
}

void add_pending_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame,
                             bool (*read_word)(Dwfl *, Dwarf_Addr, Dwarf_Word *, void *),
                             void *argument)
{
    enum { SP = 7 };
    Dwarf_Word sp, word;
    Dwfl *dwfl = dwfl_thread_dwfl(dwfl_frame_thread(frame));
    if (found->pending_count > 0 && dwfl_frame_reg(frame, SP, &sp) == 0)
        for (int i = 0; i < found->pending_count; i++)
            if (read_word(dwfl, sp + (Dwarf_Word)found->pending[i], &word, argument))
                add_value(found, (int)(unsigned)word);
    found->pending_count = 0;
}

static bool is_named_like_a_descriptor(const char *name)
{
    static const char *const words[] = {"client", "fd", "sock", "conn", "peer"};
    for (size_t i = 0; name != NULL && i < sizeof words / sizeof *words; i++)
        if (strstr(name, words[i]) != NULL)
            return true;
    return false;
}

static bool is_int(Dwarf_Die *variable)
{
    Dwarf_Attribute attribute;
    Dwarf_Die type;
    const char *name;
    return dwarf_attr_integrate(variable, DW_AT_type, &attribute) != NULL &&
           dwarf_formref_die(&attribute, &type) != NULL && dwarf_peel_type(&type, &type) == 0 &&
           dwarf_tag(&type) == DW_TAG_base_type && (name = dwarf_diename(&type)) != NULL &&
           strcmp(name, "int") == 0;
}

/* Optimized code keeps a variable in a register or on the stack; anything else is left out. */
static void add_variable(struct frame_descriptors *found, Dwfl_Frame *frame, Dwarf_Die *variable,
                         Dwarf_Addr address)
{
    Dwarf_Attribute attribute;
    Dwarf_Op *operations;
    size_t count;
    Dwarf_Word value;
    if (dwarf_attr(variable, DW_AT_location, &attribute) == NULL ||
        dwarf_getlocation_addr(&attribute, address, &operations, &count, 1) != 1 || count != 1)
        return;
    int operation = operations[0].atom;
    if (operation >= DW_OP_reg0 && operation <= DW_OP_reg15) {
        if (dwfl_frame_reg(frame, (unsigned)(operation - DW_OP_reg0), &value) == 0)
            add_value(found, (int)(unsigned)value);
    } else if (operation == DW_OP_fbreg && found->pending_count < MAX_FRAME_DESCRIPTORS) {
        found->pending[found->pending_count++] = (Dwarf_Sword)operations[0].number;
    }
}

void add_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame, Dwarf_Die *function,
                     Dwarf_Addr address)
{
    Dwarf_Die child;
    if (dwarf_child(function, &child) != 0)
        return;
    do {
        int tag = dwarf_tag(&child);
        if ((tag == DW_TAG_formal_parameter || tag == DW_TAG_variable) &&
            is_named_like_a_descriptor(dwarf_diename(&child)) && is_int(&child))
            add_variable(found, frame, &child, address);
    } while (dwarf_siblingof(&child, &child) == 0);
}

#else

void add_pending_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame,
                             bool (*read_word)(Dwfl *, Dwarf_Addr, Dwarf_Word *, void *),
                             void *argument)
{
    (void)found, (void)frame, (void)read_word, (void)argument;
}

void add_descriptors(struct frame_descriptors *found, Dwfl_Frame *frame, Dwarf_Die *function,
                     Dwarf_Addr address)
{
    (void)found, (void)frame, (void)function, (void)address;
}

#endif
