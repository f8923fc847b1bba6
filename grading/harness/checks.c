/*
 * The program that grades one server: it runs the checks of one lab in their order, each in a
 * process of its own (libcheck), and writes what they found as one JSON file.
 *
 *   LAB-test --lab NAME --server PROGRAM --faults LIBRARY --json FILE
 *            [--check NAME]... [--progress] [--without-valgrind] [--room FILE]
 *
 * Exit status: 0 graded, 2 wrong arguments, 3 the machine or the grader failed.
 */
#include "internal.h"

#include <check.h>
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    MOST_CHECKS = 64,
    /* Every wait has a deadline of its own, far below this: who gets here is the harness. */
    SECONDS_PER_CHECK = 300,
};

static struct {
    struct check *check;
    bool selected;
    enum status status;
} checks[MOST_CHECKS];
static int check_count;
static const struct check *running;

struct report *report;

/* What the check does not say itself, from one of the tables. */
static void take_texts(struct check *own, const struct check *table)
{
    for (const struct check *e = table; e->name != NULL; e++) {
        if (strcmp(e->name, own->name) != 0)
            continue;
        own->hint = own->hint != NULL ? own->hint : e->hint;
        own->needs = own->needs != NULL ? own->needs : e->needs;
        own->by_hand = own->by_hand != NULL ? own->by_hand : e->by_hand;
        own->only_when_asked |= e->only_when_asked;
    }
}

void register_check(const struct check *check)
{
    struct check *own = malloc(sizeof *own);
    if (own == NULL || check_count == MOST_CHECKS)
        abort();
    *own = *check;
    if (searches) /* said before, at the top of its test.c */
        take_texts(own, searching_labs);
    take_texts(own, every_lab);
    checks[check_count++].check = own;
}

static int check_number(const char *name, size_t size)
{
    for (int i = 0; i < check_count; i++)
        if (strlen(checks[i].check->name) == size &&
            strncmp(checks[i].check->name, name, size) == 0)
            return i;
    return -1;
}

/* The next of the checks that a check needs, and moves on; -1 after the last, -2 for a wrong name.
 */
static int next_needed(const char **needs)
{
    if (*needs == NULL || **needs == '\0')
        return -1;
    size_t size = strcspn(*needs, " ");
    int number = check_number(*needs, size);
    *needs += size + strspn(*needs + size, " ");
    return number == -1 ? -2 : number;
}

/* ---- within a check ---------------------------------------------------------------------- */

/* Where the nth line of a text begins, or its end. */
static char *nth_line(char *text, int n)
{
    for (char *newline; n > 0 && (newline = strchr(text, '\n')) != NULL; n--)
        text = newline + 1;
    return n > 0 ? text + strlen(text) : text;
}

/* Appends a line. When the text is full its middle goes: the first lines say what it is about, the
 * last what happened at the end. */
static void add_line(char *text, size_t size, const char *format, va_list arguments)
{
    static const char gap[] = "...\n";
    enum { KEPT = 4 };
    char line[1024];
    vsnprintf(line, sizeof line, format, arguments);
    size_t more = strlen(line) + 1;
    while (strlen(text) + more + sizeof gap > size) {
        char *from = nth_line(text, KEPT), *to = nth_line(text, KEPT + 8);
        if (strncmp(from, gap, sizeof gap - 1) == 0)
            from += sizeof gap - 1;
        else
            from = stpcpy(from, gap); /* shorter than the lines that it stands for */
        memmove(from, to, strlen(to) + 1);
    }
    sprintf(text + strlen(text), "%s\n", line);
}

/* If the last line of `asked` is this one, or stands for several of it, makes it one more. */
static bool one_more(const char *line)
{
    size_t size = strlen(report->asked), length = strlen(line);
    char *before = size == 0 ? NULL : memrchr(report->asked, '\n', size - 1);
    char *last = before == NULL ? report->asked : before + 1;
    int times = 1, end = 0;
    if (strncmp(last, line, length) != 0)
        return false;
    if (last[length] != '\n' &&
        (sscanf(last + length, " (%d times)%n", &times, &end) != 1 || last[length + end] != '\n'))
        return false;
    if (size + sizeof " (2147483647 times)\n" > sizeof report->asked)
        return false;
    sprintf(last + length, " (%d times)\n", times + 1);
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
    if (!one_more(line))
        add_line(report->asked, sizeof report->asked, what, arguments);
    va_end(arguments);
}

void set_hint(const char *hint, const char *by_hand)
{
    report->hint = hint;
    report->by_hand = by_hand;
}

void evidence(const char *line, ...)
{
    va_list arguments;
    va_start(arguments, line);
    add_line(report->evidence, sizeof report->evidence, line, arguments);
    va_end(arguments);
}

