/* valgrind's log is on the server's standard error (--log-fd=2): a log file would itself count as a
 * descriptor left open. */
#include "drive/valgrind.h"
#include "core/report.h"
#include "drive/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What follows the first `words` in the log, or NULL. */
static const char *after(const char *log, const char *words)
{
    const char *found = strstr(log, words);
    return found != NULL ? found + strlen(words) : NULL;
}

/* A number as valgrind prints it, "1,234". */
static long number(const char *text)
{
    long n = 0;
    for (; text != NULL && (*text == ',' || (*text >= '0' && *text <= '9')); text++)
        if (*text != ',')
            n = 10 * n + (*text - '0');
    return n;
}

/* Adds the block of the log that contains `words` to the evidence. Each line begins with "==PID==":
 * lines of other processes may be interleaved. */
static void show_block(const char *log, const char *words)
{
    const char *line = strstr(log, words);
    while (line != NULL && line > log && line[-1] != '\n')
        line--;
    if (line == NULL || strncmp(line, "==", 2) != 0)
        return;
    const char *prefix = line;
    size_t prefix_size = 2 + strcspn(line + 2, "=") + 2;
    for (int shown = 0; *line != '\0' && shown < 10;) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, prefix, prefix_size) == 0) {
            if (size <= prefix_size + 1)
                break; /* an empty line ends the block */
            evidence("valgrind: %.*s", (int)(size - prefix_size - 1), line + prefix_size + 1);
            shown++;
        }
        line += size + (line[size] == '\n');
    }
}

/* The sum of the numbers after `words`, in the logs of all processes. */
static long sum(const char *log, const char *words)
{
    long n = 0;
    for (const char *found = log; (found = after(found, words)) != NULL;)
        n += number(found);
    return n;
}

/* A process that was killed by a signal could not close anything. */
static bool was_killed(const char *log, const char *pid)
{
    char words[80];
    snprintf(words, sizeof words, "%.*s Process terminating with default action",
             (int)strcspn(pid, " "), pid);
    return strstr(log, words) != NULL;
}

/* The first descriptor that a process left open, as " Open AF_INET socket 4: ...". valgrind does
 * not list descriptors 0, 1 and 2. */
static const char *first_open_descriptor(const char *log)
{
    for (const char *line = log; line != NULL && *line != '\0';) {
        const char *end = strchr(line, '\n'), *open = strstr(line, " Open ");
        if (open != NULL && (end == NULL || open < end) && !was_killed(log, line))
            return open;
        line = end == NULL ? NULL : end + 1;
    }
    return NULL;
}

/* Stops the server and returns valgrind's log of it and its children. */
static const char *log_of(struct server *s, struct ending *e)
{
    *e = stop_server(s, SIGTERM);
    if (!under_valgrind(s))
        return "";
    if (strstr(e->err, "ERROR SUMMARY: ") == NULL)
        fail_check(s, "the server exits, and valgrind reports on it", "%s", describe_ending(s));
    return e->err;
}

void expect_clean_memory(struct server *s)
{
    struct ending e;
    const char *log = log_of(s, &e);
    long lost = sum(log, "definitely lost: ") + sum(log, "indirectly lost: ");
    if (lost > 0) {
        show_block(log, "are definitely lost in");
        fail_check(s, "no memory lost when the server ends",
                   "%ld bytes lost, according to memcheck", lost);
    }
    long errors = sum(log, "ERROR SUMMARY: ");
    if (errors > 0) {
        show_block(log, strstr(log, "Invalid ") != NULL        ? "Invalid "
                        : strstr(log, "uninitialised") != NULL ? "uninitialised"
                                                               : " at 0x");
        fail_check(s, "no errors under memcheck", "%ld %s", errors,
                   errors == 1 ? "error" : "errors");
    }
    const char *descriptor = first_open_descriptor(log);
    if (descriptor != NULL) {
        show_block(log, " Open ");
        fail_check(s, "every descriptor closed when the server ends", "one left open: %.*s",
                   (int)strcspn(descriptor + 1, "\n"), descriptor + 1);
    }
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0", "%s", describe_ending(s));
}

void expect_no_data_race(struct server *s)
{
    struct ending e;
    const char *log = log_of(s, &e);
    long errors = sum(log, "ERROR SUMMARY: ");
    if (errors == 0)
        return;
    bool race = strstr(log, "Possible data race") != NULL;
    show_block(log, race ? "Possible data race" : " at 0x");
    if (race)
        show_block(log, "This conflicts with");
    fail_check(s, "no error under helgrind: shared data is accessed under a lock", "%ld %s", errors,
               errors == 1 ? "error" : "errors");
}
