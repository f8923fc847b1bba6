#include "core/check_registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct check checks[MAX_CHECKS];
static bool selected[MAX_CHECKS];
static int check_count;

void register_check(const struct check *check)
{
    if (check_count == MAX_CHECKS)
        abort();
    checks[check_count++] = *check;
}

static int find_check(const char *name, size_t length)
{
    for (int i = 0; i < check_count; i++)
        if (strlen(checks[i].name) == length && strncmp(checks[i].name, name, length) == 0)
            return i;
    return -1;
}

int count_checks(void)
{
    return check_count;
}

const struct check *check_at(int number)
{
    return &checks[number];
}

int next_needed(const char **needs)
{
    if (*needs == NULL || **needs == '\0')
        return -1;
    size_t length = strcspn(*needs, " ");
    int number = find_check(*needs, length);
    *needs += length + strspn(*needs + length, " ");
    return number == -1 ? -2 : number;
}

bool select_check(const char *name)
{
    int number = find_check(name, strlen(name));
    if (number == -1)
        return false;
    selected[number] = true;
    return true;
}

bool is_needed_by(int needed, int number)
{
    const char *needs = checks[number].needs;
    for (int i; (i = next_needed(&needs)) >= 0;)
        if (i == needed || is_needed_by(needed, i))
            return true;
    return false;
}

void select_needed_by(int number)
{
    for (int i = 0; i < number; i++)
        selected[i] |= is_needed_by(i, number);
}

void select_all_checks(void)
{
    for (int i = 0; i < check_count; i++)
        selected[i] = !checks[i].only_on_request;
}

void select_brief_checks(int which, int of)
{
    for (int i = 0, brief = 0; i < check_count; i++)
        if (!checks[i].only_on_request && !checks[i].lengthy && !checks[i].alone)
            selected[i] |= brief++ % of == which - 1;
}

bool is_selected(int number)
{
    return selected[number];
}

bool checks_are_valid(void)
{
    for (int i = 0; i < check_count; i++) {
        const struct check *check = &checks[i];
        const char *needs = check->needs;
        bool valid = check->title != NULL && check->hint != NULL && check->by_hand != NULL;
        for (int needed; (needed = next_needed(&needs)) != -1;)
            valid &= needed >= 0 && needed < i;
        if (!valid) {
            fprintf(stderr,
                    "grade: check %s lacks a text, or needs a check that does not precede it\n",
                    check->name);
            return false;
        }
    }
    return true;
}
