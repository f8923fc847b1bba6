#include "core/report.h"
#include "core/timeline.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report *report;
void (*evidence_hook)(struct server *s);
void (*passed_hook)(void);

enum { MAX_EXCUSES = 2 };
static void (*excuses[MAX_EXCUSES])(void);
static int excuse_count;

/* Where the nth line of a text begins, or the end of the text. */
static char *nth_line(char *text, int n)
{
    for (char *newline; n > 0 && (newline = strchr(text, '\n')) != NULL; n--)
        text = newline + 1;
    return n > 0 ? text + strlen(text) : text;
}

/* Appends a line. When the text is full, lines from its middle are dropped: the first ones give the
 * context, the last ones show what led to the failure. */
static void add_line(char *text, size_t size, const char *format, va_list arguments)
{
    static const char gap[] = "...\n";
    enum { FIRST_LINES = 4 };
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    size_t more = strlen(line) + 1;
    while (strlen(text) + more + sizeof gap > size) {
        char *from = nth_line(text, FIRST_LINES), *to = nth_line(text, FIRST_LINES + 8);
        if (strncmp(from, gap, sizeof gap - 1) == 0)
            from += sizeof gap - 1;
        else
            from = stpcpy(from, gap); /* shorter than the lines it replaces */
        memmove(from, to, strlen(to) + 1);
    }
    sprintf(text + strlen(text), "%s\n", line);
}

/* If the last line of `asked` is this one, with or without a count, increments the count. */
static bool count_repeated_line(const char *line)
{
    size_t size = strlen(report->asked), length = strlen(line);
    char *before = size == 0 ? NULL : memrchr(report->asked, '\n', size - 1);
    char *last = before == NULL ? report->asked : before + 1;
    int times = 1, end = 0;
    if (strncmp(last, line, length) != 0)
        return false;
    if (last[length] != '\n' &&
        (sscanf(last + length, " (repeated %d times)%n", &times, &end) != 1 ||
         last[length + end] != '\n'))
        return false;
    if (size + sizeof " (repeated 2147483647 times)\n" > sizeof report->asked)
        return false;
    sprintf(last + length, " (repeated %d times)\n", times + 1);
    return true;
}

void asked(const char *what, ...)
{
    va_list arguments, again;
    char line[1024];
    va_start(arguments, what);
    va_copy(again, arguments);
    vsnprintf(line, sizeof line, what, again);
    va_end(again);
    if (!count_repeated_line(line))
        add_line(report->asked, sizeof report->asked, what, arguments);
    va_end(arguments);
}

struct asked_text save_asked(void)
{
    struct asked_text saved;
    strcpy(saved.text, report->asked);
    return saved;
}

void restore_asked(const struct asked_text *saved)
{
    strcpy(report->asked, saved->text);
}

void clear_asked(void)
{
    *report->asked = '\0';
}

void evidence(const char *line, ...)
{
    va_list arguments;
    va_start(arguments, line);
    add_line(report->evidence, sizeof report->evidence, line, arguments);
    va_end(arguments);
}

void add_excuse(void (*excuse)(void))
{
    if (excuse_count == MAX_EXCUSES)
        abort();
    excuses[excuse_count++] = excuse;
}

void fail_check(struct server *s, const char *expected, const char *received, ...)
{
    va_list arguments;
    end_timeline();
    for (int i = 0; i < excuse_count; i++)
        excuses[i]();
    va_start(arguments, received);
    vsnprintf(report->received, sizeof report->received, received, arguments);
    va_end(arguments);
    snprintf(report->expected, sizeof report->expected, "%s", expected);
    if (s != NULL && evidence_hook != NULL)
        evidence_hook(s);
    report->status = FAILED;
    ck_abort_msg("failed");
    abort(); /* not reached: ck_abort_msg ends the process */
}

void grader_error(const char *what, ...)
{
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(report->received, sizeof report->received, what, arguments);
    va_end(arguments);
    report->status = ERROR;
    ck_abort_msg("error");
    abort();
}

void machine_too_slow(const char *what, ...)
{
    char reason[sizeof report->received / 2];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(reason, sizeof reason, what, arguments);
    va_end(arguments);
    report->was_too_slow = true;
    grader_error("this machine is too slow: %s", reason);
}
