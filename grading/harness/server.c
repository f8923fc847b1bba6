/* The server under test: how it is started, watched, frozen and ended. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const char *server_program, *faults_library;
bool without_valgrind;
struct rlimit descriptors_given;

enum {
    KEPT = 64 * 1024,        /* of each output */
    MOST_OUTPUT = 64 * KEPT, /* who prints more than this prints without end */
    MOST_ARGUMENTS = 24,
};

/* One of its two outputs. Keeps the first KEPT bytes of standard output, the last of the other. */
struct output {
    struct source source; /* first: see read_output */
    struct server *server;
    bool keep_last;
    char text[KEPT + 1];
    size_t size, total;
};

struct server {
    pid_t pid;
    int port;
    struct server_options how;
    struct output out, err;
    size_t listening_line; /* its length */
    bool frozen;
    bool has_ended;
    int status;
    struct server *next;
};

static struct server *servers;

struct server *server_after(struct server *s)
{
    return s == NULL ? servers : s->next;
}

int port_of(const struct server *s)
{
    return s->port;
}

pid_t pid_of(const struct server *s)
{
    return s->pid;
}

bool under_valgrind(const struct server *s)
{
    return s->how.under != PLAIN;
}

const char *standard_error_of(struct server *s)
{
    return s->err.text;
}

/* ---- output ------------------------------------------------------------------------------ */

/* Reads what there is; true while more may come. */
static bool read_some(struct output *o)
{
    char piece[4096];
    ssize_t n = read(o->source.fd, piece, sizeof piece);
    if (n == -1)
        return errno == EINTR;
    if (n == 0) {
        unwatch(&o->source);
        return false;
    }
    size_t size = (size_t)n;
    o->total += size;
    if (o->keep_last && o->size + size > KEPT) {
        size_t excess = o->size + size - KEPT;
        memmove(o->text, o->text + excess, o->size - excess);
        o->size -= excess;
    }
    if (size > KEPT - o->size)
        size = KEPT - o->size;
    memcpy(o->text + o->size, piece, size);
    o->size += size;
    o->text[o->size] = '\0';
    if (o->total > MOST_OUTPUT)
        fail_check(o->server, "a server that says little: \"listening on\", and a line at its end",
                   "more than %d bytes on standard %s, which begin or end with %s", MOST_OUTPUT,
                   o->keep_last ? "error" : "output", quoted(o->text, o->size, 0));
    return true;
}

static void read_output(struct source *source, uint32_t events)
{
    (void)events;
    read_some((struct output *)source);
}

static void open_output(struct server *s, struct output *o, int fd, bool keep_last)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    o->server = s;
    o->keep_last = keep_last;
    o->source.fd = fd;
    o->source.ready = read_output;
    watch(&o->source, EPOLLIN);
}

/* ---- the end ----------------------------------------------------------------------------- */

bool has_ended(struct server *s)
{
    if (!s->has_ended && waitpid(s->pid, &s->status, WNOHANG) == s->pid) {
        s->has_ended = true;
        while (s->out.source.events != 0 && read_some(&s->out))
            ;
        while (s->err.source.events != 0 && read_some(&s->err))
            ;
    }
    return s->has_ended;
}

const char *describe_ending(struct server *s)
{
    static char text[64];
    if (WIFSIGNALED(s->status))
        snprintf(text, sizeof text, "killed by SIG%s", sigabbrev_np(WTERMSIG(s->status)));
    else
        snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(s->status));
    return text;
}

static struct ending wait_for_end(struct server *s, const char *expected)
{
    struct wait p = begin_wait(s);
    while (!has_ended(s))
        if (!continue_wait(&p) && !has_ended(s))
            fail_check(s, expected, "it goes on: %s", p.why);
    return (struct ending){.by_signal = WIFSIGNALED(s->status),
                           .code = WIFSIGNALED(s->status) ? WTERMSIG(s->status)
                                                          : WEXITSTATUS(s->status),
                           .out = s->out.text + s->listening_line,
                           .err = s->err.text};
}

struct ending ended(struct server *s)
{
    return wait_for_end(s, "the server ends by itself");
}

