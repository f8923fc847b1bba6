/*
 * Lab 2, the specification: a correct server ... `make test` runs these checks in this order. The
 * shared checks are defined in ../grading/harness/checks.
 */
#include "checks/shared_checks.h"
#include "checks/steps.h"
#include "harness.h"
#include "observe/tasks.h"

#include <signal.h>

TASK_PER_CLIENT

SHARED_CHECK(usage, 2, "prints its usage, and rejects bad or taken ports")
SHARED_CHECK(
    echo_line, 6, "sends a line back to nc",
    .hint = "The child serves the client and exits; the parent closes its copy of the socket and "
            "accepts the next. Look at the call in which each process is blocked.")
SHARED_CHECK(pieces, 3, "echoes each piece at once, with or without a newline")
SHARED_CHECK(all_bytes, 3, "echoes every byte, including those with the value 0")
SHARED_CHECK(big_message, 4, "echoes 8 MiB, every byte in its place")
SHARED_CHECK(half_close, 5, "sends the rest after the client's half-close, then closes",
             .hint = "FIN is sent when the last descriptor of a socket is closed. After fork() the "
                     "child and the parent each hold one.")
SHARED_CHECK(silent_client, 6, "serves other clients while one never writes and one never reads")
SHARED_CHECK(crowd, 6, "serves 100 simultaneous clients without mixing up a byte")
SHARED_CHECK(client_vanishes, 5, "survives clients that reset or leave without reading")
SHARED_CHECK(no_leaked_descriptors, 4, "closes each client's descriptor in the parent as well",
             .hint = "When its client has left, everything that was opened for it must be closed "
                     "again. After fork() both processes hold the client's socket, and the parent "
                     "does not need it; a pipe has two ends.",
             .by_hand = "make run                    # and in a second terminal:\n"
                        "for i in 1 2 3; do echo hi | nc -w 1 127.0.0.1 9000; done\n"
                        "ls -l /proc/$(make pid)/fd")
SHARED_CHECK(interrupted_calls, 4, "restarts calls that a signal interrupted")
SHARED_CHECK(short_sends, 3, "sends the rest when send() took only a part")
SHARED_CHECK(idle_is_free, 3, "uses no CPU time while nothing happens")

CHECK(
    process_per_client, 6, "gives each client a process of its own", .needs = "silent_client",
    .hint = "Call fork() after accept(): the child serves the client, the parent accepts the next.",
    .by_hand = "make run                    # and in a second terminal:\n"
               "for i in 1 2 3; do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
               "s=$(make pid); ps -o pid,ppid,stat,wchan,cmd -p $s --ppid $s\n"
               "# the server, and a process for each of the three clients")
{
    struct server *s = start_server();
    wait_asleep(s);
    int processes = count_processes(s), threads = count_threads(s);
    struct peer *clients[3];
    pid_t serving[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
        serving[i] = process_serving(s, clients[i]);
        for (int j = 0; j < i; j++)
            if (serving[i] == serving[j])
                fail_check(s, "a process for each client", "one process that serves two clients");
        expect_processes(s, processes + i + 1, "one more for each connected client");
        expect_threads(s, threads + i + 1, "one in each process");
    }
}

CHECK(descriptors_closed, 5, "leaves each child only its own client's socket",
      .needs = "process_per_client no_leaked_descriptors",
      .hint = "A child inherits all open descriptors. It does not need the listening socket: close "
              "it there.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "sleep 5 | nc 127.0.0.1 9000 & sleep 1\n"
                 "ls -l /proc/$(pgrep -P $(make pid))/fd   # of the child: one socket")
{
    struct server *s = start_server();
    struct peer *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    for (int i = 0; i < 3; i++)
        expect_own_sockets_only(s, clients[i]);
}

CHECK(no_zombies, 6, "ends and reaps a child as soon as its client has left",
      .needs = "descriptors_closed",
      .hint = "A child that has exited remains a zombie until its parent waits for it. SIGCHLD "
              "announces it: reap the child then, not when the next client connects.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "for i in 1 2; do echo hello | nc -N -w 1 127.0.0.1 9000; done; sleep 1\n"
                 "s=$(make pid); ps -o pid,ppid,stat,cmd -p $s --ppid $s\n"
                 "# Z: a zombie; none may be there")
{
    struct server *s = start_server();
    wait_asleep(s);
    int processes = count_processes(s);
    struct peer *a = connect_to(s), *b = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    send_text(b, "hello\n");
    receive_text(b, "hello\n");
    wait_asleep(s); /* in accept: only SIGCHLD can wake it now */
    hang_up(a);
    expect_processes(s, processes + 1, "one client has left, one is connected");
    reset(b);
    expect_processes(s, processes, "both clients have left");
}

