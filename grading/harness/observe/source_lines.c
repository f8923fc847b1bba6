/* A server's debugging information is as untrusted as the server: it may have been made to crash or
 * delay whoever reads it. So it is read in a child process, for a limited time. */
#include "observe/source_lines.h"
#include "observe/frame_descriptors.h"

#include <ctype.h>
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_SECONDS = 5,
    MAX_NAMED = 4, /* unless the stack asks for more */
    MAX_FRAMES = 200,
    MAX_NAME = 40
};

static const char *program_path;

/* One stack while it is unwound. */
struct walk {
    const struct stack *stack;
    char *text; /* the result so far */
    int named, most_named, frames;
    struct frame_descriptors descriptors;
};

/* ---- the program's files -----------------------------------------------------------------------
 */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool is_program(const char *path)
{
    return strcmp(base_name(path), base_name(program_path)) == 0;
}

/* In a sandbox the program may have a different path. */
static int find_file(Dwfl_Module *module, void **data, const char *path, Dwarf_Addr base,
                     char **file_name, Elf **elf)
{
    (void)module, (void)data, (void)base, (void)file_name, (void)elf;
    return open(is_program(path) ? program_path : path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* Only what is in the file itself: libraries need no lines. */
static int find_no_debug_file(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
                              const char *file, const char *link, GElf_Word crc, char **found)
{
    (void)module, (void)data, (void)name, (void)base, (void)file, (void)link, (void)crc;
    (void)found;
    return -1;
}

static const Dwfl_Callbacks callbacks = {.find_elf = find_file,
                                         .find_debuginfo = find_no_debug_file};

static Dwfl *open_modules(const char *modules)
{
    Dwfl *dwfl = dwfl_begin(&callbacks);
    FILE *file = fmemopen((void *)modules, strlen(modules), "r");
    if (dwfl == NULL || file == NULL)
        return NULL;
    dwfl_report_begin(dwfl);
    int error = dwfl_linux_proc_maps_report(dwfl, file);
    dwfl_report_end(dwfl, NULL, NULL);
    fclose(file);
    return error == 0 ? dwfl : NULL;
}

/* ---- unwinding ---------------------------------------------------------------------------------
 */

static pid_t next_thread(Dwfl *dwfl, void *walk, void **thread)
{
    (void)dwfl;
    if (*thread != NULL)
        return 0;
    *thread = walk;
    return 1;
}

static bool read_word(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *result, void *argument)
{
    (void)dwfl;
    const struct stack *stack = ((struct walk *)argument)->stack;
    uint64_t offset = address - stack->start;
    if (address < stack->start || stack->size < sizeof *result ||
        offset > stack->size - sizeof *result)
        return false;
    memcpy(result, stack->bytes + offset, sizeof *result);
    return true;
}

static bool set_registers(Dwfl_Thread *thread, void *argument)
{
    const struct stack *stack = ((struct walk *)argument)->stack;
#if defined __x86_64__
    enum { SP = 7, PC = 16 };
    Dwarf_Word sp = stack->sp, pc = stack->pc;
    if (stack->all_known && !dwfl_thread_state_registers(thread, 0, PC, stack->registers))
        return false;
    return dwfl_thread_state_registers(thread, SP, 1, &sp) &&
           dwfl_thread_state_registers(thread, PC, 1, &pc);
#else
    dwfl_thread_state_register_pc(thread, stack->pc);
    return dwfl_thread_state_registers(thread, 0, MAX_REGISTERS, stack->registers);
#endif
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
    .next_thread = next_thread, .memory_read = read_word, .set_initial_registers = set_registers};

/* ---- functions and lines -----------------------------------------------------------------------
 */

/* A name from the program's file, without what a terminal might take for a command. */
static void append_name(char *text, const char *name)
{
    size_t size = strlen(text);
    for (int i = 0; name[i] != '\0' && i < MAX_NAME && size + 2 < SOURCE_LINES_SIZE; i++)
        text[size++] = isalnum((unsigned char)name[i]) || strchr("_.-+", name[i]) ? name[i] : '?';
    text[size] = '\0';
}

static void add_function(struct walk *walk, const char *name, const char *file, int line)
{
    enum { MAX_ENTRY = 2 * MAX_NAME + 40 };
    if (walk->named >= walk->most_named || strlen(walk->text) + MAX_ENTRY > SOURCE_LINES_SIZE)
        return;
    strcat(walk->text, walk->named++ > 0 ? ", called from " : "");
    append_name(walk->text, name);
    strcat(walk->text, ", ");
    append_name(walk->text, base_name(file));
    sprintf(walk->text + strlen(walk->text), ":%d", line);
}

static bool is_function(Dwarf_Die *die)
{
    int tag = dwarf_tag(die);
    return tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine;
}

/* The innermost function at this address, inlined or not, within those that contain it. Frees
 * nothing: the process is short-lived. */
static int functions_at(Dwarf_Die *unit, Dwarf_Addr address, Dwarf_Die **functions)
{
    Dwarf_Die *scopes;
    int count = dwarf_getscopes(unit, address, &scopes);
    for (int i = 0; i < count; i++)
        if (is_function(&scopes[i]))
            return dwarf_getscopes_die(&scopes[i], functions);
    return 0;
}

/* From an inlined function: where it was called. */
static bool call_place(Dwarf_Die *unit, Dwarf_Die *inlined, const char **file, int *line)
{
    Dwarf_Attribute attribute;
    Dwarf_Word number, file_number;
    Dwarf_Files *files;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &number) != 0 ||
        dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &file_number) != 0 ||
        dwarf_getsrcfiles(unit, &files, NULL) != 0)
        return false;
    *line = (int)number;
    *file = dwarf_filesrc(files, file_number, NULL, NULL);
    return *file != NULL;
}

