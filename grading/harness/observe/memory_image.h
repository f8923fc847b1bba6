/* A copy of what a process has in memory: its code, and the writable pages that it has used. */
#ifndef OBSERVE_MEMORY_IMAGE_H
#define OBSERVE_MEMORY_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct segment {
    uint64_t start, size;
    unsigned char *bytes;
    uint64_t mapping_start, mapping_end; /* what it is a part of */
};

struct memory_image {
    struct segment code;      /* the program's own, without libraries */
    struct segment *writable; /* in ascending order */
    int count;
    bool uses_swapcontext;
};

/* Returns NULL if it cannot be read or is too large, or if is_wanted() returns false when the
 * program's code has been read. The latest image is freed by the next call. */
const struct memory_image *copy_memory(pid_t pid, const char *program,
                                       bool (*is_wanted)(const struct memory_image *));

/* The segment that contains this address, or NULL. */
const struct segment *segment_at(const struct memory_image *image, uint64_t address);
/* The word at this address; false if it is in no writable page. */
bool word_at(const struct memory_image *image, uint64_t address, uint64_t *word);

#endif
