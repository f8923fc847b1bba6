/* A coroutine is suspended where it has called a function that switches to a different stack. So
 * its stack contains an address that follows such a call. There are others like it, left over from
 * earlier calls; but only the current one is below a stack pointer that is stored elsewhere. */
#include "observe/coroutines.h"
#include "core/procfs.h"
#include "observe/context_switch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 8, MAX_CANDIDATES = 20000 };

struct candidate {
    uint64_t stored;         /* the stack pointer that must be stored somewhere */
    uint64_t return_address; /* where it is */
    uint64_t pc;             /* what it is */
    struct context_switch how;
    bool confirmed;
};

static struct candidate candidates[MAX_CANDIDATES];
static int candidate_count;

/* ---- stacks of threads -------------------------------------------------------------------------
 */

enum { MAX_THREADS = 64, NEAR = 256 * 1024 };

/* Where the threads' own stacks are, and their stack pointers. */
static struct threads {
    uint64_t start[MAX_THREADS + 1], end[MAX_THREADS + 1];
    int own_count;
    uint64_t sp[MAX_THREADS];
    int count;
} threads;

/* A thread's own stack ends with its control block, which begins with its own address, and has it
 * again as the third word: pthread_self() and %fs:0 in the x86-64 ABI. */
static void find_thread_stacks(const struct memory_image *image)
{
    threads.own_count = 0;
    for (int i = 0; i < image->count; i++) {
        const struct segment *s = &image->writable[i];
        for (uint64_t at = 0; at + 3 * WORD <= s->size; at += WORD) {
            uint64_t words[3];
            memcpy(words, s->bytes + at, sizeof words);
            if (words[0] != s->start + at || words[2] != words[0])
                continue;
            if (threads.own_count == MAX_THREADS)
                return;
            threads.start[threads.own_count] = s->mapping_start;
            threads.end[threads.own_count++] = words[0];
        }
    }
}

static bool on_thread_stack(uint64_t address)
{
    for (int i = 0; i < threads.own_count; i++)
        if (address >= threads.start[i] && address < threads.end[i])
            return true;
    return false;
}

/* Is this the stack of a coroutine that runs? */
static bool near_stack_pointer(const struct memory_image *image, uint64_t address)
{
    const struct segment *s = segment_at(image, address);
    for (int i = 0; i < threads.count; i++)
        if (s != NULL && !on_thread_stack(threads.sp[i]) && threads.sp[i] >= s->mapping_start &&
            threads.sp[i] < s->mapping_end && address + NEAR > threads.sp[i] &&
            address < threads.sp[i] + NEAR)
            return true;
    return false;
}

static bool read_stack_pointers(const struct memory_image *image, const struct task *tasks,
                                int count)
{
    threads.count = 0;
    if (count > MAX_THREADS)
        return false;
    for (int i = 0; i < count; i++) {
        char text[256];
        uint64_t *sp = &threads.sp[threads.count++];
        if (read_proc(text, sizeof text, "/proc/%d/task/%d/syscall", tasks[i].pid, tasks[i].tid) <=
                0 ||
            sscanf(text, "%*s %*x %*x %*x %*x %*x %*x %lx", sp) != 1)
            return false;
        /* The main thread's stack: its control block is elsewhere. */
        const struct segment *s = segment_at(image, *sp);
        if (s != NULL && tasks[i].pid == tasks[i].tid && threads.own_count <= MAX_THREADS) {
            threads.start[threads.own_count] = s->mapping_start;
            threads.end[threads.own_count++] = s->mapping_end;
        }
    }
    return true;
}

/* Does the program switch between stacks at all? */
static bool has_coroutines(const struct memory_image *image)
{
    struct context_switch how;
    for (uint64_t at = 0; at < image->code.size; at++)
        if (follows_switch(&image->code, image->code.start + at, &how))
            return true;
    return image->uses_swapcontext;
}

/* ---- candidates --------------------------------------------------------------------------------
 */

static void add_candidate(const struct memory_image *image, uint64_t return_address, uint64_t pc,
                          const struct context_switch *how)
{
    if (on_thread_stack(return_address) || near_stack_pointer(image, return_address) ||
        candidate_count == MAX_CANDIDATES)
        return;
    candidates[candidate_count++] =
        (struct candidate){.stored = return_address - (uint64_t)how->to_return_address,
                           .return_address = return_address,
                           .pc = pc,
                           .how = *how};
}

static void find_switches(const struct memory_image *image)
{
    for (int i = 0; i < image->count; i++) {
        const struct segment *s = &image->writable[i];
        for (uint64_t at = 0; at + WORD <= s->size; at += WORD) {
            uint64_t word;
            struct context_switch how;
            memcpy(&word, s->bytes + at, sizeof word);
            if (word - image->code.start < image->code.size &&
                follows_switch(&image->code, word, &how))
                add_candidate(image, s->start + at, word, &how);
        }
    }
}

