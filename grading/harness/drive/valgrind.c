/* valgrind's log comes through a pipe of its own (close_log.c), to which the server cannot write.
 * It can have lines added, by a request to valgrind, but they begin with ** instead of ==. */
#include "drive/valgrind.h"
#include "core/hints.h"
#include "core/report.h"
#include "drive/server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number as valgrind prints it, "1,234". */
static long number(const char *text)
{
    long n = 0;
    for (; text != NULL && (*text == ',' || (*text >= '0' && *text <= '9')); text++)
        if (*text != ',')
            n = 10 * n + (*text - '0');
    return n;
}

/* A line of the log begins with "==PID== ". Returns what follows, or NULL for other output. */
static const char *text_of(const char *line)
{
    size_t digits = strncmp(line, "==", 2) == 0 ? strspn(line + 2, "0123456789") : 0;
    return digits > 0 && strncmp(line + 2 + digits, "== ", 3) == 0 ? line + digits + 5 : NULL;
}

/* The number of digits of the process id that the line begins with; 0 for other output. */
static int pid_size(const char *line)
{
    return text_of(line) != NULL ? (int)strspn(line + 2, "0123456789") : 0;
}

static const char *line_after(const char *line)
{
    size_t size = strcspn(line, "\n");
    return line + size + (line[size] == '\n');
}

/* Adds a block of the log to the evidence, from this line on. Lines of other processes may be
 * interleaved. */
static void show_block_from(const char *line)
{
    const char *prefix = line;
    size_t prefix_size = 2 + strcspn(line + 2, "=") + 2;
    for (int shown = 0; *line != '\0' && shown < 10; line = line_after(line)) {
        size_t size = strcspn(line, "\n");
        if (strncmp(line, prefix, prefix_size) != 0)
            continue;
        if (size <= prefix_size + 1)
            break; /* an empty line ends the block */
        evidence("valgrind: %.*s", (int)(size - prefix_size - 1), line + prefix_size + 1);
        shown++;
    }
}

/* The same for the block that contains `words`. */
static void show_block(const char *log, const char *words)
{
    const char *line = strstr(log, words);
    while (line != NULL && line > log && line[-1] != '\n')
        line--;
    if (line != NULL && text_of(line) != NULL)
        show_block_from(line);
}

/* The sum of the numbers after `words` at the beginning of a line, in the logs of all processes. */
static long sum(const char *log, const char *words)
{
    long n = 0;
    for (const char *line = log; *line != '\0'; line = line_after(line)) {
        const char *text = text_of(line);
        if (text == NULL)
            continue;
        text += strspn(text, " ");
        if (strncmp(text, words, strlen(words)) == 0)
            n += number(text + strlen(words));
    }
    return n;
}

/* Has valgrind seen this process end? Otherwise it was killed, or has become a program that does
 * not run under valgrind. */
static bool has_summary(const char *log, pid_t pid)
{
    char words[60];
    snprintf(words, sizeof words, "==%d== ERROR SUMMARY: ", (int)pid);
    for (const char *line = log; *line != '\0'; line = line_after(line))
        if (strncmp(line, words, strlen(words)) == 0)
            return true;
    return false;
}

/* A process that was killed by a signal could not close anything. */
static bool was_killed(const char *log, const char *pid)
{
    char words[80];
    snprintf(words, sizeof words, "%.*s Process terminating with default action",
             (int)strcspn(pid, " "), pid);
    return strstr(log, words) != NULL;
}

/* The child of a double fork that only forks: it exits at once, which closes all that it has
 * inherited. `pid`: a line of its log. The preloaded library asks valgrind to log it. */
static bool only_forks(const char *log, const char *pid)
{
    char words[80];
    int size = pid_size(pid);
    snprintf(words, sizeof words, "FAULTS: process %.*s only forks", size, pid + 2);
    return size > 0 && strstr(log, words) != NULL;
}

/* A child may keep a pipe open for as long as it lives: then its parent reads EOF when it ends. */
static bool is_pipe_of_child(const char *open, bool of_child)
{
    return of_child && strncmp(open, " Open file descriptor ", 22) == 0;
}

/* The first descriptor that a process left open, as " Open AF_INET socket 4: ...". valgrind does
 * not list descriptors 0, 1 and 2. */
static const char *first_open_descriptor(const char *log, pid_t first_process)
{
    for (const char *line = log; *line != '\0'; line = line_after(line)) {
        const char *text = text_of(line), *open = text != NULL ? text - 1 : "";
        bool of_child = text != NULL && atoi(line + 2) != first_process;
        if (strncmp(open, " Open ", 6) == 0 && !was_killed(log, line) &&
            !(of_child && only_forks(log, line)) && !is_pipe_of_child(open, of_child))
            return open;
    }
    return NULL;
}

/* Stops the server and returns valgrind's log of it and its children. */
static const char *log_of(struct server *s, struct ending *e)
{
    *e = stop_server(s, SIGTERM);
    if (!under_valgrind(s))
        return "";
    const char *log = valgrind_log_of(s);
    if (!has_summary(log, s->pid_in_log))
        fail_check(s, "the server exits, and valgrind reports on it", "%s%s", describe_ending(s),
                   e->by_signal ? ""
                                : ", without a report: it did not run under valgrind to its end "
                                  "(exec?)");
    return log;
}

void expect_clean_memory(struct server *s)
{
    struct ending e;
    const char *log = log_of(s, &e);
    long lost = sum(log, "definitely lost: ") + sum(log, "indirectly lost: ");
    if (lost > 0) {
        show_block(log, "are definitely lost in");
        note_failure(LEAKED);
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
    const char *descriptor = first_open_descriptor(log, s->pid_in_log);
    if (descriptor != NULL) {
        show_block(log, " Open ");
        note_failure(LEAKED);
        fail_check(s, "every descriptor closed when the server ends", "one left open: %.*s",
                   (int)strcspn(descriptor + 1, "\n"), descriptor + 1);
    }
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0", "%s", describe_ending(s));
}

/* Does this line begin one of helgrind's reports? "Thread #2 was created" does not. */
static bool is_headline(const char *text)
{
    if (strncmp(text, "Possible data race", 18) == 0)
        return true;
    if (strncmp(text, "Thread #", 8) != 0)
        return false;
    text += 8 + strspn(text + 8, "0123456789");
    return *text == ':' || strncmp(text, " unlocked", 9) == 0 || strncmp(text, "'s call", 7) == 0;
}

/* POSIX allows to signal a condition variable without holding the mutex. */
static bool is_forgiven(const char *text)
{
    const char *dubious = strstr(text, "dubious: associated lock is not held by any thread");
    return dubious != NULL && dubious < line_after(text);
}

void expect_no_data_race(struct server *s)
{
    struct ending e;
    const char *log = log_of(s, &e), *first = NULL;
    int reports = 0, forgiven = 0;
    for (const char *line = log; *line != '\0'; line = line_after(line)) {
        const char *text = text_of(line);
        if (text == NULL || !is_headline(text))
            continue;
        reports++;
        if (is_forgiven(text))
            forgiven++;
        else if (first == NULL)
            first = line;
    }
    long errors = sum(log, "ERROR SUMMARY: ");
    if (errors == 0 || (reports > 0 && reports == forgiven))
        return;
    if (first != NULL)
        show_block_from(first);
    if (first != NULL && strncmp(text_of(first), "Possible", 8) == 0)
        show_block(first, "This conflicts with");
    fail_check(s, "no error under helgrind: shared data is accessed under a lock", "%ld %s", errors,
               errors == 1 ? "error" : "errors");
}
