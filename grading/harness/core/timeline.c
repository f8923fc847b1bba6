#include "core/timeline.h"
#include "core/clock.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static FILE *events;
static char *directory; /* without symbolic links, as the kernel names the files in it */
static int servers;

static void write_event(json_t *event)
{
    if (event == NULL)
        return;
    json_object_set_new(event, "time", json_real(now()));
    json_dumpf(event, events, JSON_COMPACT);
    fputc('\n', events);
    fflush(events); /* a check ends by _exit() */
    json_decref(event);
}

void begin_timeline(const char *check)
{
    char path[4096];
    const char *name = getenv("GRADE_TIMELINE");
    directory = name == NULL ? NULL : realpath(name, NULL);
    if (directory == NULL)
        return;
    snprintf(path, sizeof path, "%s/events.%d", directory, getpid());
    events = fopen(path, "we");
    if (events != NULL)
        write_event(json_pack("{ss}", "check", check));
}

void end_timeline(void)
{
    if (events != NULL)
        write_event(json_pack("{ss}", "what", "ends"));
}

const char *next_timeline_file(bool recorded)
{
    static char path[4096];
    if (events == NULL)
        return NULL;
    snprintf(path, sizeof path, "%s/calls.%d.%d", directory, getpid(), ++servers);
    write_event(json_pack("{ss sb}", "server", path, "recorded", recorded));
    return path;
}

const char *timeline_library(void)
{
    return getenv("GRADE_TIMELINE_LIBRARY");
}

bool is_recording(void)
{
    return events != NULL;
}

bool is_timeline_file(const char *path)
{
    static const char calls[] = "/calls.";
    size_t size = strlen(directory);
    return strncmp(path, directory, size) == 0 &&
           strncmp(path + size, calls, sizeof calls - 1) == 0;
}

static void note(const char *kind, const char *name, int port, const char *what, const void *data,
                 size_t size)
{
    enum { MAX_SHOWN = 60 };
    char text[MAX_SHOWN + 1];
    size_t shown = size < MAX_SHOWN ? size : MAX_SHOWN;
    if (events == NULL)
        return;
    for (size_t i = 0; i < shown; i++) { /* JSON is UTF-8, and a client may send any byte */
        unsigned char c = data != NULL ? ((const unsigned char *)data)[i] : ' ';
        text[i] = c == '\n' || (c >= ' ' && c < 127) ? (char)c : '?';
    }
    text[shown] = '\0';
    write_event(json_pack("{ss si ss sI ss}", kind, name, "port", port, "what", what, "bytes",
                          (json_int_t)size, "text", text));
}

void note_client(const char *name, int port, const char *what, const void *data, size_t size)
{
    note("client", name, port, what, data, size);
}

void note_backend(const char *name, int port, const char *what, const void *data, size_t size)
{
    note("backend", name, port, what, data, size);
}
