# A submission cannot forge its result: neither valgrind's report nor the grader's messages; and it
# evades neither the faults that a check injects nor the counting of its processes.
# The class is graded once; each test examines the results.
# shellcheck shell=bats

load hostile/submissions

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export CLASS=$BATS_FILE_TMPDIR/class RESULTS=$BATS_FILE_TMPDIR/results
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    PROBLEM=$(sandbox_problem | head -n 1)
    export PROBLEM
    [ -z "$PROBLEM" ] || return 0

    local name forged=$GRADING/tests/hostile/forged
    local lab1=$GRADING/../lab01-blocking/solution.c lab2=$GRADING/../lab02-fork/solution.c
    local lab3=$GRADING/../lab03-threads/solution.c
    for name in aaa-correct mmm-correct zzz-correct; do
        hand_in "$name" lab01-blocking "$lab1"
    done
    # What follows has a mistake that the attack is to hide.
    cd "$BATS_FILE_TMPDIR" || return
    sed 's/errno == EINTR/0/' "$lab1" >ignores-eintr.c
    sed 's/^\( *\)close(client);/&\n\1close(client);/' "$lab1" >closes-twice.c
    patch -s -o race.c "$lab3" <"$GRADING/mutants/lab03-threads/list-changed-without-the-lock.patch"
    patch -s -o double-fork.c "$lab2" <"$GRADING/variants/lab02-fork/double-fork.patch"
    sed 's/^\( *\)pid_t grandchild = fork/\1setsid();\n&/' double-fork.c >lab2.c
    for name in starts-again starts-again-in-memory serves-in-a-child own-system-calls looks-functions-up \
        own-send-only; do
        insert "$forged/$name.c" ignores-eintr.c >server.c
        hand_in "$name" lab01-blocking server.c
    done
    insert "$forged/closes-standard-error.c" closes-twice.c >server.c
    hand_in closes-standard-error lab01-blocking server.c
    insert "$forged/forges-the-summary.c" race.c >server.c
    hand_in forges-a-race lab03-threads server.c
    for name in tells-tsan-to-ignore hides-from-tsan; do
        insert "$forged/$name.c" "$GRADING/../lab06-reactor/solution.c" >server.c
        hand_in "$name" lab06-reactor server.c
    done
    hand_in lab2-in-lab4 lab04-select lab2.c
    for name in forges-the-summary asks-valgrind-to-forge leaks-in-a-child says-that-it-only-forks \
        says-that-it-cannot-be-run says-that-valgrind-failed spins-as-an-orphan; do
        insert "$forged/$name.c" "$lab1" >server.c
        hand_in "$name" lab01-blocking server.c
    done
    STATUS=0
    "$GRADING/grade" --class "$CLASS" --results "$RESULTS" --labs 1,3,4,6 --jobs 3 >screen 2>&1 </dev/null || STATUS=$?
    export STATUS
}

setup() {
    [ -z "$PROBLEM" ] || skip "not tested, since this machine allows no sandbox: $PROBLEM"
}

hand_in() {
    mkdir -p "$CLASS/$1/$2"
    cp "$3" "$CLASS/$1/$2/server.c"
}

# fails STUDENT CHECK WORDS [LAB] - this check fails with these words, and none is the grader's fault
fails() {
    result "$1" ".verdict == \"graded\" and ([.checks[] | select(.status == \"error\")] == []) and
        (.checks[] | select(.name == \"$2\") | .status == \"failed\" and (.received | contains(\"$3\")))" "${4:-lab01}"
}

@test "grading completes, and the other students have full marks" {
    [ "$STATUS" -eq 0 ] || { tail "$BATS_FILE_TMPDIR/screen" && false; }
    for student in aaa-correct mmm-correct zzz-correct; do
        result "$student" '.score == 100 and .verdict == "graded"'
    done
}

unobserved="is served by a process that does not"
@test "memcheck's summary printed after exec(), on every descriptor" {
    fails forges-the-summary memory "$unobserved"
}
@test "helgrind's summary, likewise" { fails forges-a-race no_data_race "$unobserved" lab03; }
@test "memcheck's summary, through a request to valgrind" { fails asks-valgrind-to-forge memory "without a report"; }
@test "options of ThreadSanitizer: helgrind's opinion is final" {
    fails tells-tsan-to-ignore no_data_race "2 errors" lab06
}
@test "code that ThreadSanitizer is not to see" {
    fails hides-from-tsan no_data_race "according to helgrind and to ThreadSanitizer" lab06
}
@test "memory leaked by a child that valgrind does not observe" { fails leaks-in-a-child memory "$unobserved"; }
@test "an open descriptor, and a message of the fault library about it" {
    fails says-that-it-only-forks memory "one left open"
}
@test "the grader's message that the server cannot be run" {
    fails says-that-it-cannot-be-run echo_line "the server ended: exit status 127"
}
@test "valgrind's message that it could not begin" { fails says-that-valgrind-failed memory "the server ended: exit status 1"; }

evaded="through the C library"
@test "starts itself again without the fault library" { fails starts-again interrupted_calls "$evaded"; }
@test "starts a copy in memory, without an environment" { fails starts-again-in-memory interrupted_calls "$evaded"; }
@test "a child that starts again without the fault library" { fails serves-in-a-child interrupted_calls "$evaded"; }
@test "makes the system calls itself" { fails own-system-calls interrupted_calls "$evaded"; }
@test "looks up the C library's functions" { fails looks-functions-up interrupted_calls "$evaded"; }
@test "sends by a system call of its own, receives through the C library" {
    fails own-send-only short_sends "$evaded"
}
@test "closes standard error, where a double close was reported" {
    fails closes-standard-error no_leaked_descriptors "not open (closed twice?)"
}

@test "an orphan in its own session spins" { fails spins-as-an-orphan idle_is_free "it is not idle"; }
@test "lab 2's server, its children orphans in sessions of their own, in lab 4" {
    fails lab2-in-lab4 one_thread "processes" lab04
}