/* clang writes no .debug_aranges, without which libdw finds no unit by an address. */
static Dwarf_Die *unit_at(Dwfl_Module *module, Dwarf_Addr pc, Dwarf_Addr *bias)
{
    Dwarf_Die *unit = dwfl_module_addrdie(module, pc, bias);
    if (unit != NULL)
        return unit;
    while ((unit = dwfl_module_nextcu(module, unit, bias)) != NULL)
        if (dwarf_haspc(unit, pc - *bias) > 0)
            return unit;
    return NULL;
}

/* The functions at this address. Those that a header of the system has inlined are left out. */
static void add_functions(struct walk *walk, Dwfl_Frame *frame, Dwfl_Module *module, Dwarf_Addr pc)
{
    Dwarf_Addr bias;
    Dwarf_Die *functions, *unit = unit_at(module, pc, &bias);
    Dwarf_Line *place = unit == NULL ? NULL : dwarf_getsrc_die(unit, pc - bias);
    int line = 0;
    const char *file = place == NULL ? NULL : dwarf_linesrc(place, NULL, NULL);
    const char *source = unit == NULL ? NULL : dwarf_diename(unit);
    if (file == NULL || source == NULL || dwarf_lineno(place, &line) != 0)
        return;
    int count = functions_at(unit, pc - bias, &functions);
    for (int i = 0; i < count; i++) {
        if (!is_function(&functions[i]))
            continue;
        const char *name = dwarf_diename(&functions[i]);
        if (name != NULL && line > 0 && strcmp(base_name(file), base_name(source)) == 0)
            add_function(walk, name, file, line);
        if (walk->stack->returned && walk->stack->all_known)
            add_descriptors(&walk->descriptors, frame, &functions[i], pc - bias);
        if (dwarf_tag(&functions[i]) == DW_TAG_subprogram ||
            !call_place(unit, &functions[i], &file, &line))
            break;
    }
}