static int by_stored(const void *a, const void *b)
{
    const struct candidate *one = a, *other = b;
    return one->stored < other->stored ? -1 : one->stored > other->stored;
}

/* Confirms the candidates whose stack pointer is stored in some word, except on a thread's stack,
 * where old values remain. */
static void confirm_candidates(const struct memory_image *image)
{
    if (candidate_count == 0)
        return;
    qsort(candidates, (size_t)candidate_count, sizeof *candidates, by_stored);
    uint64_t least = candidates[0].stored, most = candidates[candidate_count - 1].stored;
    for (int i = 0; i < image->count; i++) {
        const struct segment *s = &image->writable[i];
        for (uint64_t at = 0; at + WORD <= s->size; at += WORD) {
            struct candidate key, *found;
            memcpy(&key.stored, s->bytes + at, sizeof key.stored);
            if (key.stored < least || key.stored > most || on_thread_stack(s->start + at))
                continue;
            found = bsearch(&key, candidates, (size_t)candidate_count, sizeof key, by_stored);
            if (found != NULL)
                found->confirmed = true;
        }
    }
}

/* swapcontext(3) stores the stack pointer as it will be after its return, and next to it, in the
 * ucontext_t, the return address, which also stays on the stack. */
static void find_swapcontext(const struct memory_image *image)
{
    const struct context_switch how = {.to_return_address = -WORD};
    for (int i = 0; i < image->count; i++) {
        const struct segment *s = &image->writable[i];
        for (uint64_t at = 0; at + 2 * WORD <= s->size; at += WORD) {
            uint64_t words[2], on_stack;
            memcpy(words, s->bytes + at, sizeof words);
            if (words[0] % WORD != 0 || !follows_call(&image->code, words[1]) ||
                !word_at(image, words[0] - WORD, &on_stack) || on_stack != words[1])
                continue;
            int before = candidate_count;
            add_candidate(image, words[0] - WORD, words[1], &how);
            if (candidate_count > before)
                candidates[before].confirmed = true;
        }
    }
}

/* Two that are so close cannot both be the innermost call on their stack. */
static bool is_ambiguous(int i)
{
    enum { LEAST_STACK = 4096 };
    uint64_t at = candidates[i].return_address;
    for (int j = i - 1; j >= 0 && at - candidates[j].return_address < LEAST_STACK; j--)
        if (candidates[j].confirmed && candidates[j].return_address != at)
            return true;
    for (int j = i + 1; j < candidate_count && candidates[j].return_address - at < LEAST_STACK; j++)
        if (candidates[j].confirmed && candidates[j].return_address != at)
            return true;
    return false;
}

static int by_return_address(const void *a, const void *b)
{
    const struct candidate *one = a, *other = b;
    return one->return_address < other->return_address
               ? -1
               : one->return_address > other->return_address;
}

/* ---- results -----------------------------------------------------------------------------------
 */

/* The stack as it will be when the function that switches has returned. */
static bool make_stack(struct stack *stack, const struct memory_image *image,
                       const struct candidate *c, const char *modules)
{
    enum { RBX = 3, RBP = 6, R12 = 12, R15 = 15 };
    uint64_t sp = c->return_address + WORD;
    const struct segment *s = segment_at(image, sp);
    if (s == NULL)
        return false;
    *stack = (struct stack){.pc = c->pc,
                            .returned = true,
                            .most_functions = 7,
                            .sp = sp,
                            .start = sp,
                            .size = s->start + s->size - sp,
                            .bytes = s->bytes + (sp - s->start),
                            .modules = modules};
    unsigned known = 0;
    for (int i = 0; i < c->how.saved_count; i++) {
        const struct saved *saved = &c->how.saved[i];
        if (word_at(image, c->return_address + (uint64_t)saved->offset,
                    &stack->registers[saved->number]))
            known |= 1U << saved->number;
    }
    const unsigned needed = 1U << RBX | 1U << RBP | 15U << R12;
    stack->all_known = (known & needed) == needed;
    return true;
}

int find_coroutines(pid_t pid, const char *program, const char *modules, const struct task *tasks,
                    int count, struct stack *stacks)
{
    int found = 0;
    candidate_count = 0;
    const struct memory_image *image = copy_memory(pid, program, has_coroutines);
    if (image == NULL || modules == NULL)
        return 0;
    find_thread_stacks(image);
    if (!read_stack_pointers(image, tasks, count))
        return 0;
    find_switches(image);
    confirm_candidates(image);
    if (image->uses_swapcontext)
        find_swapcontext(image);
    if (candidate_count == MAX_CANDIDATES)
        return 0;
    qsort(candidates, (size_t)candidate_count, sizeof *candidates, by_return_address);
    for (int i = 0; i < candidate_count && found < MAX_COROUTINES; i++)
        if (candidates[i].confirmed && !is_ambiguous(i))
            found += make_stack(&stacks[found], image, &candidates[i], modules);
    return found;
}
