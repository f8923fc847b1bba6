/* How checks are declared, and the list of them. */
#ifndef CORE_CHECK_REGISTRY_H
#define CORE_CHECK_REGISTRY_H

#include "core/failures.h"

#include <stdbool.h>
#include <stddef.h>

enum { MAX_CHECKS = 64, MAX_PARTS = 8 };

struct check {
    const char *name;
    int points;
    const char *title;             /* what a correct server does, as the end of "the server ..." */
    const char *hint;              /* one sentence, shown when the check fails */
    const char *hint_if[FAILURES]; /* instead, for failures of that kind; else core/hints.c */
    const char *needs;    /* checks without which this one proves nothing: "pieces stop", or NULL */
    const char *by_hand;  /* commands, typed in the lab's directory, that show the same by hand */
    bool lengthy;         /* it takes longer than most, so it is started early */
    bool alone;           /* no other check runs at the same time: it compares CPU time, say */
    bool only_on_request; /* a long observation: runs only with --check */
    void (*body)(void);
    void (*parts[MAX_PARTS])(
        void); /* more of the body: steps that depend on no other, see runner.h */
};

void register_check(const struct check *check);

/* CHECK(name, points, title, .hint = ..., .needs = ..., .by_hand = ...) { body }
 * Checks run in the order of the file. */
#define CHECK(NAME, POINTS, ...)                                                                   \
    static void check_##NAME(void);                                                                \
    REGISTER_CHECK(NAME, POINTS, __VA_ARGS__)                                                      \
    static void check_##NAME(void)

#define REGISTER_CHECK(NAME, POINTS, ...)                                                          \
    __attribute__((constructor)) static void register_##NAME(void)                                 \
    {                                                                                              \
        static const struct check check = {#NAME, POINTS, __VA_ARGS__, .body = check_##NAME};      \
        register_check(&check);                                                                    \
    }

int count_checks(void);
const struct check *check_at(int number);
/* The next name in `needs` as a check's number, and advances; -1 at its end, -2 for an unknown
 * name. */
int next_needed(const char **needs);

bool select_check(const char *name); /* false if there is none of this name */
/* Selects all that this check needs, directly or not. */
void select_needed_by(int number);
bool is_needed_by(int needed, int number);
void select_all_checks(void); /* except those that run only when asked for */
/* Of those that do not take long, every `of`th, from the `which`th on; what is selected stays
 * selected. (1, 1) are all of them. */
void select_brief_checks(int which, int of);
bool is_selected(int number);

/* Every check has its texts and needs only earlier checks; prints what is wrong. */
bool checks_are_valid(void);

#endif