static int visit_frame(Dwfl_Frame *frame, void *argument)
{
    struct walk *walk = argument;
    Dwarf_Addr pc;
    bool is_activation;
    if (++walk->frames > MAX_FRAMES || !dwfl_frame_pc(frame, &pc, &is_activation))
        return DWARF_CB_ABORT;
    add_pending_descriptors(&walk->descriptors, frame, read_word, walk);
    pc -= !is_activation || (walk->frames == 1 && walk->stack->returned);
    Dwfl_Module *module = dwfl_addrmodule(dwfl_thread_dwfl(dwfl_frame_thread(frame)), pc);
    const char *path =
        module == NULL ? NULL : dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    if (path != NULL && is_program(path))
        add_functions(walk, frame, module, pc);
    bool complete = walk->named >= walk->most_named && !walk->stack->returned;
    return complete ? DWARF_CB_ABORT : DWARF_CB_OK;
}

/* A call through a pointer that leads nowhere: the caller is where it would have returned to. */
static void leave_no_code(Dwfl *dwfl, struct stack *stack)
{
#if defined __x86_64__
    enum { SP = 7 };
    uint64_t caller;
    if (dwfl_addrmodule(dwfl, stack->pc) != NULL || stack->size < sizeof caller)
        return;
    memcpy(&caller, stack->bytes + (stack->sp - stack->start), sizeof caller);
    stack->pc = caller - 1;
    stack->registers[SP] = stack->sp += sizeof caller;
#else
    (void)dwfl, (void)stack;
#endif
}

static void find_all(const struct stack *stacks, int count, struct source_lines *lines)
{
    struct walk walk;
    Dwfl *dwfl = NULL;
    const char *modules = NULL;
    for (int i = 0; i < count; i++) {
        if (stacks[i].modules == NULL || (stacks[i].pc == 0 && stacks[i].size == 0))
            continue;
        if (stacks[i].modules != modules) {
            modules = stacks[i].modules;
            dwfl = open_modules(modules);
            if (dwfl != NULL)
                dwfl_attach_state(dwfl, NULL, 1, &thread_callbacks, &walk);
        }
        if (dwfl == NULL)
            continue;
        struct stack stack = stacks[i];
        if (stack.sp == stack.start)
            leave_no_code(dwfl, &stack);
        walk = (struct walk){.stack = &stack,
                             .text = lines[i].text,
                             .most_named =
                                 stack.most_functions > 0 ? stack.most_functions : MAX_NAMED};
        dwfl_getthread_frames(dwfl, 1, visit_frame, &walk);
        lines[i].descriptor_count = walk.descriptors.count;
        memcpy(lines[i].descriptors, walk.descriptors.values, sizeof lines[i].descriptors);
    }
}

/* ---- the child process -------------------------------------------------------------------------
 */

static _Noreturn void find_in_child(const struct stack *stacks, int count,
                                    struct source_lines *lines)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    setrlimit(RLIMIT_CPU, &(struct rlimit){MAX_SECONDS, MAX_SECONDS});
    setrlimit(RLIMIT_AS, &(struct rlimit){1 << 30, 1 << 30});
    find_all(stacks, count, lines);
    _exit(0);
}

static void wait_for_child(pid_t child)
{
    int ended = (int)syscall(SYS_pidfd_open, child, 0);
    if (ended == -1 ||
        poll(&(struct pollfd){.fd = ended, .events = POLLIN}, 1, MAX_SECONDS * 1000) != 1)
        kill(child, SIGKILL);
    if (ended != -1)
        close(ended);
    while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
        ;
}

const struct source_lines *find_source_lines(const char *program, const struct stack *stacks,
                                             int count)
{
    static struct source_lines *lines;
    static size_t size;
    if (lines != NULL)
        munmap(lines, size);
    size = sizeof *lines * (size_t)(count > 0 ? count : 1);
    lines = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED) {
        lines = NULL;
        return NULL;
    }
    program_path = program;
    pid_t child = fork();
    if (child == 0)
        find_in_child(stacks, count, lines);
    if (child != -1)
        wait_for_child(child);
    for (int i = 0; i < count; i++)
        lines[i].text[SOURCE_LINES_SIZE - 1] = '\0';
    return lines;
}
