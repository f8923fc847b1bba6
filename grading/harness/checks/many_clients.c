/* Many clients at once. */
#include "checks/common.h"
#include "shared_checks.h"

#include <stdio.h>
#include <stdlib.h>

DEFINE_SHARED_CHECK(
    crowd, .needs = "half_close silent_client",
    .hint = "All clients connect before the first is accepted: the backlog must hold them "
            "(SOMAXCONN), and every one must be accepted, even those that are reported together. "
            "Do not use one client's buffer or descriptor for another client.",
    .hint_if = {[WRONG_BYTES] =
                    "Each client's text has numbers of its own: compare the first one received "
                    "with the one expected. A buffer or a descriptor that two clients share mixes "
                    "up their bytes.",
                [DISCONNECTED] =
                    "Of 100 simultaneous clients, this one was disconnected before it had received "
                    "everything. Is their number limited, or was its descriptor closed in place of "
                    "a different client's?"},
    .by_hand = "make run                    # and in a second terminal:\n"
               "s=$(make pid); kill -STOP $s; fds=\n"
               "for i in $(seq 100); do     # all 100 wait in the backlog\n"
               "    exec {fd}<>/dev/tcp/127.0.0.1/9000; echo $i >&$fd; fds+=\" $fd\"; done\n"
               "kill -CONT $s\n"
               "for fd in $fds; do read -t 5 -u $fd answer && echo $answer; done |\n"
               "    sort -n | uniq | wc -l  # 100")
{
    enum { CLIENTS = 100, SIZE = 31 * 64 }; /* whole lines */
    struct server *s = start_server();
    struct peer *clients[CLIENTS];
    char text[SIZE];
    if (task_per_client)
        need_processes(CLIENTS, "one for each client");
    need_backlog(CLIENTS, "all clients connect before the first is accepted");
    wait_asleep(s);
    freeze(s); /* all connect before the first is accepted */
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(s);
    for (int i = 0; i < CLIENTS; i++) {
        fill_text(text, (size_t)i * SIZE, SIZE);
        send_bytes(clients[i], text, SIZE);
    }
    thaw(s);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CLIENTS; i++) {
            fill_text(text, (size_t)i * SIZE, SIZE);
            receive_bytes(clients[i], text, SIZE);
            send_bytes(clients[i], text, SIZE);
        }
    for (int i = 0; i < CLIENTS; i++) {
        fill_text(text, (size_t)i * SIZE, SIZE);
        send_fin(clients[i]);
        receive_bytes(clients[i], text, SIZE);
        receive_eof(clients[i]);
    }
}

DEFINE_SHARED_CHECK(
    one_thread, .needs = "pieces",
    .hint = "Create no thread and no process for a client: one loop serves all clients, with a "
            "struct for each.",
    .by_hand = "make run                    # and in a second terminal:\n"
               "for i in 1 2 3; do (sleep 5 | nc -N 127.0.0.1 9000 &); done; sleep 1\n"
               "ps -L -o pid,lwp,stat,wchan,cmd -p $(make pid)")
{
    struct server *s = start_server();
    struct peer *clients[3];
    for (int i = 0; i < 3; i++) {
        clients[i] = connect_to(s);
        send_text(clients[i], "hello\n");
        receive_text(clients[i], "hello\n");
    }
    stop_reading(clients[0]);
    send_until_blocked(clients[0]);
    expect_processes(s, 1, "one process for all clients");
    expect_threads(s, 1, "one thread for all clients");
}

int descriptors_for(int clients)
{
    enum { OTHERS = 64, MIN_CLIENTS = 4000 };
    int possible = descriptor_limit() - OTHERS;
    if (possible < clients)
        need_descriptors(MIN_CLIENTS + OTHERS, "one for each client");
    if (possible < clients)
        asked("%d clients instead of %d: this machine's hard limit allows no more", possible,
              clients);
    return possible < clients ? possible : clients;
}

DEFINE_SHARED_CHECK(
    ten_thousand, .needs = "crowd", .alone = true,
    .hint = "Which client got no echo? Look for a table, an array or a set that ends there.",
    .hint_if = {[DISCONNECTED] = OWN_HINT},
    .by_hand = "make && (ulimit -n 20000; ./server 9000)   # in a second terminal:\n"
               "ulimit -n 20000             # one bash is all the clients\n"
               "for i in $(seq 10000); do exec {fd}<>/dev/tcp/127.0.0.1/9000; done\n"
               "echo 'and I?' | nc -N 127.0.0.1 9000")
{
    int count = descriptors_for(10000);
    struct server *s = start_server(.descriptors = MAX_DESCRIPTORS);
    struct peer **clients = calloc((size_t)count, sizeof *clients);
    char line[64];
    if (clients == NULL)
        grader_error("out of memory");
    connect_many(s, clients, count);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            snprintf(line, sizeof line, "client %d, round %d\n", i, round);
            send_text(clients[i], line);
        }
        for (int i = 0; i < count; i++) {
            snprintf(line, sizeof line, "client %d, round %d\n", i, round);
            receive_text(clients[i], line);
        }
    }
    free(clients);
}