void fail_check(struct server *s, const char *expected, const char *received, ...)
{
    va_list arguments;
    va_start(arguments, received);
    vsnprintf(report->received, sizeof report->received, received, arguments);
    va_end(arguments);
    snprintf(report->expected, sizeof report->expected, "%s", expected);
    if (s != NULL)
        gather_evidence(s);
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

START_TEST(run_body)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    running->body();
    report->status = PASSED;
}
END_TEST

/* ---- around a check ---------------------------------------------------------------------- */

/* The word is the body's, through shared memory. A body that came to no word crashed, hung or was
 * killed: that is the grader's fault, whatever libcheck calls it. */
static enum status run(const struct check *check)
{
    memset(report, 0, sizeof *report);
    running = check;
    Suite *suite = suite_create(check->name);
    TCase *tcase = tcase_create(check->name);
    tcase_set_timeout(tcase, SECONDS_PER_CHECK);
    tcase_add_test(tcase, run_body);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_set_fork_status(runner, CK_FORK);
    srunner_run_all(runner, CK_SILENT);
    if (report->status == UNFINISHED) {
        TestResult **results = srunner_results(runner);
        snprintf(report->received, sizeof report->received, "the check itself ended early: %s",
                 results != NULL ? tr_msg(results[0]) : "no result");
        free(results);
        report->status = ERROR;
    }
    srunner_free(runner);
    kill_descendants(); /* what the server's children left behind */
    return report->status;
}

static json_t *lines(const char *text)
{
    json_t *array = json_array();
    for (const char *end; (end = strchr(text, '\n')) != NULL; text = end + 1)
        json_array_append_new(array, json_stringn(text, (size_t)(end - text)));
    return array;
}

static json_t *text_or_null(const char *text)
{
    return text == NULL || *text == '\0' ? json_null() : json_string(text);
}

static json_t *as_json(const struct check *check, enum status status, const char *because,
                       double seconds)
{
    static const char *const words[] = {"skipped", "passed", "failed", "error"};
    json_t *all = json_pack("{ss ss si}", "name", check->name, "title", check->title, "points",
                            check->points);
    json_object_set_new(all, "score",
                        status == ERROR ? json_null()
                                        : json_integer(status == PASSED ? check->points : 0));
    json_object_set_new(all, "status", json_string(words[status]));
    if (status == UNFINISHED) { /* not run: nothing was asked */
        json_object_set_new(all, "needs", json_string(because));
        return all;
    }
    json_object_set_new(all, "asked", lines(report->asked));
    json_object_set_new(all, "expected", text_or_null(report->expected));
    json_object_set_new(all, "received", text_or_null(report->received));
    json_object_set_new(all, "evidence", lines(report->evidence));
    bool own = report->hint != NULL;
    json_object_set_new(all, "hint", text_or_null(own ? report->hint : check->hint));
    json_object_set_new(all, "by_hand", text_or_null(own ? report->by_hand : check->by_hand));
    json_object_set_new(all, "seconds", json_real((double)(long)(seconds * 1000) / 1000));
    return all;
}

/* Whole or not at all: written beside its place, then renamed. */
static bool write_json(json_t *all, const char *file)
{
    char beside[4096];
    if (snprintf(beside, sizeof beside, "%s.new", file) >= (int)sizeof beside)
        return false;
    return json_dump_file(all, beside, JSON_INDENT(1)) == 0 && rename(beside, file) == 0;
}

static const char *lab = "lab", *json_file;
static bool progress;

static int grade(void)
{
    signal(SIGINT, SIG_IGN); /* the keeper's business, and it uses SIGKILL */
    json_t *results = json_array();
    const char *fault = machine_problem();
    int score = 0, max = 0, selected = 0, done = 0;
    bool any_error = fault != NULL;
    for (int i = 0; i < check_count; i++)
        selected += checks[i].selected;
    for (int i = 0; i < check_count && fault == NULL; i++) {
        const struct check *check = checks[i].check;
        if (!checks[i].selected)
            continue;
        done++;
        if (progress)
            fprintf(stderr, "\r\033[K%s  %d of %d  %s ", lab, done, selected, check->name);
        double start = now();
        const char *needs = check->needs, *because = NULL;
        for (int needed; because == NULL && (needed = next_needed(&needs)) >= 0;)
            if (checks[needed].status != PASSED)
                because = checks[needed].check->name;
        checks[i].status = because != NULL ? UNFINISHED : run(check);
        json_array_append_new(results, as_json(check, checks[i].status, because, now() - start));
        max += check->points;
        score += checks[i].status == PASSED ? check->points : 0;
        any_error |= checks[i].status == ERROR;
    }
    if (progress)
        fprintf(stderr, "\r\033[K");
    json_t *all = json_pack("{ss so si ss}", "lab", lab, "score",
                            any_error ? json_null() : json_integer(score), "max",
                            fault == NULL ? max : 100, "verdict", any_error ? "error" : "graded");
    if (fault != NULL)
        json_object_set_new(all, "fault", json_string(fault));
    json_object_set_new(all, "checks", results);
    if (!write_json(all, json_file)) {
        fprintf(stderr, "grade: cannot write %s: %s\n", json_file, strerror(errno));
        return 3;
    }
    json_decref(all);
    return any_error ? 3 : 0;
}