CHECK(burst, 5, "reaps 200 children that exit at the same time", .needs = "no_zombies",
      .hint = "Signals do not queue: one SIGCHLD may stand for several children. Call waitpid() "
              "with WNOHANG until it finds no more.",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "s=$(make pid); fds=\n"
                 "for i in $(seq 50); do      # 50 clients: each has been served by its child\n"
                 "    exec {fd}<>/dev/tcp/127.0.0.1/9000; echo >&$fd; read -u $fd; fds+=\" $fd\"\n"
                 "done\n"
                 "kill -STOP $s; for fd in $fds; do exec {fd}>&-; done\n"
                 "while ps -o stat= --ppid $s | grep -qv Z; do sleep 0.1; done\n"
                 "kill -CONT $s; sleep 1\n"
                 "ps -o stat,cmd --ppid $s    # all 50 exited at once: none is left")
{
    enum { CLIENTS = 200 };
    need_processes(CLIENTS, "one for each client");
    struct server *s = start_server();
    wait_asleep(s);
    int processes = count_processes(s);
    struct peer *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    for (int i = 0; i < CLIENTS; i++) {
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    freeze(s); /* all exit before the parent can wait for the first */
    for (int i = 0; i < CLIENTS; i++)
        hang_up(clients[i]);
    wait_children_ended(s);
    thaw(s);
    expect_processes(s, processes, "all 200 clients have left");
}

CHECK(crash_is_contained, 4, "keeps serving the other clients when one child is killed",
      .needs = "no_zombies",
      .hint = "The death of one child must end neither the parent nor another child.",
      .hint_if = {[EXITED] = OWN_HINT, [DISCONNECTED] = OWN_HINT},
      .by_hand = "make run                    # and in a second terminal:\n"
                 "s=$(make pid); sleep 60 | nc 127.0.0.1 9000 & sleep 1\n"
                 "kill -SEGV $(pgrep -P $s); sleep 1    # the child of that client\n"
                 "echo 'still there?' | nc -N -w 1 127.0.0.1 9000; kill %1")
{
    struct server *s = start_server();
    wait_asleep(s);
    int processes = count_processes(s);
    struct peer *a = connect_to(s), *b = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    send_text(b, "hello\n");
    receive_text(b, "hello\n");
    asked("the process that serves client A receives SIGSEGV");
    kill(process_serving(s, a), SIGSEGV);
    receive_eof_or_reset(a);
    expect_processes(s, processes + 1, "client A's has ended, client B's has not");
    wait_asleep(s); /* a server about to die of it must not serve the next client first */
    send_text(b, "still there?\n");
    receive_text(b, "still there?\n");
    struct peer *c = connect_to(s);
    send_text(c, "and for others?\n");
    receive_text(c, "and for others?\n");
}

/* Each child ends before fork() has returned in the parent. */
static void stop_after_late_parent(void)
{
    enum { CLIENTS = 3 };
    set_hint("A child may end before fork() has returned in the parent. Unless SIGCHLD is blocked "
             "until the pid is in the list, reap() does not find it there, and the parent then "
             "lists a process that no longer exists.",
             "make run FAULTS=late_parent    # and in a second terminal:\n"
             "for i in 1 2 3; do echo hello | nc -N 127.0.0.1 9000; done\n"
             "# then Ctrl-C in the first: no message about kill()");
    struct server *s = start_server(.faults = "late_parent");
    expect_service_at_once(s, CLIENTS);
    expect_own_children_signalled(s, stop_server(s, SIGTERM));
}

/* SIGTERM arrives in a child before fork() has returned there, and each child ends before the
 * parent signals the next. */
static void stop_with_late_children(void)
{
    enum { CLIENTS = 3 };
    set_hint("SIGTERM may arrive in a child before it has stored its client in `current`: the "
             "handler then shuts down nothing, and recv() waits for ever. And while the parent "
             "walks its list, reap() must not change it. When are signals blocked?",
             "make run FAULTS=late_children=2,late_kill    # and in a second terminal:\n"
             "for i in 1 2; do (sleep 60 | nc 127.0.0.1 9000 &); done\n"
             "# then Ctrl-C in the first");
    struct server *s = start_server(.faults = "late_children=3,late_kill");
    wait_asleep(s);
    int processes = count_processes(s);
    for (int i = 0; i < CLIENTS; i++) {
        connect_to(s);
        expect_processes(s, processes + i + 1, "one more for each client");
    }
    struct ending e = stop_server(s, SIGTERM);
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0 after SIGTERM", "%s", describe_ending(s));
}

/* The same, but only the child is signalled. */
static void signal_late_child(void)
{
    set_hint("A signal that arrives in a child just after fork() runs the parent's handler there, "
             "and `listener` still is the socket that the parent listens on: to shut it down ends "
             "the parent's service. Block signals until `listener` is -1 in the child.",
             "make run FAULTS=late_children=1    # and in a second terminal:\n"
             "sleep 60 | nc 127.0.0.1 9000 & sleep 1\n"
             "kill $(pgrep -P $(make pid)); sleep 1\n"
             "echo 'still there?' | nc -N 127.0.0.1 9000");
    pid_t pids[8], child = -1;
    struct server *s = start_server(.faults = "late_children=1");
    wait_asleep(s);
    int processes = count_processes(s);
    connect_to(s);
    expect_processes(s, processes + 1, "one more for the client");
    int n = read_processes(pid_of(s), pids, 8);
    for (int i = 0; i < n; i++)
        child = pids[i] > child && pids[i] != pid_of(s) ? pids[i] : child;
    asked("the process for client A receives SIGTERM before fork() returns in it");
    kill(child, SIGTERM);
    wait_asleep(s);
    struct peer *b = connect_to(s);
    send_text(b, "still there?\n");
    receive_text(b, "still there?\n");
}

CHECK(stop_ends_children, 5, "leaves no child behind when it stops", .needs = "no_zombies",
      .hint =
          "The check signals the parent only. The parent must signal each child, and wait for "
          "all of them before it exits. In a child, the signal interrupts recv() (EINTR), which is "
          "then called again, unless the handler shuts down the client: what is `current` "
          "there?",
      .by_hand = "make run                    # and in a second terminal:\n"
                 "s=$(make pid); sleep 60 | nc 127.0.0.1 9000 & sleep 1\n"
                 "child=$(pgrep -P $s); kill $s; sleep 1\n"
                 "ps -o pid,stat,cmd -p $s,$child; kill %1    # neither may be left")
{
    struct server *s = start_server();
    pid_t serving[3];
    bool orphan[3]; /* by a double fork: then the parent cannot wait for it */
    struct peer *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
        serving[i] = process_serving(s, clients[i]);
        orphan[i] = is_orphan(s, serving[i]);
    }
    struct ending e = stop_server(s, SIGTERM);
    expect_own_children_signalled(s, e);
    for (int i = 0; i < 3; i++)
        if (orphan[i] ? !orphan_exits(serving[i]) : kill(serving[i], 0) == 0)
            fail_check(s, "no child left when the parent has ended",
                       "the process that serves client %c is still there, or a zombie", 'A' + i);
    if (e.by_signal || e.code != 0)
        fail_check(s, "exit status 0 after SIGTERM", "%s", describe_ending(s));
    stop_after_late_parent();
    stop_with_late_children();
    signal_late_child();
}

