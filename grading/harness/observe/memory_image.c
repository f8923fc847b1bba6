#include "observe/memory_image.h"
#include "observe/stack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SIZE = 64 << 20, MAX_CODE = 8 << 20, MAX_SEGMENTS = 20000, PAGES_AT_ONCE = 512 };

static struct memory_image image;
static size_t total;

struct mapping {
    uint64_t start, end;
    char access[5];
    bool is_program;
};

static void free_image(void)
{
    for (int i = 0; i < image.count; i++)
        free(image.writable[i].bytes);
    free(image.writable);
    free(image.code.bytes);
    image = (struct memory_image){0};
    total = 0;
}

/* Copies as much as can be read. */
static bool fill(struct segment *segment, pid_t pid, const struct mapping *m, uint64_t start,
                 uint64_t size)
{
    *segment = (struct segment){start, 0, malloc(size), m->start, m->end};
    if (segment->bytes != NULL)
        segment->size = read_memory_at(pid, start, segment->bytes, size);
    if (segment->size > 0)
        return true;
    free(segment->bytes);
    segment->bytes = NULL;
    return false;
}

static bool make_room(void)
{
    enum { AT_ONCE = 64 };
    if (image.count % AT_ONCE != 0)
        return true;
    void *larger =
        realloc(image.writable, (size_t)(image.count + AT_ONCE) * sizeof *image.writable);
    if (larger != NULL)
        image.writable = larger;
    return larger != NULL;
}

/* A stretch of used pages. Guards (MADV_GUARD_INSTALL) look like used pages, but cannot be read. */
static bool add_segment(pid_t pid, const struct mapping *m, uint64_t start, uint64_t size)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = start + size;
    total += size;
    if (total > MAX_SIZE)
        return false;
    while (start < end) {
        if (image.count == MAX_SEGMENTS || !make_room())
            return false;
        if (fill(&image.writable[image.count], pid, m, start, end - start))
            start += image.writable[image.count++].size;
        else
            start += page;
    }
    return true;
}

/* Which pages are in memory, or swapped out: pagemap, see proc(5). */
static bool add_used_pages(pid_t pid, int pagemap, const struct mapping *m)
{
    const uint64_t used = 3ULL << 62;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), entries[PAGES_AT_ONCE], start = 0;
    for (uint64_t from = m->start; from < m->end; from += PAGES_AT_ONCE * page) {
        uint64_t count = (m->end - from) / page;
        if (count > PAGES_AT_ONCE)
            count = PAGES_AT_ONCE;
        if (pread(pagemap, entries, count * sizeof *entries,
                  (off_t)(from / page * sizeof *entries)) != (ssize_t)(count * sizeof *entries))
            return false;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t address = from + i * page;
            if ((entries[i] & used) != 0 && start == 0)
                start = address;
            if ((entries[i] & used) == 0 && start != 0) {
                if (!add_segment(pid, m, start, address - start))
                    return false;
                start = 0;
            }
        }
    }
    return start == 0 || add_segment(pid, m, start, m->end - start);
}

/* The names of the functions that the program imports are in its first, read-only mapping. */
static void look_for_imports(pid_t pid, const struct mapping *m)
{
    static const char name[] = "\0swapcontext";
    struct segment s;
    if (m->end - m->start > MAX_CODE || !fill(&s, pid, m, m->start, m->end - m->start))
        return;
    image.uses_swapcontext |= memmem(s.bytes, s.size, name, sizeof name) != NULL;
    free(s.bytes);
}

static bool add_mapping(pid_t pid, int pagemap, const struct mapping *m,
                        bool (*is_wanted)(const struct memory_image *))
{
    if (m->is_program && strcmp(m->access, "r--p") == 0)
        look_for_imports(pid, m);
    if (m->is_program && strcmp(m->access, "r-xp") == 0 && image.code.size == 0)
        return m->end - m->start <= MAX_CODE &&
               fill(&image.code, pid, m, m->start, m->end - m->start);
    if (strcmp(m->access, "rw-p") != 0)
        return true;
    if (image.count == 0 && !is_wanted(&image))
        return false;
    return add_used_pages(pid, pagemap, m);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static bool read_mappings(pid_t pid, const char *program, FILE *maps, int pagemap,
                          bool (*is_wanted)(const struct memory_image *))
{
    char line[4400], path[4200];
    bool ok = true;
    while (ok && fgets(line, sizeof line, maps) != NULL) {
        struct mapping m;
        *path = '\0';
        if (sscanf(line, "%lx-%lx %4s %*s %*s %*s %4199[^\n]", &m.start, &m.end, m.access, path) <
            3)
            return false;
        m.is_program = strcmp(base_name(path), base_name(program)) == 0;
        ok = add_mapping(pid, pagemap, &m, is_wanted);
    }
    return ok && image.code.size > 0;
}

const struct memory_image *copy_memory(pid_t pid, const char *program,
                                       bool (*is_wanted)(const struct memory_image *))
{
    char path[64];
    free_image();
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)pid);
    int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    bool ok =
        maps != NULL && pagemap != -1 && read_mappings(pid, program, maps, pagemap, is_wanted);
    if (maps != NULL)
        fclose(maps);
    if (pagemap != -1)
        close(pagemap);
    if (!ok)
        free_image();
    return ok ? &image : NULL;
}

const struct segment *segment_at(const struct memory_image *m, uint64_t address)
{
    int low = 0, high = m->count;
    while (low < high) {
        int middle = (low + high) / 2;
        const struct segment *s = &m->writable[middle];
        if (address < s->start)
            high = middle;
        else if (address >= s->start + s->size)
            low = middle + 1;
        else
            return s;
    }
    return NULL;
}

bool word_at(const struct memory_image *m, uint64_t address, uint64_t *word)
{
    const struct segment *s = segment_at(m, address);
    if (s == NULL || s->start + s->size - address < sizeof *word)
        return false;
    memcpy(word, s->bytes + (address - s->start), sizeof *word);
    return true;
}
