/* Which processes a server signals when it stops. */
#include "checks/common.h"

#include <string.h>

void expect_own_children_signalled(struct server *s, struct ending e)
{
    static const char expected[] = "no signal to any process but the server's own children";
    if (strstr(e.err, "kill(-1, ") != NULL)
        fail_check(s, expected, "kill(-1, ...), a signal to all processes of this user");
    if (strstr(e.err, "signals the group that the server was started in") != NULL) {
        set_hint("Which pid does kill() get? 0 stands for a whole process group, which also holds "
                 "whatever started the server.",
                 NULL);
        fail_check(s, expected,
                   "kill(0, ...), a signal to the whole process group that the server was started "
                   "in: to its shell's script, or to make, as well");
    }
    const char *line = strstr(e.err, "FAULTS: kill(");
    if (line != NULL && strstr(line, ", but waitpid() has already returned") != NULL)
        fail_check(s, expected, "%.*s: this number may belong to a different process now",
                   (int)strcspn(line + 8, "\n"), line + 8);
}
