/* Starting: arguments, and a port that is taken. */
#include "checks/common.h"
#include "shared_checks.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void expect_usage(const char *const *argv)
{
    struct server *s = start_server(.argv = argv, .may_fail_to_start = true);
    struct ending e = wait_for_exit(s, 2);
    if (e.by_signal || e.code != 2)
        fail_check(s, "exit status 2 for invalid arguments", "%s", describe_ending(s));
    if (strstr(e.err, "usage:") == NULL)
        fail_check(s, "a line with \"usage:\" on standard error", "%s",
                   quoted(e.err, strlen(e.err), 0));
    if (*e.out != '\0')
        fail_check(s, "nothing on standard output", "%s", quoted(e.out, strlen(e.out), 0));
}

#define USAGE                                                                                      \
    "For invalid arguments print a line with \"usage:\" on standard error, and exit with status "  \
    "2."

static void check_number_of_arguments(void)
{
    set_hint(searches ? "Two forms are valid: PORT, and PORT USER QUERY STOCK. " USAGE
                      : "There must be exactly one argument, PORT. " USAGE,
             "make && timeout 2 ./server; echo \"exit status $?\"\n"
             "timeout 2 ./server 0 1; echo \"exit status $?\"");
    expect_usage((const char *[]){NULL});
    expect_usage((const char *[]){"0", "1", "2", "3", "4", NULL});
    if (searches) {
        expect_usage((const char *[]){"0", "1", NULL});
        expect_usage((const char *[]){"0", "1", "2", NULL});
    }
    set_hint(NULL, NULL);
}

static void check_ports(void)
{
    set_hint("A port is a number from 0 to 65535, with nothing after it. " USAGE,
             "make && timeout 2 ./server http; echo \"exit status $?\"\n"
             "timeout 2 ./server 80x; echo \"exit status $?\"");
    expect_usage((const char *[]){"", NULL});
    expect_usage((const char *[]){"http", NULL});
    expect_usage((const char *[]){"0x", NULL});
    expect_usage((const char *[]){"-1", NULL});
    expect_usage((const char *[]){"65536", NULL});
    expect_usage((const char *[]){"99999999999999999999", NULL});
    if (searches)
        expect_usage((const char *[]){"0", "1", "2", "3x", NULL});
    set_hint(NULL, NULL);
}

/*
 * A server without htons() binds the port with its two bytes swapped. That port must be free, or
 * the server would print the correct message about the wrong port. Ports below 1024 need
 * privileges; from 32768 on the kernel assigns them to clients (ip_local_port_range in ip(7)).
 */
static bool swapped_port_is_free(int port)
{
    int swapped = (port & 0xff) << 8 | port >> 8, bound;
    if (swapped < 1024 || swapped >= 32768)
        return false;
    int fd = bind_loopback(swapped, false, &bound);
    if (fd == -1)
        return false;
    close(fd);
    return true;
}

/* Listens on a port whose swapped port is free. */
static int take_port(int *port)
{
    for (int tries = 0; tries < 1000; tries++) {
        int fd = bind_loopback(0, false, port);
        if (fd == -1)
            break;
        if (swapped_port_is_free(*port)) {
            if (listen(fd, 1) == -1)
                grader_error("cannot listen on port %d of 127.0.0.1", *port);
            return fd;
        }
        close(fd);
    }
    grader_error("no free port on 127.0.0.1");
}

static void check_failing_call(const char *fault, const char *call)
{
    set_hint("What socket(), bind() and listen() return must be checked: pass the name of the call "
             "that has failed to die().",
             "make run FAULTS=no_socket; make run FAULTS=no_listen   # must end at once");
    struct server *s = start_server(.faults = fault, .may_fail_to_start = true);
    asked("%s() fails", call);
    struct ending e = wait_for_exit(s, 1);
    if (e.by_signal || e.code != 1)
        fail_check(s, "exit status 1, and a message on standard error", "%s", describe_ending(s));
    set_hint(NULL, NULL);
}

DEFINE_SHARED_CHECK(
    usage,
    .hint = "When the port is in use, print \"server: bind: \" and strerror(errno) on standard "
            "error, as die(\"bind\") does, and exit with status 1.",
    .by_hand = "make\n"
               "nc -l 127.0.0.1 9000 & sleep 1\n"
               "timeout 2 ./server 9000; echo \"exit status $?\"; kill %1")
{
    check_number_of_arguments();
    check_ports();
    char text[16];
    int port, taken = take_port(&port);
    snprintf(text, sizeof text, "%d", port);
    struct server *s =
        start_server(.argv = (const char *[]){text, NULL}, .may_fail_to_start = true);
    asked("port %s was already in use: another program listens on it", text);
    set_hint(
        "The port is in use, but the server has not noticed. Is the result of bind() checked? And "
        "is it the port that was asked for? Its number in the address is in network byte order: "
        "htons().",
        NULL);
    struct ending e = wait_for_exit(s, 1);
    set_hint(NULL, NULL);
    if (strcmp(e.err, "server: bind: Address already in use\n") != 0)
        fail_check(s, "\"server: bind: Address already in use\\n\" on standard error", "%s",
                   quoted(e.err, strlen(e.err), 0));
    if (e.by_signal || e.code != 1)
        fail_check(s, "exit status 1 for a port that is in use", "%s", describe_ending(s));
    close(taken);
    check_failing_call("no_socket", "socket");
    check_failing_call("no_listen", "listen");
}
