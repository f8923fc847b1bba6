#include "explain/places.h"
#include "drive/crash.h"
#include "drive/server_exec.h"
#include "observe/coroutines.h"

enum { MAX_STACKS = 250 };

static const struct source_lines *places;
static int known;

void find_places(struct server *s, const struct task *tasks, int count)
{
    static struct stack stacks[MAX_STACKS];
    const char *modules = NULL;
    places = NULL;
    known = 0;
    if (under_valgrind(s))
        return;
    for (; known < count && known < MAX_STACKS; known++) {
        if (known == 0 || tasks[known].pid != tasks[known - 1].pid)
            modules = mapped_files(tasks[known].pid);
        copy_stack(&stacks[known], &tasks[known], modules);
    }
    places = find_source_lines(server_program, stacks, known);
}

const char *place_of_task(int which)
{
    return places != NULL && which < known ? places[which].text : "";
}

static const struct source_lines *coroutine_places;

int find_coroutine_places(struct server *s, const struct task *tasks, int count)
{
    static struct stack stacks[MAX_COROUTINES];
    if (under_valgrind(s))
        return 0;
    for (int i = 0; i < count; i++)
        if (tasks[i].pid != s->pid)
            return 0;
    int found = find_coroutines(s->pid, server_program, mapped_files(s->pid), tasks, count, stacks);
    coroutine_places = found > 0 ? find_source_lines(server_program, stacks, found) : NULL;
    return coroutine_places != NULL ? found : 0;
}

const char *place_of_coroutine(int which)
{
    return coroutine_places[which].text;
}

const char *place_of_crash(const struct server *s, int which, int *signal)
{
    struct stack stack;
    if (!read_crash(s->crashes, which, signal, &stack))
        return "";
    const struct source_lines *found = find_source_lines(server_program, &stack, 1);
    return found != NULL ? found->text : "";
}
