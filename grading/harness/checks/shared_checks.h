/*
 * Checks that several labs share. Each is defined once, in this directory, next to its hint, needs
 * and by_hand; a lab's test.c adds the points and the title, and may replace the rest.
 */
#ifndef SHARED_CHECKS_H
#define SHARED_CHECKS_H

#include "../harness.h"

/* DEFINE_SHARED_CHECK(name, .hint = ..., .needs = ..., .by_hand = ...) { body } */
#define DEFINE_SHARED_CHECK(NAME, ...)                                                             \
    static void check_##NAME(void);                                                                \
    const struct check shared_##NAME = {#NAME, .body = check_##NAME, __VA_ARGS__};                 \
    static void check_##NAME(void)

/* In a test.c: SHARED_CHECK(name, points, title), perhaps with .hint, .needs or .by_hand. */
#define SHARED_CHECK(NAME, POINTS, ...)                                                            \
    extern const struct check shared_##NAME;                                                       \
    __attribute__((constructor)) static void register_##NAME(void)                                 \
    {                                                                                              \
        static const struct check own = {#NAME, POINTS, __VA_ARGS__, .body = NULL};                \
        register_shared_check(&own, &shared_##NAME);                                               \
    }

/* Registers the shared check with what the lab's own entry says instead. */
void register_shared_check(const struct check *own, const struct check *shared);

#endif
