# Limits hold for each submission, and not for all together; and a failure is the student's or the machine's,
# whichever it is. The classes are graded once; each test examines the results.
# shellcheck shell=bats

load hostile/submissions

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export BUILD=${GRADE_BUILD:-$GRADING/.build}
    export CLASS=$BATS_FILE_TMPDIR/class RESULTS=$BATS_FILE_TMPDIR/results
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    PROBLEM=$(sandbox_problem | head -n 1)
    export PROBLEM
    [ -z "$PROBLEM" ] || return 0
    local attack name
    # Lab 1: what takes memory, and a neighbour; a class of their own, since they are allowed less than the default.
    # Where memory is slow, a server may have used its three seconds of CPU time before it has one gigabyte; so it is
    # certain which of the two limits is reached.
    for attack in "$GRADING"/tests/hostile/memory/*.c; do
        hand_in "$(basename "$attack" .c)" lab01-blocking insert_attack "$attack"
    done
    hand_in neighbour lab01-blocking cat "$GRADING/../lab01-blocking/solution.c"
    mv "$CLASS" "$CLASS-memory"
    # What takes processes or time, and its neighbours.
    for attack in "$GRADING"/tests/hostile/limits/*.c; do
        hand_in "$(basename "$attack" .c)" lab01-blocking insert_attack "$attack"
    done
    for name in aaa-correct mmm-correct zzz-correct; do
        hand_in "$name" lab01-blocking cat "$GRADING/../lab01-blocking/solution.c"
    done
    # Lab 2, in which each client has a process: more servers than processes that one user had.
    for name in bomb-1 bomb-2; do
        hand_in "$name" lab02-fork insert_attack "$GRADING/tests/hostile/fork-bomb.c"
    done
    for name in aaa-correct zzz-correct; do
        hand_in "$name" lab02-fork cat "$GRADING/../lab02-fork/solution.c"
    done
    STATUS=0
    "$GRADING/grade" --class "$CLASS-memory" --results "$RESULTS-memory" --labs 1 --jobs 4 --memory 300 \
        >"$BATS_FILE_TMPDIR/screen" 2>&1 </dev/null || STATUS=$?
    "$GRADING/grade" --class "$CLASS" --results "$RESULTS" --labs 1 --jobs 4 >"$BATS_FILE_TMPDIR/screen-1" 2>&1 </dev/null || STATUS=$?
    "$GRADING/grade" --class "$CLASS" --results "$RESULTS" --labs 2 --jobs 4 >"$BATS_FILE_TMPDIR/screen-2" 2>&1 </dev/null || STATUS=$?
    export STATUS
}

setup() {
    cd "$BATS_TEST_TMPDIR" || return
}

# hand_in STUDENT LAB COMMAND... - the output of the command becomes the student's server.c
hand_in() {
    mkdir -p "$CLASS/$1/$2"
    "${@:3}" >"$CLASS/$1/$2/server.c"
}

unaffected='.score == 100 and .verdict == "graded"'
foiled='.verdict == "graded" and .score < 20 and ([.. | strings | select(contains("ATTACK SUCCEEDED"))] == [])'

# takes_too_much STUDENT - it was stopped because of that, and the result says so
takes_too_much() {
    RESULTS=$RESULTS-memory result "$1" \
        "$foiled"' and any(.checks[]; any(.evidence[]?; contains("more than 300 MB of memory were in use")))'
}

@test "the other students have full marks" {
    for student in aaa-correct mmm-correct zzz-correct; do
        result "$student" "$unaffected"
    done
    RESULTS=$RESULTS-memory result neighbour "$unaffected"
    [ "$STATUS" -eq 0 ]
}

@test "memory that no process maps is counted: memfds" { takes_too_much unmapped-memfds; }
@test "memory that no process maps is counted: memfds in the queues of sockets" { takes_too_much memfds-in-flight; }
@test "memory that no process maps is counted: segments of System V" { takes_too_much detached-segments; }
@test "memory that no process maps is counted: bytes in sockets of the machine" { takes_too_much bytes-in-sockets; }
@test "memory that no process maps is counted: bytes in TCP connections" { takes_too_much bytes-in-connections; }
@test "memory that no process maps is counted: messages in sockets of netlink" { takes_too_much bytes-in-netlink; }
@test "memory that no process maps is counted: bytes in pipes" { takes_too_much bytes-in-pipes; }
@test "memory of a process whose main thread has ended is counted" { takes_too_much main-thread-ends; }
@test "oom_score_adj cannot be changed" { result resets-its-oom-score "$unaffected"; }

@test "each server has its own limit of processes" { result sleeping-children "$unaffected"; }
@test "processes left behind by one server do not make the next one fail to start" {
    result as-many-children-as-possible '.verdict == "graded" and .score <= 100'
}
@test "fork bombs of others do not take processes away" {
    for student in aaa-correct zzz-correct; do
        result "$student" "$unaffected" lab02
    done
    for student in bomb-1 bomb-2; do
        result "$student" "$foiled" lab02
    done
}

@test "descriptors that one server keeps in the queue of a socket do not keep others from passing theirs" {
    [ "$EUID" = 0 ] || skip "not tested, since only root can give each submission a user of its own"
    result descriptors-in-flight "$unaffected"
    result descriptors-are-passed "$unaffected"
}

@test "PR_SET_DUMPABLE: failed, and why" {
    result not-dumpable '.verdict == "graded" and any(.checks[]; .status == "failed"
        and (.received | contains("does not let itself be inspected (PR_SET_DUMPABLE")))'
}
@test "the harness's own messages: failed" {
    result says-the-grader-failed "$foiled"
}
@test "naps: failed, within half a minute" {
    result naps-before-each-echo '.verdict == "graded" and .score < 100 and all(.checks[]; .status != "error")
        and any(.checks[]; .status == "failed" and (.received | contains("asleep for 30 seconds since the check began")))'
}

@test "naps while a backend's call is held: failed, and the machine is not called slow" {
    local file=$GRADING/../lab06-reactor/solution.c
    sed '/^static bool call_backend(enum backend which, struct line \*line)$/,/^{$/s/^{$/{\
    static _Atomic int calls;\
    bool last = which == USER \&\& ++calls % 4 == 0;\
    for (int i = 0; last \&\& i < 300; i++)\
        usleep(10000);/; s/ = now() + 1;/ = now() + 9;/' "$file" >server.c
    grep -q 'i < 300' server.c
    "$GRADING/grade" --check queue --json r.json --file server.c 6
    jq -e '.[0].checks[0] | .status == "failed" and (.received | contains("the server had been asleep for"))' r.json
}

@test "a client that is flooded does not use up the grader's memory" {
    local file=$GRADING/../lab03-threads/solution.c
    sed 's/size_t sent = send_all(/size_t sent = send_then_flood(/
/^static size_t send_all(.*);$/a\
static size_t send_then_flood(int client, const char *data, size_t size);' "$file" >server.c
    cat >>server.c <<'END'

static void *flood(void *fd)
{
    static char block[1 << 20] = "x";
    while (send((int)(long)fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    return NULL;
}

static size_t send_then_flood(int client, const char *data, size_t size)
{
    size_t n = send_all(client, data, size);
    pthread_t thread;
    usleep(20000);
    if (pthread_create(&thread, NULL, flood, (void *)(long)client) == 0)
        pthread_detach(thread);
    return n;
}
END
    prlimit --data=1200000000 "$GRADING/grade" --check thread_per_client --json r.json --file server.c 3
    jq -e '.[0].checks[] | select(.name == "thread_per_client") | .status == "failed"' r.json
}

# ---- the compile step --------------------------------------------------------------------------

@test "too little memory to compile or to run valgrind: an error, and graded again" {
    needs_sandbox
    mkdir -p class/ada/lab01-blocking
    cp "$GRADING/../lab01-blocking/solution.c" class/ada/lab01-blocking/server.c
    run "$GRADING/grade" --class class --results results --labs 1 --memory 20
    [ "$status" -eq 3 ]
    [[ $output == *"20 MB of memory are too few"* ]]
    jq -se 'length == 1 and .[0].score == null and .[0].verdict == "error"' "$(find results -name lab01.json)"
    run "$GRADING/grade" --class class --results results --labs 1
    [ "$status" -eq 0 ]
    jq -se '.[0].score == 100' "$(find results -name lab01.json)"
}

@test "the compiler is killed once: no matter" {
    cat >gcc <<'END'
#!/usr/bin/env bash
mkdir "${0%/*}/killed" 2>/dev/null && kill -KILL $$
exec gcc "$@"
END
    chmod +x gcc
    GRADE_CC=$PWD/gcc "$GRADING/grade" --check usage --json r.json --file "$GRADING/../lab01-blocking/solution.c" 1
    [ -d killed ]
    jq -e '.[0] | .verdict == "graded" and .score == .max' r.json
}

@test "the compiler is killed each time: an error" {
    printf '#!/bin/sh\nkill -KILL $$\n' >gcc
    chmod +x gcc
    GRADE_CC=$PWD/gcc run "$GRADING/grade" --json r.json --file "$GRADING/../lab01-blocking/solution.c" 1
    [ "$status" -eq 3 ]
    jq -e '.[0] | .verdict == "error" and .score == null
        and (.fault | contains("this machine cannot compile a correct program"))' r.json
}

@test "the disk is full: an error" {
    [ "$(id -u)" = 0 ] && unshare -m true || skip "not tested: only root can mount a small disk"
    mkdir disk
    cat >grade-on-full-disk <<END
set -e
mount -t tmpfs -o size=100m tmpfs disk
cp -a "$BUILD"/. disk
GRADE_BUILD=$PWD/disk "$GRADING/grade" --check usage --file "$GRADING/../lab01-blocking/solution.c" 1
dd if=/dev/zero of=disk/fills bs=1M || true
truncate -s -200000 disk/fills
{ cat "$GRADING/../lab01-blocking/solution.c"; echo 'char large[1 << 20] = {1};'; } >server.c
status=0
GRADE_BUILD=$PWD/disk "$GRADING/grade" --json r.json --file server.c 1 || status=\$?
exit \$status
END
    run unshare -m bash grade-on-full-disk
    echo "$output"
    [ "$status" -eq 3 ]
    [[ $output == *"No space left on device"* ]]
    jq -e '.[0] | .verdict == "error" and .score == null' r.json
}

@test "/etc/ld.so.cache is replaced during the run: nobody notices" {
    needs_sandbox
    [ "$(id -u)" = 0 ] && unshare -m true || skip "not tested: only root can replace it"
    for student in s1 s2 s3; do
        mkdir -p "class/$student/lab01-blocking"
        cp "$GRADING/../lab01-blocking/solution.c" "class/$student/lab01-blocking/server.c"
    done
    cat >grade-while-replaced <<END
cp -a /etc etc
mount --make-rprivate / && mount --bind etc /etc || exit
(while :; do cp /etc/ld.so.cache /etc/new && mv /etc/new /etc/ld.so.cache; sleep 0.01; done) &
loop=\$!
"$GRADING/grade" --class class --results results --labs 1 --jobs 3
status=\$?
kill \$loop
exit \$status
END
    run unshare -m bash grade-while-replaced
    echo "$output"
    find results -name lab01.json -exec jq -c '[.score, .fault]' {} +
    [ "$status" -eq 0 ]
    find results -name lab01.json -exec cat {} + | jq -se 'map(.score) == [100, 100, 100]'
}

@test "a sandbox that is killed from outside: an error" {
    needs_sandbox
    local harness='' first='' process
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    bash "$GRADING/lib/build-harness" "$BUILD"
    printf '#include <unistd.h>\nint main(void) { for (;;) usleep(1000); }\n' >server.c
    gcc -o server server.c
    printf '%s\0' "${inner_sandbox[@]}" "${read_only_system[@]}" >arguments
    "$BUILD/lab01-blocking-test" --lab lab01-blocking --server "$PWD/server" --faults "$(realpath "$BUILD/faults.so")" \
        --json "$PWD/r.json" --sandbox "$PWD/arguments" --check echo_line 3>&- &
    harness=$!
    until [ -n "$first" ]; do
        kill -0 "$harness"
        for process in $(descendants "$harness"); do
            [ "$(cat "/proc/$process/comm" 2>/dev/null)" != server ] || first=$(first_beside "$harness")
        done
        sleep 0.1
    done
    kill -KILL "$first"
    wait "$harness" || true
    jq -e '.score == null and .verdict == "error" and (.checks[0] | .status == "error"
        and .received == "the server'"'"'s sandbox was killed, and not from within")' r.json
}

# descendants PROCESS - prints their process ids
descendants() {
    local child
    tr ' ' '\n' 2>/dev/null <"/proc/$1/task/$1/children" | while read -r child; do
        echo "$child"
        descendants "$child"
    done
}

# first_beside PROCESS - the first process of the sandbox among its descendants
first_beside() {
    local process
    for process in $(descendants "$1"); do
        ! grep -qsP '^NSpid:.*\t1$' "/proc/$process/status" || echo "$process"
    done | tail -n 1
}
