# The command grade --class: arguments, kinds of submissions, resuming, feedback and progress.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export SOLUTION=$GRADING/../lab01-blocking/solution.c STARTER=$GRADING/starters/lab01-blocking.c
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    PROBLEM=$(sandbox_problem | head -n 1)
    export PROBLEM
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    mkdir class
}

prints() {
    [[ "$output" == *"$1"* ]] || { printf '"%s" is missing from:\n%s\n' "$1" "$output" && false; }
}

grade_class() {
    run "$GRADING/grade" --class class --results results "$@"
}

needs_sandbox() {
    [ -z "$PROBLEM" ] || skip "not tested, since this machine allows no sandbox: $PROBLEM"
}

# hand_in STUDENT FILE [LAB]
hand_in() {
    mkdir -p "class/$1/${3:-lab01-blocking}"
    cp "$2" "class/$1/${3:-lab01-blocking}/server.c"
}

# make_quick [STATUS] - writes quick.c, a server that exits at once and is thus graded quickly
make_quick() {
    echo "int main(void) { return ${1:-0}; }" >quick.c
}

@test "invalid arguments: exit status 2, before anything is graded" {
    run "$GRADING/grade" --class nowhere --results results
    [ "$status" -eq 2 ]
    prints "no readable directory 'nowhere'"
    run "$GRADING/grade" --class class
    [ "$status" -eq 2 ]
    prints "--results"
    for option in '--jobs 0' '--jobs many' '--feedback loud' '--labs 99' '--labs 1,x' '--memory no' '--fast'; do
        # shellcheck disable=SC2086 # an option and its argument
        grade_class $option
        [ "$status" -eq 2 ]
    done
    run "$GRADING/grade" --class class --results class/results
    [ "$status" -eq 2 ]
    prints "must not be inside"
    run "$GRADING/grade" --class --help
    [ "$status" -eq 0 ]
    prints "--sshlogin"
}

@test "without namespaces: prints the reason and what to do, exits with 3, and grades nothing" {
    hand_in ada "$SOLUTION"
    # In a directory that the user nobody can read: as root, the sandbox is tried as nobody.
    bin=$(mktemp -d /tmp/bin.XXXXXX)
    printf '#!/bin/sh\necho "bwrap: No permissions to create a new namespace" >&2; exit 1\n' >"$bin/bwrap"
    chmod 755 "$bin" "$bin/bwrap"
    PATH=$bin:$PATH grade_class
    rm -r "$bin"
    [ "$status" -eq 3 ]
    prints "No permissions to create a new namespace"
    prints "--no-sandbox"
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
    prints "repeat the command"
}

@test "directories, zip, tar.gz; just server.c for a single lab; two of one name; nothing for a lab" {
    needs_sandbox
    make_quick
    hand_in directory quick.c
    mkdir class/single-file class/twice class/other-lab
    cp quick.c class/single-file/server.c
    hand_in twice quick.c
    tar -C class -czf class/twice.tar.gz twice
    hand_in other-lab quick.c lab02-fork
    (cd class && python3 -c 'import zipfile; zipfile.ZipFile("zipped.zip", "w").write("single-file/server.c")')
    hand_in two-of-them quick.c one/lab01-blocking
    hand_in two-of-them quick.c two/lab01-blocking
    hand_in "Zoë Öz" quick.c lab1
    grade_class --labs 1
    [ "$status" -eq 0 ]
    for student in directory single-file zipped twice twice.tar.gz "Zoë Öz"; do
        grep -q "^\"$student\",0,0,\"\"\$" results/grades.csv || { cat results/grades.csv && false; }
    done
    grep -q '^"other-lab",,,"lab01-blocking: not handed in"' results/grades.csv
    grep -q '^"two-of-them",,,"lab01-blocking: 2 server.c files' results/grades.csv
    [ -e 'results/students/Zo%C3%AB%20%C3%96z/lab01.json' ]
}

