#include "search_steps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const backend_names[BACKENDS] = {"user", "query", "stock"};

const char *answer_to(const char *words)
{
    static char text[2 * MAX_LINE];
    snprintf(text, sizeof text, "%s user query stock\n", words);
    return text;
}

void expect_search(struct peer *p, const char *words)
{
    char line[MAX_LINE + 2];
    snprintf(line, sizeof line, "search %s\n", words);
    send_text(p, line);
    receive_text(p, answer_to(words));
}

void expect_error(struct peer *p, enum backend b, const char *what)
{
    char line[80];
    snprintf(line, sizeof line, "error: %s backend %s\n", backend_names[b], what);
    receive_text(p, line);
}

char *line_of(char letter, size_t size)
{
    char *text = malloc(size + 2);
    if (text == NULL)
        grader_error("out of memory");
    memset(text, letter, size);
    strcpy(text + size, "\n");
    return text;
}

void expect_echoes_while_held(struct server *s, struct peer *const *clients, int n)
{
    set_calls_held(true);
    for (int i = 0; i < n; i++) {
        send_text(clients[i], "meanwhile\n");
        receive_text(clients[i], "meanwhile\n");
    }
    struct peer *newcomer = connect_to(s);
    send_text(newcomer, "a newcomer\n");
    receive_text(newcomer, "a newcomer\n");
    hang_up(newcomer);
    expect_loops_waiting(s);
    set_calls_held(false);
}