bool exited_by_fault(struct server *s, struct ending *e)
{
    struct wait p = begin_wait(s);
    while (!has_ended(s))
        if (!continue_wait(&p) && strstr(s->err.text, "FAULTS: SIGTERM") == NULL)
            return false;
        else if (p.over)
            break;
    *e = wait_for_end(s, "the server ends after SIGTERM, also when it comes at the worst moment");
    return true;
}

struct ending stop_server(struct server *s, int sig)
{
    char expected[64];
    snprintf(expected, sizeof expected, "the server ends after SIG%s", sigabbrev_np(sig));
    asked("the server gets SIG%s", sigabbrev_np(sig));
    kill(s->pid, sig);
    if (s->frozen)
        thaw(s);
    return wait_for_end(s, expected);
}

/* ---- the beginning ----------------------------------------------------------------------- */

static const char *const plain_arguments[] = {"0", NULL};

/* Becomes the server. Nothing of the harness is left to it but its two outputs. */
static _Noreturn void become_server(const struct server_options *how, pid_t parent, int out,
                                    int err)
{
    const char *argv[MOST_ARGUMENTS] = {0};
    int n = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (sandbox_arguments == NULL && getppid() != parent) /* a room ends with its maker anyway */
        _exit(127);
    setpgid(0, 0); /* a server that signals its group shall not hit the grader */
    int nothing = open("/dev/null", O_RDONLY);
    if (dup2(nothing, 0) == -1 || dup2(out, 1) == -1 || dup2(err, 2) == -1)
        _exit(127);
    close_range(3, ~0U, 0);
    struct rlimit limit = descriptors_given;
    if (how->descriptors == MAX_DESCRIPTORS || how->taken > 0)
        limit.rlim_cur = limit.rlim_max;
    else if (how->descriptors > 0)
        limit.rlim_cur = limit.rlim_max = (rlim_t)how->descriptors;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
        _exit(127);
    for (int fd = 3; fd < how->taken; fd++)
        if (dup2(0, fd) == -1)
            _exit(127);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    signal(SIGPIPE, SIG_DFL);
    unsetenv("LD_PRELOAD");
    unsetenv("FAULTS");
    unsetenv("VALGRIND_OPTS");
    /* Also without faults: it guards kill(-1, ...). helgrind would find fault with it. */
    if (how->faults != NULL || how->under != HELGRIND)
        setenv("LD_PRELOAD", faults_library, 1);
    if (how->faults != NULL)
        setenv("FAULTS", how->faults, 1);
    if (how->under == MEMCHECK) {
        argv[n++] = "valgrind";
        argv[n++] = "--log-fd=2";
        argv[n++] = "--vgdb=no"; /* it would leave its pipes in /tmp when it is killed */
        argv[n++] = "--leak-check=full";
        /* Not what is "possibly" lost: a detached thread may be in its last moments. */
        argv[n++] = "--show-leak-kinds=definite,indirect";
        argv[n++] = "--errors-for-leak-kinds=definite,indirect";
        argv[n++] = "--track-fds=yes";
        argv[n++] = "--num-callers=6";
    }
    if (how->under == HELGRIND) {
        argv[n++] = "valgrind";
        argv[n++] = "--tool=helgrind";
        argv[n++] = "--vgdb=no";
        argv[n++] = "--log-fd=2";
        argv[n++] = "--num-callers=6";
    }
    argv[n++] = server_program;
    for (const char *const *a = how->argv; *a != NULL && n < MOST_ARGUMENTS - 1; a++)
        argv[n++] = *a;
    execvp(argv[0], (char *const *)argv);
    dprintf(2, "harness: cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Did exec itself fail, or valgrind before the server's first instruction? Not the server's
 * fault. */
static void blame_machine_if_due(struct server *s)
{
    const char *fatal = strstr(s->err.text, "harness: cannot run");
    if (fatal == NULL && under_valgrind(s))
        fatal = strstr(s->err.text, "valgrind: ");
    if (fatal != NULL)
        grader_error("%.*s", (int)strcspn(fatal, "\n"), fatal);
}

static void wait_until_it_listens(struct server *s)
{
    static const char expected[] = "the line \"listening on 127.0.0.1:PORT\" on standard output";
    struct wait p = begin_wait(s);
    const char *newline;
    int length = 0;
    while ((newline = strchr(s->out.text, '\n')) == NULL && s->out.size < KEPT)
        if (!continue_wait(&p) && strchr(s->out.text, '\n') == NULL) {
            if (has_ended(s))
                blame_machine_if_due(s);
            if (s->out.size == 0)
                fail_check(s, expected, "nothing: %s", p.why);
            fail_check(s, expected, "%s, then nothing: %s", quoted(s->out.text, s->out.size, 0),
                       p.why);
        }
    size_t size = newline != NULL ? (size_t)(newline - s->out.text) + 1 : s->out.size;
    sscanf(s->out.text, "listening on 127.0.0.1:%5d%n", &s->port, &length);
    if (length == 0 || (size_t)length + 1 != size || s->port <= 0)
        fail_check(s, expected, "%s", quoted(s->out.text, size, 0));
    s->listening_line = size;
    enum listening where = listening_at(s->port);
    char listener[80];
    snprintf(listener, sizeof listener, "a listener on 127.0.0.1, port %d, as it said", s->port);
    if (where == NOWHERE)
        fail_check(s, listener, "nobody listens there");
    if (where == ELSEWHERE)
        fail_check(s, listener, "one that other machines can reach as well (INADDR_ANY?)");
}

struct server *start_server_with(struct server_options how)
{
    int out[2], err[2];
    struct server *s = calloc(1, sizeof *s);
    if (s == NULL || pipe2(out, O_CLOEXEC) == -1 || pipe2(err, O_CLOEXEC) == -1)
        grader_error("cannot make pipes for the server: %s", strerror(errno));
    *report->asked = '\0'; /* what earlier servers of this check were asked went well */
    if (how.argv == NULL)
        how.argv = how.backends ? backend_arguments() : plain_arguments;
    if (without_valgrind)
        how.under = PLAIN;
    s->how = how;
    char line[300] = "./server";
    for (const char *const *a = how.argv; *a != NULL; a++)
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s", **a != '\0' ? *a : "''");
    restart_peer_names();
    asked("%s is started%s%s%s", line,
          how.under == MEMCHECK   ? " under memcheck"
          : how.under == HELGRIND ? " under helgrind"
                                  : "",
          how.faults != NULL ? " with faults injected: " : "",
          how.faults != NULL ? how.faults : "");
    if (how.descriptors > 0)
        asked("... with at most %d descriptors", how.descriptors);
    if (how.taken > 0)
        asked("... with all descriptors below %d taken", how.taken);
    pid_t parent = getpid();
    s->pid = sandbox_arguments != NULL ? fork_into_sandbox() : fork();
    if (s->pid == 0)
        become_server(&how, parent, out[1], err[1]);
    if (s->pid == -1)
        grader_error("fork: %s", strerror(errno));
    close(out[1]);
    close(err[1]);
    open_output(s, &s->out, out[0], false);
    open_output(s, &s->err, err[0], true);
    s->next = servers;
    servers = s;
    if (!how.may_fail_to_start)
        wait_until_it_listens(s);
    return s;
}

/* ---- freezing ---------------------------------------------------------------------------- */

void freeze(struct server *s)
{
    static struct task tasks[MAX_TASKS];
    struct wait p = begin_wait(s);
    asked("the server is stopped for a moment (SIGSTOP)");
    kill(s->pid, SIGSTOP);
    s->frozen = true;
    for (;;) {
        int n = read_tasks(s, tasks, MAX_TASKS), running = 0;
        for (int i = 0; i < n; i++)
            running += tasks[i].pid == s->pid && tasks[i].state != 'T';
        if (n > 0 && running == 0)
            return;
        if (!continue_wait(&p) && p.server != NULL && has_ended(s))
            fail_check(s, "a running server", "%s", p.why);
    }
}

void thaw(struct server *s)
{
    asked("the server goes on (SIGCONT)");
    kill(s->pid, SIGCONT);
    s->frozen = false;
}
