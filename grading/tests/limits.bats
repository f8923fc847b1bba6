# Limits of the machine that are too low for a check: the check reports an error that names the limit, or
# uses what there is. It never costs a point.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# no_failure - no check failed
no_failure() {
    jq -e '[.[].checks[] | select(.status == "failed")] == []' grade.json ||
        { jq '.[].checks[] | select(.status == "failed")' grade.json && false; }
}

# has_error CHECK WORDS - the check could not be run, because of WORDS; no other check failed
has_error() {
    no_failure
    jq -e --arg name "$1" --arg words "$2" \
        '.[0].score == null and any(.[0].checks[]; .name == $name and .status == "error" and
            (.received | contains($words)))' grade.json ||
        { jq -c '.[] | [.score, .fault], (.checks[] | select(.score == null) | [.name, .status, .received])' grade.json && false; }
}

# has_fault WORDS - no check was run, because of WORDS
has_fault() {
    jq -e --arg words "$1" '.[0].score == null and .[0].checks == [] and (.[0].fault | contains($words))' \
        grade.json || { jq -c '.[] | [.score, .fault], (.checks[] | select(.score == null) | [.name, .status, .received])' grade.json && false; }
}

# grade_limited COMMAND... -- LAB CHECK... - grades a reference under a command that sets limits
grade_limited() {
    local limits=() checks=() lab
    while [ "$1" != -- ]; do limits+=("$1") && shift; done
    lab=$2
    for check in "${@:3}"; do checks+=(--check "$check"); done
    run "${limits[@]}" "${GRADE:-$GRADING/grade}" --reference --json grade.json "${checks[@]}" "$lab"
    tail -n 5 <<<"$output"
    [ -s grade.json ]
}

# in_network SYSCTL VALUE - sets `network`, a command that runs another in a network with that setting
in_network() {
    unshare -rn true 2>/dev/null || skip "this machine allows no network namespaces"
    # shellcheck disable=SC2016 # expanded by that bash
    network=(unshare -rn bash -c 'ip link set lo up && echo "$1" >"/proc/sys/net/$0" && shift && exec "$@"' "$@")
}

# as_ordinary_user - sets `user`, a command that drops root's privileges (its processes are not limited),
# and makes a copy of the course for that user
as_ordinary_user() {
    user=()
    [ "$(id -u)" -eq 0 ] || return 0
    user=(setpriv --reuid=54321 --regid=54321 --clear-groups)
    "${user[@]}" true 2>/dev/null || skip "this machine has no other users"
    chmod 755 "$BATS_RUN_TMPDIR" .. .
    (cd "$ROOT" && tar -c --exclude='run.*' grading/{.build,grade,harness,lab.mk,lib,starters} lab*) | tar -x
    chown -R 54321 .
    GRADE=$PWD/grading/grade
    unset GRADE_BUILD
}

@test "1,024 descriptors: descriptor_limit of lab 4 is an error" {
    grade_limited prlimit --nofile=1024:1024 -- 4 descriptor_limit
    [ "$status" -eq 3 ]
    has_error descriptor_limit "this machine allows 1,024 descriptors"
}

@test "1,024 descriptors: descriptor_limit and flat_cost of lab 5 are errors" {
    grade_limited prlimit --nofile=1024:1024 -- 5 descriptor_limit
    [ "$status" -eq 3 ]
    has_error descriptor_limit "this machine allows 1,024 descriptors"
    grade_limited prlimit --nofile=1024:1024 -- 5 flat_cost
    [ "$status" -eq 3 ]
    has_error flat_cost "this machine allows 1,024 descriptors"
}

@test "1,024 descriptors: ten_thousand of lab 8 is an error" {
    grade_limited prlimit --nofile=1024:1024 -- 8 ten_thousand
    [ "$status" -eq 3 ]
    has_error ten_thousand "this machine allows 1,024 descriptors"
}

@test "4,096 descriptors: ten_thousand and flat_cost use what there is" {
    grade_limited prlimit --nofile=4096:4096 -- 5 flat_cost
    no_failure
    [ "$status" -eq 0 ]
}

@test "fewer than 1,024 descriptors: no check is run" {
    grade_limited prlimit --nofile=256:256 -- 2
    [ "$status" -eq 3 ]
    has_fault "this machine allows 256 descriptors"
}

@test "a low soft limit of descriptors does not hold for the server" {
    grade_limited prlimit --nofile=40: -- 5 crowd
    no_failure
    [ "$status" -eq 0 ]
}

@test "250 processes: the checks with a process or a thread per client are errors" {
    as_ordinary_user
    grade_limited "${user[@]}" prlimit --nproc=250:250 -- 2 burst crowd
    [ "$status" -eq 3 ]
    has_error burst "(ulimit -u: 250)"
    has_error crowd "(ulimit -u: 250)"
    grade_limited "${user[@]}" prlimit --nproc=250:250 -- 3 crowd
    has_error crowd "(ulimit -u: 250)"
    grade_limited "${user[@]}" prlimit --nproc=250:250 -- 4 crowd
    no_failure
    [ "$status" -eq 0 ]
}

@test "50 processes: no check is run" {
    as_ordinary_user
    grade_limited "${user[@]}" prlimit --nproc=50:50 -- 3
    [ "$status" -eq 3 ]
    has_fault "(ulimit -u: 50)"
}

@test "somaxconn is 16: no check is run" {
    in_network core/somaxconn 16
    grade_limited "${network[@]}" -- 1
    [ "$status" -eq 3 ]
    has_fault "net.core.somaxconn"
}