@test "what is unchanged is not graded again; after a change to a submission or to the grader it is" {
    needs_sandbox
    make_quick
    hand_in ada quick.c
    hand_in ben quick.c
    grade_class --labs 1
    prints "2 servers, 0 already graded"
    touch -d '2001-01-01' results/students/ada/lab01.json results/students/ben/lab01.json
    grade_class --labs 1
    prints "2 servers, 2 already graded"
    make_quick 1
    hand_in ada quick.c
    grade_class --labs 1
    prints "2 servers, 1 already graded"
    [ results/students/ada/lab01.json -nt results/students/ben/lab01.json ]
    cp -a "$GRADING/.." course
    echo '# changed' >>course/grading/lib/labs.bash # and nothing has to be compiled
    run course/grading/grade --class class --results results --labs 1
    prints "2 servers, 0 already graded"
    # A result that is the grader's failure is made again.
    jq '.verdict = "error"' results/students/ben/lab01.json >new && mv new results/students/ben/lab01.json
    run course/grading/grade --class class --results results --labs 1
    prints "2 servers, 1 already graded"
}

# built_from_source - what the last run has compiled of the harness
built_from_source() {
    grep -c ' -c -o .*/core/' compiled || true
}

@test "what grade has built is not built again, unless it is out of date" {
    make_quick
    hand_in ada quick.c
    mkdir bin build
    # shellcheck disable=SC2016 # expanded by that script
    printf '#!/bin/sh\necho "$*" >>%q\nexec %q "$@"\n' "$PWD/compiled" "$(type -P gcc)" >bin/gcc
    chmod 755 bin/gcc
    export PATH=$PWD/bin:$PATH
    "$GRADING/lib/build-harness" "${GRADE_BUILD:-$GRADING/.build}"
    cp -a "${GRADE_BUILD:-$GRADING/.build}" build/up-to-date
    cp -a "${GRADE_BUILD:-$GRADING/.build}" build/out-of-date
    touch -d 2001-01-01 build/out-of-date/core/*.o
    cp -a "${GRADE_BUILD:-$GRADING/.build}" build/from-a-different-machine
    echo other >build/from-a-different-machine/built-with
    for build in build/*; do
        rm -f compiled
        find "$build" -printf '%p %s %T@\n' | sort >before
        GRADE_BUILD=$PWD/$build grade_class --no-sandbox --labs 1 --regrade ada
        [ "$status" -eq 0 ] || { echo "$output" && false; }
        echo "$build: $(built_from_source)"
        case $build in
        */up-to-date) [ "$(built_from_source)" -eq 0 ] ;;
        *) [ "$(built_from_source)" -gt 3 ] ;;
        esac
        diff before <(find "$build" -printf '%p %s %T@\n' | sort)
    done
}

# stop_at_rename N - from now on the Nth "mv" that grade runs waits, and says so in the file "stopped"
stop_at_rename() {
    mkdir -p bin
    rm -f stopped renames
    cat >bin/mv <<END
#!/bin/sh
echo >>$PWD/renames
if [ "\$(wc -l <$PWD/renames)" -eq $1 ]; then
    touch $PWD/stopped
    exec sleep 600
fi
exec $(type -P mv) "\$@"
END
    chmod +x bin/mv
}

@test "killed with SIGKILL while a file is replaced, and resumed: the same sheet, no partial file, nothing left behind" {
    needs_sandbox
    make_quick
    hand_in a quick.c
    "$GRADING/grade" --class class --results clean --labs 1 >/dev/null 2>&1
    for ((rename = 1; ; rename++)); do
        stop_at_rename $rename
        PATH=$PWD/bin:$PATH "$GRADING/grade" --class class --results results --jobs 1 --labs 1 \
            >/dev/null 2>&1 &
        pid=$!
        until [ -e stopped ] || ! kill -0 $pid 2>/dev/null; do sleep 0.1; done
        [ -e stopped ] || break
        kill -KILL $pid
        wait $pid || true
        find results -name 'lab*.json' -print0 | xargs -0 -r jq -e .verdict >/dev/null
        grade_class --labs 1
        [ "$status" -eq 0 ]
        diff <(cd clean && find . | sort) <(cd results && find . | sort)
        cmp clean/grades.csv results/grades.csv
        rm -r results
    done
    wait $pid
    [ $rename -ge 7 ]
}

