#include "observe/context_switch.h"

#include <string.h>

#if defined __x86_64__
bool follows_call(const struct segment *code, uint64_t address)
{
    enum { LONGEST = 7 };
    if (address < code->start + LONGEST || address >= code->start + code->size)
        return false;
    const unsigned char *end = code->bytes + (address - code->start);
    bool relative = end[-5] == 0xe8;                                /* call f */
    bool indirect = end[-6] == 0xff && end[-5] == 0x15;             /* call *f(%rip) */
    bool by_register = end[-2] == 0xff && (end[-1] & 0xf8) == 0xd0; /* call *%rax */
    bool by_pointer = end[-3] == 0xff && (end[-2] & 0xf8) == 0x50;  /* call *8(%rax) */
    return relative || indirect || by_register || by_pointer;
}

/* The part of a function that has been read. */
struct reader {
    const unsigned char *at, *end;
    int64_t depth; /* how far the stack pointer has moved down since the function was entered */
    int64_t stored;
    bool has_stored, has_loaded;
};

/* Registers are numbered differently in instructions and in DWARF. */
static const int dwarf_number[] = {0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15};

enum { RAX = 0, RSP = 4, RDI = 7 };

/* An instruction that is these bytes; skips it if so. */
static bool is(struct reader *r, const char *bytes, size_t size)
{
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, bytes, size) != 0)
        return false;
    r->at += size;
    return true;
}

#define IS(BYTES) is(r, BYTES, sizeof(BYTES) - 1)

static void save(struct reader *r, struct context_switch *s, int number, int64_t from_sp)
{
    if (s->saved_count < MAX_SAVED)
        s->saved[s->saved_count++] = (struct saved){dwarf_number[number], from_sp - r->depth};
}

static bool read_push(struct reader *r, struct context_switch *s)
{
    bool extended = r->at[0] == 0x41;
    unsigned char byte = r->at[extended];
    if ((byte & 0xf8) != 0x50)
        return false;
    r->at += 1 + extended;
    r->depth += 8;
    save(r, s, (byte & 7) + 8 * extended, 0);
    return true;
}

/* mov: between two registers, or with a displacement of at most 8 bits. */
static bool read_move(struct reader *r, struct context_switch *s)
{
    if ((r->at[0] & 0xf8) != 0x48 || (r->at[1] != 0x89 && r->at[1] != 0x8b))
        return false;
    bool load = r->at[1] == 0x8b;
    int mode = r->at[2] >> 6, reg = (r->at[2] >> 3 & 7) + 8 * (r->at[0] >> 2 & 1),
        base = (r->at[2] & 7) + 8 * (r->at[0] & 1), size = 3;
    bool by_sp = mode != 3 && (r->at[2] & 7) == RSP;
    if (mode == 2 || (mode == 0 && (r->at[2] & 7) == 5) || (by_sp && r->at[3] != 0x24))
        return false;
    size += by_sp;
    int displacement = mode == 1 ? (signed char)r->at[size++] : 0;
    int to = mode == 3 ? (load ? reg : base) : load ? reg : -1;
    int from = mode == 3 ? (load ? base : reg) : load ? -1 : reg;
    r->at += size;
    if (to == RSP)
        r->has_loaded = true;
    else if (from == RSP && !r->has_stored) {
        r->stored = r->depth;
        r->has_stored = true;
    } else if (by_sp && !load)
        save(r, s, reg, displacement);
    return true;
}

static bool read_adjustment(struct reader *r)
{
    if (IS("\x48\x83\xec")) /* sub $8, %rsp */
        r->depth += (signed char)*r->at++;
    else if (IS("\x48\x8d\x64\x24")) /* lea -8(%rsp), %rsp */
        r->depth -= (signed char)*r->at++;
    else
        return false;
    return true;
}

static bool read_other(struct reader *r)
{
    if (IS("\xf3\x0f\x1e\xfa") || IS("\x0f\xae\x1c\x24") || IS("\xd9\x3c\x24"))
        return true; /* endbr64; stmxcsr, fnstcw */
    if (IS("\x0f\xae\x5c\x24") || IS("\xd9\x7c\x24")) {
        r->at++;
        return true;
    }
    if (IS("\x9c")) { /* pushfq */
        r->depth += 8;
        return true;
    }
    return false;
}

static bool read_switch(struct reader r, struct context_switch *s)
{
    enum { LONGEST = 15 };
    while (!r.has_loaded) {
        if (r.end - r.at < LONGEST ||
            !(read_push(&r, s) || read_adjustment(&r) || read_other(&r) || read_move(&r, s)))
            return false;
    }
    s->to_return_address = r.stored;
    return r.has_stored;
}

bool follows_switch(const struct segment *code, uint64_t address, struct context_switch *found)
{
    enum { CALL_SIZE = 5 };
    int32_t distance;
    if (address < code->start + CALL_SIZE || address >= code->start + code->size)
        return false;
    const unsigned char *after = code->bytes + (address - code->start);
    memcpy(&distance, after - 4, sizeof distance);
    const unsigned char *function = after + distance;
    *found = (struct context_switch){0};
    return after[-CALL_SIZE] == 0xe8 && function >= code->bytes &&
           function < code->bytes + code->size &&
           read_switch((struct reader){.at = function, .end = code->bytes + code->size}, found);
}

#else

bool follows_call(const struct segment *code, uint64_t address)
{
    (void)code, (void)address;
    return false;
}

bool follows_switch(const struct segment *code, uint64_t address, struct context_switch *found)
{
    (void)code, (void)address, (void)found;
    return false;
}

#endif
