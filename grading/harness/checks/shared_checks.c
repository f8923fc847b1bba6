#include "shared_checks.h"

#include <string.h>

void register_shared_check(const struct check *own, const struct check *shared)
{
    struct check check = *own;
    if (check.hint == NULL)
        check.hint = shared->hint;
    for (int kind = 0; kind < FAILURES; kind++)
        if (check.hint_if[kind] == NULL)
            check.hint_if[kind] = shared->hint_if[kind];
    if (check.needs == NULL)
        check.needs = shared->needs;
    if (check.by_hand == NULL)
        check.by_hand = shared->by_hand;
    check.lengthy |= shared->lengthy;
    check.alone |= shared->alone;
    check.only_on_request |= shared->only_on_request;
    check.body = shared->body;
    memcpy(check.parts, shared->parts, sizeof check.parts);
    register_check(&check);
}