SHARED_CHECK(stop, 8, "stops on SIGTERM or SIGINT with the counts of all its processes",
             .needs = "half_close client_vanishes stop_ends_children",
             .hint = "After the signal, the parent and every child must return from the call that "
                     "they are blocked in. A flag alone wakes nothing: the kernel may restart the "
                     "call (SA_RESTART).",
             .hint_if = {[WRONG_SUMMARY] =
                             "A child counts in its own memory, which is lost when it exits, and "
                             "an exit status holds 8 bits. Return the counts through a pipe, or "
                             "keep them in shared memory (mmap with MAP_SHARED), and print them "
                             "when all children have ended."},
             .by_hand = "make run                    # and in a second terminal:\n"
                        "for i in 1 2; do\n"
                        "    (echo hello; sleep 60) | nc 127.0.0.1 9000 >answer$i & done\n"
                        "until [ -s answer1 ] && [ -s answer2 ]; do sleep 0.1; done\n"
                        "rm answer1 answer2\n"
                        "# then Ctrl-C in the first terminal: served 2 connections, 12 bytes")

/* More children than a table holds. Neither they nor their clients are real: accept() returns a
 * socket and fork() a pid. */
static void create_too_many_children(void)
{
    set_hint("What happens to the next client when there are MAX_CHILDREN children already? A pid "
             "that is stored behind the end of the table overwrites something else.",
             "make run FAULTS=imaginary_children=12000    # in a second terminal:\n"
             "nc -N 127.0.0.1 9000 </dev/null             # one client is enough\n"
             "# then Ctrl-C in the first: served 12001 connections, 0 bytes");
    set_hint_if(EXITED, OWN_HINT);
    set_hint_if(CRASHED, OWN_HINT);
    struct server *s = start_server(.faults = "imaginary_children=12000");
    connect_to(s);
    asked("12000 more clients connect, and none of their children ends");
    wait_asleep(s);
    struct ending e = stop_server(s, SIGTERM);
    if (e.by_signal || e.code != 0)
        fail_check(s, "a server that survives more children than it can list", "%s",
                   describe_ending(s));
}

