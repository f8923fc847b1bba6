#include "drive/thread_sanitizer.h"
#include "core/report.h"

#include <signal.h>
#include <string.h>

bool is_second_opinion_needed(struct server *s)
{
    if (sanitized_program == NULL || !under_valgrind(s))
        return false;
    stop_server(s, SIGTERM);
    return strstr(valgrind_log_of(s), "== Possible data race") != NULL;
}

void expect_no_race_found(struct server *s)
{
    enum { LINES = 12 };
    struct ending e = stop_server(s, SIGTERM);
    const char *line = strstr(e.err, "WARNING: ThreadSanitizer: ");
    if (line == NULL && !e.by_signal && e.code == 0)
        return;
    for (int i = 0; i < LINES && line != NULL && *line != '\0' && *line != '='; i++) {
        size_t size = strcspn(line, "\n");
        if (size > 0)
            evidence("ThreadSanitizer: %.*s", (int)size, line);
        line += size + (line[size] == '\n');
    }
    fail_check(s, "no data race: shared data is accessed under a lock, or is atomic", "%s",
               line != NULL ? "a data race, according to helgrind and to ThreadSanitizer"
                            : describe_ending(s));
}
