/* Reads FAULTS. A name that is mistyped, or that lacks its value, would be a fault that never
 * happens. */
#include "drive/faults.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The least value, for those that have one. If every call of a function failed with EINTR, or every
 * wait returned at once, no server could go on or even stop. */
static const struct {
    const char *name;
    int least;
} known[] = {{"short_send", 1},         {"short_recv", 1},          {"eintr", 2},
             {"eintr_close", 0},        {"sigchld_after_eintr", 0}, {"no_socket", 0},
             {"no_listen", 0},          {"fork_fails", 1},          {"thread_fails", 1},
             {"late_parent", 0},        {"late_kill", 0},           {"late_children", 1},
             {"imaginary_children", 1}, {"early_threads", 0},       {"late_ends", 0},
             {"late_threads", 1},       {"spurious_wakeup", 2},     {"term_before_accept", 1},
             {"term_after_accept", 1},  {"term_before_wait", 1},    {"late_after_stop", 1},
             {"pause_after_stop", 1},   {"close_after_stop", 1},    {"timeout_elapses", 0},
             {"strict_select", 0},      {"small_buffers", 0},       {"big_receive", 0},
             {"strict_close", 0},       {"late_drain", 1},          {"socket_fails", 1},
             {"accept_fails", 1},       {"term_after_recv", 1},     {"never_drained", 1}};
enum { KNOWN = sizeof known / sizeof *known };

static _Noreturn void refuse(const char *word, int size, int fault)
{
    if (fault == KNOWN)
        dprintf(2, "FAULTS: there is no fault '%.*s'.", size, word);
    else if (known[fault].least == 0)
        dprintf(2, "FAULTS: %s has no value, but there is '%.*s'.", known[fault].name, size, word);
    else
        dprintf(2, "FAULTS: '%.*s' needs a number, at least %s=%d.", size, word, known[fault].name,
                known[fault].least);
    dprintf(2, " The faults, separated by commas (N is a number):\n");
    for (int i = 0; i < KNOWN; i++)
        dprintf(2, "  %s%s\n", known[i].name, known[i].least > 0 ? "=N" : "");
    _exit(2);
}

static void check_word(const char *word, int size)
{
    size_t name = strcspn(word, "=,");
    int fault = 0;
    while (fault < KNOWN &&
           (strlen(known[fault].name) != name || strncmp(known[fault].name, word, name) != 0))
        fault++;
    if (fault == KNOWN)
        refuse(word, (int)name, fault);
    const char *value = word + name + 1;
    size_t digits = word[name] == '=' ? strspn(value, "0123456789") : 0;
    bool ok = known[fault].least == 0
                  ? word[name] != '='
                  : digits > 0 && digits < 10 && value + digits == word + size &&
                        atoi(value) >= known[fault].least;
    if (!ok)
        refuse(word, size, fault);
}

void refuse_unknown(const char *faults)
{
    for (const char *word = faults; word != NULL && *word != '\0';) {
        size_t size = strcspn(word, ",");
        check_word(word, (int)size);
        word += size + (word[size] == ',');
    }
}
