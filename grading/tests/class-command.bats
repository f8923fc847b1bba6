# Grading a class: arguments, forms of submissions, going on where it stopped, what comes out.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export SOLUTION=$GRADING/../lab01-blocking/solution.c STARTER=$GRADING/starters/lab01-blocking.c
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    FAULT=$(sandbox_fault | head -n 1)
    export FAULT
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir class
}

has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

grade_class() {
    run "$GRADING/grade" --class class --results results "$@"
}

wants_sandbox() {
    [ -z "$FAULT" ] || skip "no sandbox on this machine, so nothing was shown: $FAULT"
}

# hand_in STUDENT FILE [LAB]
hand_in() {
    mkdir -p "class/$1/${3:-lab01-blocking}"
    cp "$2" "class/$1/${3:-lab01-blocking}/server.c"
}

# A server that ends at once: quick to grade.
quick() {
    echo "int main(void) { return ${1:-0}; }" >quick.c
}

@test "wrong arguments: exit status 2, before anything is graded" {
    run "$GRADING/grade" --class nowhere --results results
    [ "$status" -eq 2 ]
    has "no folder 'nowhere'"
    run "$GRADING/grade" --class class
    [ "$status" -eq 2 ]
    has "--results"
    for wrong in '--jobs 0' '--jobs many' '--feedback loud' '--labs 99' '--labs 1,x' '--memory no' '--fast'; do
        # shellcheck disable=SC2086 # an option and its word
        grade_class $wrong
        [ "$status" -eq 2 ]
    done
    run "$GRADING/grade" --class class --results class/results
    [ "$status" -eq 2 ]
    has "must not lie within"
    run "$GRADING/grade" --class --help
    [ "$status" -eq 0 ]
    has "--sshlogin"
}

@test "where namespaces are forbidden: why, how to allow them, and exit status 3; nothing was graded" {
    hand_in ada "$SOLUTION"
    # Where nobody may read it: as root, the sandbox is tried as nobody.
    bin=$(mktemp -d /tmp/bin.XXXXXX)
    printf '#!/bin/sh\necho "bwrap: No permissions to create a new namespace" >&2; exit 1\n' >"$bin/bwrap"
    chmod 755 "$bin" "$bin/bwrap"
    PATH=$bin:$PATH grade_class
    rm -r "$bin"
    [ "$status" -eq 3 ]
    has "No permissions to create a new namespace"
    has "--no-sandbox"
    [ -z "$(find results -name 'lab*.json')" ]
}

@test "--no-sandbox grades without one; a server that kills its parent is an error, not a zero" {
    hand_in ada "$SOLUTION"
    sed 's/^    listener = listen_on(port);/&\n    kill(getppid(), SIGKILL);/' "$SOLUTION" >killer.c
    hand_in eve killer.c
    grade_class --no-sandbox --labs 1
    [ "$status" -eq 3 ]
    grep -q '^"ada",100,100,""$' results/grades.csv
    grep -q '^"eve",,,"lab01-blocking: the grader failed' results/grades.csv
    has "give the same command again"
}

@test "folders, zip, tar.gz; server.c alone when one lab is named; two of one name; nothing of a lab" {
    wants_sandbox
    quick
    hand_in folder quick.c
    mkdir class/alone class/twice class/other-lab
    cp quick.c class/alone/server.c
    hand_in twice quick.c
    tar -C class -czf class/twice.tar.gz twice
    hand_in other-lab quick.c lab02-fork
    (cd class && python3 -c 'import zipfile; zipfile.ZipFile("zipped.zip", "w").write("alone/server.c")')
    hand_in two-of-them quick.c one/lab01-blocking
    hand_in two-of-them quick.c two/lab01-blocking
    hand_in "Zoë Öz" quick.c lab1
    grade_class --labs 1
    [ "$status" -eq 0 ]
    for student in folder alone zipped twice twice.tar.gz "Zoë Öz"; do
        grep -q "^\"$student\",0,0,\"\"\$" results/grades.csv || { cat results/grades.csv && false; }
    done
    grep -q '^"other-lab",,0,"lab01-blocking: not handed in"' results/grades.csv
    grep -q '^"two-of-them",,0,"lab01-blocking: 2 files server.c' results/grades.csv
    [ -e 'results/Zo%C3%AB%20%C3%96z/lab01.json' ]
}