/* ---- the command line -------------------------------------------------------------------- */

/* Selects a check and all that it needs, directly or not. */
static bool select_check(const char *name)
{
    int number = check_number(name, strlen(name));
    if (number == -1) {
        fprintf(stderr, "grade: %s has no check '%s'. It has:", lab, name);
        for (int i = 0; i < check_count; i++)
            fprintf(stderr, " %s", checks[i].check->name);
        fprintf(stderr, "\n");
        return false;
    }
    checks[number].selected = true;
    const char *needs = checks[number].check->needs;
    for (int needed; (needed = next_needed(&needs)) >= 0;)
        select_check(checks[needed].check->name);
    return true;
}

/* A check may need only an earlier one, and its texts must be there: else the lab is wrong. */
static bool lab_is_sound(void)
{
    for (int i = 0; i < check_count; i++) {
        const struct check *check = checks[i].check;
        const char *needs = check->needs;
        bool sound = check->title != NULL && check->hint != NULL && check->by_hand != NULL;
        for (int needed; (needed = next_needed(&needs)) != -1;)
            sound &= needed >= 0 && needed < i;
        if (!sound) {
            fprintf(stderr, "grade: check %s lacks a text, or needs one that is not before it\n",
                    check->name);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"lab", required_argument, NULL, 'l'},
        {"server", required_argument, NULL, 's'},
        {"faults", required_argument, NULL, 'f'},
        {"json", required_argument, NULL, 'j'},
        {"check", required_argument, NULL, 'c'},
        {"progress", no_argument, NULL, 'p'},
        {"without-valgrind", no_argument, NULL, 'w'},
        {"room", required_argument, NULL, 'r'}, /* bwrap's arguments, each ends with a NUL */
        {NULL, 0, NULL, 0},
    };
    bool all = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'l':
            lab = optarg;
            break;
        case 's':
            server_program = optarg;
            break;
        case 'f':
            faults_library = optarg;
            break;
        case 'j':
            json_file = optarg;
            break;
        case 'r':
            sandbox_arguments = optarg;
            break;
        case 'p':
            progress = true;
            break;
        case 'w':
            without_valgrind = true;
            break;
        case 'c':
            all = false;
            if (!select_check(optarg))
                return 2;
            break;
        default:
            return 2;
        }
    }
    if (server_program == NULL || faults_library == NULL || json_file == NULL || optind != argc) {
        fprintf(stderr,
                "usage: %s --lab NAME --server PROGRAM --faults LIBRARY --json FILE "
                "[--check NAME]... [--progress] [--without-valgrind] [--room FILE]\n",
                argv[0]);
        return 2;
    }
    for (int i = 0; all && i < check_count; i++)
        checks[i].selected = !checks[i].check->only_when_asked;
    if (!lab_is_sound())
        return 3;
    /* libcheck listens to its environment; a grade must not. */
    static const char *const meddlers[] = {
        "CK_FORK",          "CK_DEFAULT_TIMEOUT",   "CK_TIMEOUT_MULTIPLIER", "CK_RUN_SUITE",
        "CK_RUN_CASE",      "CK_INCLUDE_TAGS",      "CK_EXCLUDE_TAGS",       "CK_VERBOSITY",
        "CK_LOG_FILE_NAME", "CK_TAP_LOG_FILE_NAME", "CK_XML_LOG_FILE_NAME"};
    for (size_t i = 0; i < sizeof meddlers / sizeof *meddlers; i++)
        unsetenv(meddlers[i]);
    /* A thousand clients are a thousand descriptors here; the server gets back what was given. */
    getrlimit(RLIMIT_NOFILE, &descriptors_given);
    setrlimit(RLIMIT_NOFILE,
              &(struct rlimit){descriptors_given.rlim_max, descriptors_given.rlim_max});
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (report == MAP_FAILED) {
        perror("grade: mmap");
        return 3;
    }
    return run_supervised(grade);
}