@test "killed with SIGKILL at any moment and resumed: the same sheet" {
    needs_sandbox
    make_quick
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
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    cmp clean/grades.csv results/grades.csv
    diff <(cd clean && find . | sort) <(cd results && find . | sort)
}

@test "SIGTERM: ends at once and leaves nothing behind" {
    needs_sandbox
    for student in a b c d; do
        hand_in $student "$SOLUTION"
    done
    mkdir tmp
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_TEST_TMPDIR/.." . # the user nobody must get in
    TMPDIR=$PWD/tmp "$GRADING/grade" --class class --results results --labs 1 >/dev/null 2>&1 &
    pid=$!
    until [ -n "$(find results -name joblog 2>/dev/null)" ]; do
        kill -0 $pid
        sleep 0.1
    done
    kill -TERM $pid
    wait $pid && false
    [ -z "$(ls -A tmp)" ]
    [ ! -e results/.class/work ]
}

@test "a second run on the same results waits for the first, then reports it and gives up" {
    needs_sandbox
    hand_in ada "$SOLUTION"
    mkdir -p results/.class
    exec 8>results/.class/lock
    flock 8
    grade_class --labs 1
    [ "$status" -eq 3 ]
    prints "another run is using"
}

@test "--feedback: full shows the evidence, brief the hints, score only the points" {
    needs_sandbox
    hand_in ada "$STARTER"
    grade_class --labs 1 --feedback full
    [ "$status" -eq 0 ]
    grep -q '^Evidence:$' results/students/ada/feedback.md
    grade_class --labs 1 --feedback brief
    ! grep -q '^Evidence:$' results/students/ada/feedback.md || return 1
    grep -q '^- echo\\_line: ' results/students/ada/feedback.md
    grade_class --labs 1 --feedback score
    ! grep -q 'echo' results/students/ada/feedback.md || return 1
    grep -q ' of 100 points' results/students/ada/feedback.md
}

@test "a server that does not compile: every line of the compiler, the assembler and the linker, and none of make's" {
    printf '#error make: *** [me] Error 1\nint x = ;\n' >compiler.c
    # shellcheck disable=SC2028 # for C
    echo 'void nowhere(void); __asm__(".print \"make: *** mine\""); int main(void) { nowhere(); }' >linker.c
    for file in compiler linker; do
        "$GRADING/grade" --file $file.c --json result.json 1 >screen
        jq -j ".[0].compiler" result.json >$file
        grep -qF "$(grep -o "error: .*" $file | tail -n 1)" screen
        cat $file
    done
    grep -q '^server.c:1:2: error: #error make: \*\*\* \[me\] Error 1' compiler
    grep -q '^server.c:2:9: error: ' compiler
    grep -q '^make: \*\*\* mine$' linker
    grep -q 'undefined reference to .nowhere' linker
    [[ "$(tail -n 1 linker)" == "collect2: error: "* ]]
    [ "$(grep -c '^make: ' compiler linker | tr '\n' ' ')" = "compiler:0 linker:1 " ]
}

@test "--results inside the --class directory is refused, and leaves nothing there" {
    mkdir -p inside/ada
    cp "$SOLUTION" inside/ada/server.c
    run "$GRADING/grade" --class inside --results inside/new/results --labs 1 --no-sandbox
    [ "$status" -eq 2 ]
    [[ "$output" == *"must not be inside"* ]]
    [ "$(ls inside)" = ada ]
}
