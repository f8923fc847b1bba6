#include "drive/valgrind_leaks.h"
#include "core/hints.h"
#include "core/report.h"

#include <string.h>

static const char *next_line(const char *line)
{
    size_t size = strcspn(line, "\n");
    return line + size + (line[size] == '\n');
}

static bool contains(const char *line, const char *words)
{
    const char *found = strstr(line, words);
    return found != NULL && found < line + strcspn(line, "\n");
}

/* Adds "malloc (...)" and who called it to the evidence, up to the empty line. */
static void show_stack(const char *line)
{
    for (int i = 0; i < 6 && (contains(line, " at 0x") || contains(line, " by 0x")); i++) {
        const char *text = strstr(line, "0x");
        evidence("valgrind: %s %.*s", i == 0 ? "allocated at" : "by", (int)strcspn(text, "\n"),
                 text);
        line = next_line(line);
    }
}

void expect_all_freed(struct server *s)
{
    if (!under_valgrind(s))
        return;
    const char *log = valgrind_log_of(s), *first = NULL;
    int blocks = 0;
    for (const char *line = log; *line != '\0'; line = next_line(line)) {
        if (!contains(line, "are still reachable in loss record"))
            continue;
        const char *allocation = next_line(line), *caller = next_line(allocation);
        if (!contains(caller, "(server.c:"))
            continue;
        blocks++;
        if (first == NULL)
            first = allocation;
    }
    if (blocks == 0)
        return;
    show_stack(first);
    note_failure(LEAKED);
    fail_check(s, "all memory that the server has allocated freed when it ends",
               "memory allocated at %d place%s was never freed, although a pointer to it was left",
               blocks, blocks == 1 ? "" : "s");
}