/* The fault is injected into the C library's functions: has it happened? */
static void expect_no_process_for(struct server *s, int processes)
{
    struct wait w = begin_wait(s);
    while (!all_asleep(s) && !is_spinning(&w) && continue_wait(&w))
        ;
    if (has_ended(s) || count_processes(s) <= processes)
        return;
    set_hint("Create processes by fork(): the fault is injected into the C library's functions, "
             "and not into syscall(). When fork() has failed, do not try again.",
             NULL);
    fail_check(s, "no process for client B: the fork() for it is to fail",
               "one more process, by a call into which no fault can be injected, or by a second "
               "attempt");
}

CHECK(fork_fails, 3, "loses only one client when fork() fails", .needs = "no_zombies stop",
      .hint = "fork() returned -1: there is no child, but the client's socket is open. Close it, "
              "and accept the next.",
      .hint_if = {[EXITED] = OWN_HINT},
      .by_hand = "make run FAULTS=fork_fails=1    # and in a second terminal:\n"
                 "for i in 1 2 3; do\n"
                 "    echo client $i | timeout 5 nc -N 127.0.0.1 9000; echo $?; done")
{
    struct server *s = start_server(.faults = "fork_fails=2");
    struct peer *a = connect_to(s);
    send_text(a, "hello\n");
    receive_text(a, "hello\n");
    wait_reading_from(s, a);
    int processes = count_processes(s);
    struct peer *b = connect_to(s);
    expect_no_process_for(s, processes);
    receive_eof_or_reset(b);
    set_hint("The next client must be served, and so must those that were connected: what was "
             "changed before fork(), and is not changed back when it fails?",
             NULL);
    set_hint_if(EXITED,
                "fork() failed for one client, and that may cost this client only: close its "
                "socket, and accept the next.");
    struct peer *c = connect_to(s);
    send_text(c, "hello\n");
    receive_text(c, "hello\n");
    send_text(a, "still there?\n");
    receive_text(a, "still there?\n");
    wait_reading_from(s, a);
    wait_reading_from(s, c);
    set_hint("fork() failed once, and since then a signal does not end the server as it should. "
             "What was changed before that fork(), and is not changed back when it fails: a "
             "blocked signal, a list of children, a lock?",
             "make run FAULTS=fork_fails=1    # and in a second terminal:\n"
             "echo hello | timeout 5 nc -N 127.0.0.1 9000\n"
             "# then Ctrl-C in the first terminal must end it, with no message about kill()");
    expect_summary_line(s, stop_server(s, SIGTERM), 3, 25);
    create_too_many_children();
}

SHARED_CHECK(memory, 4, "has no memory errors and leaves nothing open, parent and children",
             .needs = "half_close descriptors_closed stop")
SHARED_CHECK(price, 0, "serves 1,000 clients at once (make test CHECK=price shows the cost)")