@test "unchanged: not graded again; a changed submission, and a changed grader: graded again" {
    wants_sandbox
    quick
    hand_in ada quick.c
    hand_in ben quick.c
    grade_class --labs 1
    has "2 servers, 0 graded before"
    touch -d '2001-01-01' results/ada/lab01.json results/ben/lab01.json
    grade_class --labs 1
    has "2 servers, 2 graded before"
    quick 1
    hand_in ada quick.c
    grade_class --labs 1
    has "2 servers, 1 graded before"
    [ results/ada/lab01.json -nt results/ben/lab01.json ]
    cp -a "$GRADING/.." course
    echo '/* changed */' >>course/grading/harness/look.c
    run course/grading/grade --class class --results results --labs 1
    has "2 servers, 0 graded before"
    # What was no result is made again.
    jq '.verdict = "error"' results/ben/lab01.json >new && mv new results/ben/lab01.json
    run course/grading/grade --class class --results results --labs 1
    has "2 servers, 1 graded before"
}

@test "killed with SIGKILL at any moment and resumed: the same sheet, no half-written file, nothing left" {
    wants_sandbox
    quick
    for student in a b c d e f; do
        hand_in $student quick.c
    done
    hand_in g "$SOLUTION"
    "$GRADING/grade" --class class --results clean --labs 1 >/dev/null 2>&1
    for moment in 0.4 1.5 3 4; do
        "$GRADING/grade" --class class --results results --labs 1 >/dev/null 2>&1 &
        pid=$!
        sleep $moment
        kill -KILL $pid || true
        wait $pid || true
        find results -name 'lab*.json' -print0 | xargs -0 -r jq -e .verdict >/dev/null
    done
    grade_class --labs 1
    [ "$status" -eq 0 ]
    cmp clean/grades.csv results/grades.csv
    [ ! -e results/.class/work ]
    [ -z "$(find results clean -name '*.new' -o -name 'lab01.json.*')" ]
}

@test "SIGTERM: ended at once, nothing left" {
    wants_sandbox
    for student in a b c d; do
        hand_in $student "$SOLUTION"
    done
    "$GRADING/grade" --class class --results results --labs 1 >/dev/null 2>&1 &
    pid=$!
    until [ -n "$(find results -name joblog 2>/dev/null)" ]; do
        kill -0 $pid
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid && false
    [ ! -e "${TMPDIR:-/tmp}/grade-$(id -u)-$(sha256sum <<<"$(realpath results)" | cut -c 1-16)" ]
}

@test "one at a time: a second grade on the same results waits, then says so" {
    wants_sandbox
    hand_in ada "$SOLUTION"
    mkdir -p results/.class
    exec 8>results/.class/lock
    flock 8
    grade_class --labs 1
    [ "$status" -eq 3 ]
    has "another grade is at work"
}

@test "--feedback: full tells what was seen, brief the hints, score the points" {
    wants_sandbox
    hand_in ada "$STARTER"
    grade_class --labs 1 --feedback full
    [ "$status" -eq 0 ]
    grep -q '^Seen:$' results/ada/feedback.md
    grade_class --labs 1 --feedback brief
    ! grep -q '^Seen:$' results/ada/feedback.md || return 1
    grep -q '^- echo\\_line: ' results/ada/feedback.md
    grade_class --labs 1 --feedback score
    ! grep -q 'echo' results/ada/feedback.md || return 1
    grep -q ' of 100 points' results/ada/feedback.md
}

@test "a progress bar with time left on a terminal, none without" {
    wants_sandbox
    quick
    hand_in ada quick.c
    grade_class --labs 1
    [[ "$output" != *$'\r'* ]]
    rm -r results
    run script -qec "'$GRADING/grade' --class class --results results --labs 1" /dev/null
    [ "$status" -eq 0 ]
    has "100%"
}
