# Sourced by the tests of class grading: makes hostile submissions, and looks at their results.
# shellcheck shell=bash

# insert ATTACK BASE - prints the server BASE with the attack inserted just before it listens
insert() {
    echo '#define _GNU_SOURCE'
    sed '/^int main/,$d' "$2"
    cat "$1"
    sed -n '/^int main/,$p' "$2" | sed 's/^    listener = listen_on(port);/&\n    attack();/'
}

# insert_attack ATTACK [HOST_PORT] - the same with lab 1's solution. An attack that succeeds prints what it achieved,
# and the server exits.
insert_attack() {
    insert <(
        echo "#define HOST_PORT ${2:-1}"
        cat <<'END'
static inline void succeeded(const char *what)
{
    printf("ATTACK SUCCEEDED: %s\n", what);
    exit(0);
}
/* Started without faults and without valgrind, as about every third server is: enough for an attack that takes long. */
static inline int is_plain_start(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return getenv("FAULTS") == NULL && (preloaded == NULL || strstr(preloaded, "vgpreload") == NULL);
}
/* Sends the descriptor through a Unix socket, `times` times in one message: at most 253 times, unix(7). */
static inline ssize_t send_descriptor(int socket, int fd, size_t times)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control = {0};
    struct iovec one = {.iov_base = "x", .iov_len = 1};
    struct msghdr message = {.msg_iov = &one,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = CMSG_SPACE(times * sizeof fd)};
    control.header = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(times * sizeof fd)};
    for (size_t i = 0; i < times; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof fd, &fd, sizeof fd);
    return sendmsg(socket, &message, MSG_DONTWAIT);
}
END
        cat "$1"
    ) "$GRADING/../lab01-blocking/solution.c"
}

# needs_sandbox - skips this test on a machine that allows none
needs_sandbox() {
    [ -z "$PROBLEM" ] || skip "not tested, since this machine allows no sandbox: $PROBLEM"
}

# result STUDENT FILTER [LAB] - the filter must be true of the student's result in $RESULTS
result() {
    needs_sandbox
    local file=$RESULTS/students/$1/${3:-lab01}.json
    jq -e "$2" "$file" >/dev/null || {
        jq '{score, verdict, fault, compiler, checks: [.checks[] | select(.status == "failed" or .status == "error")]}' \
            "$file" | head -n 60
        return 1
    }
}
