/*
 * The program that grades one server: it runs the checks of one lab and writes what they reported
 * as one JSON file. Exit status: 0 graded, 2 invalid arguments, 3 the machine or the grader failed.
 */
#include "core/check_registry.h"
#include "core/report.h"
#include "core/runner.h"
#include "core/sandbox.h"
#include "core/supervisor.h"
#include "drive/interception.h"
#include "drive/server_exec.h"
#include "explain/evidence.h"

#include <getopt.h>
#include <stdio.h>

static const char *lab = "lab", *json_file, *sandbox_arguments;
static bool show_progress, all_checks = true;
static int brief_which, brief_of; /* 0: not only brief checks */

static bool select_named_check(const char *name)
{
    all_checks = false;
    if (select_check(name))
        return true;
    fprintf(stderr, "grade: %s has no check '%s'. Its checks:", lab, name);
    for (int i = 0; i < count_checks(); i++)
        fprintf(stderr, " %s", check_at(i)->name);
    fprintf(stderr, "\n");
    return false;
}

/* "2/3", or NULL for all */
static bool select_brief(const char *part)
{
    brief_which = brief_of = 1;
    if (part == NULL || (sscanf(part, "%d/%d", &brief_which, &brief_of) == 2 && brief_which > 0 &&
                         brief_which <= brief_of))
        return true;
    fprintf(stderr, "grade: --brief=%s is not a part such as 2/3\n", part);
    return false;
}

static bool parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"lab", required_argument, NULL, 'l'},
        {"server", required_argument, NULL, 's'},
        {"faults", required_argument, NULL, 'f'},
        {"json", required_argument, NULL, 'j'},
        {"check", required_argument, NULL, 'c'},
        {"brief", optional_argument, NULL, 'b'},
        {"progress", no_argument, NULL, 'p'},
        {"without-valgrind", no_argument, NULL, 'w'},
        {"sandbox", required_argument, NULL, 'r'}, /* see core/sandbox.h */
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'l')
            lab = optarg;
        else if (option == 's')
            server_program = optarg;
        else if (option == 'f')
            faults_library = optarg;
        else if (option == 'j')
            json_file = optarg;
        else if (option == 'r')
            sandbox_arguments = optarg;
        else if (option == 'p')
            show_progress = true;
        else if (option == 'w')
            without_valgrind = true;
        else if (option == 'b' ? !select_brief(optarg)
                               : option != 'c' || !select_named_check(optarg))
            return false;
    }
    if (server_program != NULL && faults_library != NULL && json_file != NULL && optind == argc)
        return true;
    fprintf(stderr,
            "usage: %s --lab NAME --server PROGRAM --faults LIBRARY --json FILE\n"
            "       [--check NAME]... [--brief[=K/N]] [--progress] [--without-valgrind] [--sandbox "
            "FILE]\n",
            argv[0]);
    return false;
}

static int grade(void)
{
    return run_checks(lab, json_file, show_progress);
}

int main(int argc, char **argv)
{
    static const char *visible_files[8];
    evidence_hook = add_thread_evidence;
    passed_hook = expect_calls_intercepted;
    if (!parse_options(argc, argv))
        return 2;
    if (brief_of > 0)
        select_brief_checks(brief_which, brief_of);
    else if (all_checks)
        select_all_checks();
    if (!checks_are_valid())
        return 3;
    find_companions(faults_library);
    visible_files[0] = server_program;
    visible_files[1] = faults_library;
    visible_files[2] = pipe_order_library;
    visible_files[3] = helgrind_suppressions;
    visible_files[4] = call_recorder_library;
    visible_files[5] = crash_recorder_library;
    find_sanitized_program();
    visible_files[6] = sanitized_program;
    if (sandbox_arguments != NULL)
        use_sandbox(sandbox_arguments, visible_files);
    raise_descriptor_limit();
    return run_supervised(grade);
}