@test "somaxconn is 64: crowd is an error" {
    in_network core/somaxconn 64
    grade_limited "${network[@]}" -- 5 crowd
    [ "$status" -eq 3 ]
    has_error crowd "net.core.somaxconn"
}

@test "somaxconn is 128: thousand_in_flight is an error" {
    in_network core/somaxconn 128
    grade_limited "${network[@]}" -- 7 thousand_in_flight
    [ "$status" -eq 3 ]
    has_error thousand_in_flight "net.core.somaxconn"
}

@test "200 ports: no check is run" {
    in_network ipv4/ip_local_port_range "40000 40200"
    grade_limited "${network[@]}" -- 7
    [ "$status" -eq 3 ]
    has_fault "net.ipv4.ip_local_port_range"
}

@test "5,000 ports: ten_thousand is an error, the rest is graded" {
    in_network ipv4/ip_local_port_range "40000 44999"
    grade_limited "${network[@]}" -- 8 ten_thousand interrupted_calls
    [ "$status" -eq 3 ]
    has_error ten_thousand "net.ipv4.ip_local_port_range"
}

@test "a machine that gives the grader no CPU for a second: an error, not a failed check" {
    sed -e '/^static void send_request/,/^}/s/^    ssize_t n = send/    kill(getppid(), SIGSTOP);\n&/' \
        -e '/^static void finish_search/,/^}/s/^    struct client \*client/    kill(getppid(), SIGCONT);\n&/' \
        "$ROOT/lab07-callbacks/solution.c" >stalls.c
    [ "$(grep -c 'kill(getppid' stalls.c)" -eq 2 ]
    run "$GRADING/grade" --json grade.json --check search --file stalls.c lab07
    has_error search "this machine is too slow: the user backend read a request"
    [[ "$output" == *"The machine was too busy, so there is no score. Grade again when it is less so."* ]]
}

@test "the same, but once only: the check is run again, alone, and passes" {
    sed -e "/^static void send_request/,/^}/s|^    ssize_t n = send|    if (access(\"$BATS_TEST_TMPDIR/stalled\", F_OK) == -1)\n        kill(getppid(), SIGSTOP);\n&|" \
        -e "/^static void finish_search/,/^}/s|^    struct client \*client|    if (open(\"$BATS_TEST_TMPDIR/stalled\", O_CREAT, 0600) != -1)\n        kill(getppid(), SIGCONT);\n&|" \
        "$ROOT/lab07-callbacks/solution.c" >stalls.c
    [ "$(grep -c 'kill(getppid' stalls.c)" -eq 2 ]
    run "$GRADING/grade" --json grade.json --check search --check in_order --file stalls.c lab07
    [ "$status" -eq 0 ]
    [ -e stalled ]
    [[ "$output" != *ERROR* ]]
    jq -e '.[0].checks | map(select(.status == "passed")) | length == 2' grade.json
}

@test "a machine so busy that the grader hardly runs while the server does its work: the check is run again" {
    # For as long as a check waits, the grader is stopped for 0.3 s of each 0.35 s.
    sed "s|^        ssize_t n = recv|        if (open(\"$BATS_TEST_TMPDIR/busy\", O_CREAT \| O_EXCL, 0600) != -1)\n            for (int i = 0; i < 70; i++) {\n                kill(getppid(), SIGSTOP);\n                usleep(300000);\n                kill(getppid(), SIGCONT);\n                usleep(50000);\n            }\n&|" \
        "$ROOT/lab01-blocking/solution.c" | sed '1i #include <fcntl.h>' >busy.c
    [ "$(grep -c 'kill(getppid' busy.c)" -eq 2 ]
    run "$GRADING/grade" --json grade.json --check echo_line --file busy.c lab01
    [ "$status" -eq 0 ]
    [ -e busy ]
    jq -e '.[0].checks | all(.status != "failed")' grade.json
}

@test "a server that gets no CPU for a second just before it sends a request: the check is run again" {
    sed "/^static void send_request/,/^}/s|^    ssize_t n = send|    if (open(\"$BATS_TEST_TMPDIR/held-up\", O_CREAT \| O_EXCL, 0600) != -1) {\n        pid_t server = getpid();\n        if (fork() == 0) {\n            closefrom(3);\n            usleep(1050000);\n            kill(server, SIGCONT);\n            _exit(0);\n        }\n        kill(server, SIGSTOP);\n    }\n&|" \
        "$ROOT/lab07-callbacks/solution.c" >held-up.c
    [ "$(grep -c 'kill(server' held-up.c)" -eq 2 ]
    run "$GRADING/grade" --json grade.json --check search --file held-up.c lab07
    [ "$status" -eq 0 ]
    [ -e held-up ]
    jq -e '.[0].checks | all(.status != "failed")' grade.json
}

@test "one of the machine's CPUs, as in some containers: as many checks run at a time as on a machine with one" {
    cat >count.c <<'END'
#include "core/run_check.h"
#include <stdio.h>
int main(void) { printf("%d\n", max_concurrent()); }
END
    mapfile -t libraries < <(pkg-config --cflags --libs check jansson libdw | xargs -n 1)
    gcc -D_GNU_SOURCE -I"$GRADING/harness" -o count count.c "${GRADE_BUILD:-$GRADING/.build}/libharness.a" "${libraries[@]}"
    usable=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
    [ "$(env -u GRADE_JOBS taskset -c "$usable" ./count)" -eq 4 ]
}
