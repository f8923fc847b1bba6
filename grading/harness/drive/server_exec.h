/* How the server's process is set up: arguments, limits, faults, valgrind. */
#ifndef DRIVE_SERVER_EXEC_H
#define DRIVE_SERVER_EXEC_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

enum tool { PLAIN, MEMCHECK, HELGRIND, THREAD_SANITIZER };

struct server_options {
    char unused;             /* lets start_server() have no arguments */
    enum tool tool;          /* the tool that it runs under; PLAIN: none */
    const char *faults;      /* see faults.h: "short_send=7,short_recv=100,eintr=2" */
    const char *const *argv; /* arguments instead of "0"; ends with NULL */
    int descriptors;        /* RLIMIT_NOFILE, soft and hard; MAX_DESCRIPTORS: as many as possible */
    int first_free_fd;      /* /dev/null is open on all descriptors from 3 to below this one */
    bool may_fail_to_start; /* do not wait for "listening on" */
    bool backends;          /* labs 6 to 8: its arguments include the ports of the backends */
};

#define MAX_DESCRIPTORS (-1)

/* Set once, from the command line. */
extern const char *server_program; /* the path of the server under test */
extern const char *faults_library; /* the path of faults.so */
/* Beside it: */
extern const char *pipe_order_library, *helgrind_suppressions;
extern const char *call_recorder_library, *crash_recorder_library;
/* The same server built with ThreadSanitizer, or NULL: one without atomics does not need it. */
extern const char *sanitized_program;
extern bool without_valgrind; /* the server was built with sanitizers instead */

/* Finds the one that is built with ThreadSanitizer beside the server. */
void find_sanitized_program(void);

/* Finds the other files that servers need, beside faults.so. */
void find_companions(const char *library);

/* Raises this process's limit of descriptors, which a thousand clients need; servers get back the
 * one that was given. */
void raise_descriptor_limit(void);

/* In a child process: becomes the server, with these files as its outputs, and a descriptor that is
 * closed before its main: for crash_recorder.c, or for valgrind's log; -1: none. `parent` is the
 * process it must not outlive. If that fails, sets *error: memory that is shared with the parent.
 */
_Noreturn void exec_server(const struct server_options *options, pid_t parent, int out, int err,
                           int closed_before_main, int *error);

/* Does it run under valgrind, with a log? */
bool has_valgrind_log(const struct server_options *options);

#endif
