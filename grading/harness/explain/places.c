#include "explain/places.h"
#include "core/clock.h"
#include "drive/crash.h"
#include "drive/peer.h"
#include "drive/server_exec.h"
#include "observe/coroutines.h"
#include "observe/sockets.h"

#include <stdio.h>
#include <string.h>

enum { MAX_STACKS = 250 };
/* To stop a thread that runs takes a tenth of a second when hundreds of them want the CPUs. What is
 * printed shows the first dozen. */
static const double MAX_SECONDS = 2;

static const struct source_lines *places;
static int known;

void find_places(struct server *s, const struct task *tasks, int count)
{
    static struct stack stacks[MAX_STACKS];
    const char *modules = NULL;
    double start = now();
    places = NULL;
    known = 0;
    if (under_valgrind(s))
        return;
    for (; known < count && known < MAX_STACKS && now() - start < MAX_SECONDS; known++) {
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
static pid_t coroutine_process;

enum { MAX_NAMED_CLIENTS = 100 };
static char clients[MAX_NAMED_CLIENTS][40];

const char *place_of_coroutine(int which)
{
    return coroutine_places[which].text;
}

/* The only client among its descriptors. */
static const char *only_client(const struct source_lines *found)
{
    const char *only = NULL;
    for (int i = 0; i < found->descriptor_count && i < MAX_DESCRIPTORS_FOUND; i++) {
        const struct connection *c = connection_of(coroutine_process, found->descriptors[i]);
        const char *name = c != NULL && c->state != STATE_LISTEN ? peer_name_at(c->remote) : NULL;
        if (name != NULL && only != NULL && strcmp(name, only) != 0)
            return NULL;
        if (name != NULL)
            only = name;
    }
    return only;
}

static void name_clients(int count)
{
    bool shared[MAX_NAMED_CLIENTS] = {false};
    for (int i = 0; i < count; i++) {
        const char *name = only_client(&coroutine_places[i]);
        snprintf(clients[i], sizeof clients[i], "%s", name != NULL ? name : "");
    }
    /* Two cannot serve the same client: one has a descriptor that has been reused. */
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            shared[i] |= i != j && strcmp(clients[i], clients[j]) == 0;
    for (int i = 0; i < count; i++)
        if (shared[i])
            *clients[i] = '\0';
}

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
    coroutine_process = s->pid;
    memset(clients, 0, sizeof clients);
    if (coroutine_places != NULL && found <= MAX_NAMED_CLIENTS)
        name_clients(found);
    return coroutine_places != NULL ? found : 0;
}

const char *client_of_coroutine(int which)
{
    return which < MAX_NAMED_CLIENTS && *clients[which] != '\0' ? clients[which] : NULL;
}

const char *place_of_crash(const struct server *s, int which, int *signal)
{
    struct stack stack;
    if (!read_crash(s->crashes, which, signal, &stack))
        return "";
    const struct source_lines *found = find_source_lines(server_program, &stack, 1);
    return found != NULL ? found->text : "";
}
