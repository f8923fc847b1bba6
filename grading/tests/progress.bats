# What `make test` shows below the result: the best score in each lab, and the next step.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
}

# make_course - a course with eight labs in ./course; lab 1's directory becomes the current one
make_course() {
    local lab
    cd "$BATS_TEST_TMPDIR"
    mkdir -p course/grading
    cp -r "$GRADING/starters" course/grading/
    for lab in "$GRADING"/../lab0*/; do
        lab=$(basename "$lab")
        mkdir "course/$lab"
        touch "course/$lab/solution.c"
        cp "course/grading/starters/$lab.c" "course/$lab/server.c"
    done
    cd course/lab01-blocking
}

# score LAB SCORE [CHECK...] - what grade prints below this result, in which these checks have failed.
# With keep='', as without make; with colour=true, as on a terminal; user: a command to become a different user.
score() {
    local lab=$1 score=$2
    shift 2
    jq -n --arg lab "$lab" --argjson score "$score" '[{$lab, $score, max: 100, verdict: (if $score then "graded" else "error" end),
        checks: [$ARGS.positional[] | {name: ., status: "failed"}]}]' --args "$@" >"$BATS_TEST_TMPDIR/r.json"
    # In the environment of grade.
    run "${user[@]}" bash -euo pipefail -c '
        root=$1 grading=$1/grading keep=$2 colour=$3 new=
        all_labs=($(cd "$root" && echo lab*))
        . "$GRADING/lib/way-forward.bash"
        print_way_forward "$4" "$5"
        [ -z "$new" ]' - "$BATS_TEST_TMPDIR/course" "${keep-yes}" "${colour:-false}" "$lab" "$BATS_TEST_TMPDIR/r.json"
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    [ -z "$(find "$BATS_TEST_TMPDIR/course" -name '.progress.*')" ]
}

# finished NUMBER... - these labs are
finished() {
    local number directory
    for number in "$@"; do
        directory=$(echo "$BATS_TEST_TMPDIR/course/lab0$number"-*)
        echo 100 >"$directory/.progress"
    done
}

# prints - the output of `run` is the standard input
prints() {
    diff <(echo "$output") -
}

# has WORDS
has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

@test "a first result: the table begins, and the next step is the README" {
    make_course
    score lab01-blocking 0 usage echo_line
    prints <<'END'

lab           >1     2     3     4     5     6     7     8
best score     0     -     -     -     -     -     -     -

server.c is still the starter. Next: read README.md, then replace the TODOs.
END
    [ "$(cat .progress)" = 0 ]
}

@test "some checks fail: the first of them is the next step; a single one has its commands above" {
    make_course
    echo '/* begun */' >>server.c
    score lab01-blocking 60 half_close stop
    prints <<'END'

lab           >1     2     3     4     5     6     7     8
best score    60     -     -     -     -     -     -     -

2 checks failed. Next, the first of them alone: make test CHECK=half_close
END
    score lab01-blocking 90 stop
    prints <<'END'

lab           >1     2     3     4     5     6     7     8
best score    90     -     -     -     -     -     -     -
END
}

@test "the best score stays; a server that does not compile has 0, and one that was not graded has none" {
    make_course
    echo '/* begun */' >>server.c
    score lab01-blocking 0
    has "best score     0 "
    score lab01-blocking 60 stop
    has "best score    60 "
    score lab01-blocking 40 stop
    has "best score    60 "
    score lab01-blocking 70 stop
    has "best score    70 "
    score lab01-blocking null
    [ -z "$output" ]
    [ "$(cat .progress)" = 70 ]
}

@test "100 points: the reference, what the next lab begins with, and where it is" {
    make_course
    score lab01-blocking 100
    prints <<'END'

lab           >1     2     3     4     5     6     7     8
best score   100     -     -     -     -     -     -     -

Lab 1 is finished. Next:
  1. compare it with the reference: diff -u server.c solution.c
  2. see what lab 2 begins with: diff -u solution.c ../lab02-fork/server.c
  3. cd ../lab02-fork, and read README.md
END
    cd ../lab07-callbacks
    score lab07-callbacks 100
    [ -z "$(grep '.\{81\}' <<<"$output")" ]
}

@test "without make: no table, and commands for the directory in which grade was started" {
    make_course
    cd ..
    keep='' score lab04-select 100
    prints <<'END'

Lab 4 is finished. Next:
  1. compare it with the reference: diff -u lab04-select/server.c lab04-select/solution.c
  2. see what lab 5 begins with: diff -u lab04-select/solution.c lab05-epoll/server.c
  3. cd lab05-epoll, and read README.md
END
    keep='' score lab04-select 90 stop
    [ -z "$output" ]
    [ ! -e lab04-select/.progress ]
}

@test "the next lab is begun, or finished, or an earlier one is not" {
    make_course
    echo '/* begun */' >>../lab02-fork/server.c
    echo 30 >../lab02-fork/.progress
    score lab01-blocking 100
    has $'solution.c\n  2. go on with lab 2: cd ../lab02-fork'
    finished 2 3
    score lab01-blocking 100
    has "2. see what lab 4 begins with: diff -u ../lab03-threads/solution.c ../lab04-select/server.c"
    rm .progress
    finished 4 5 6 7
    cd ../lab08-coroutines
    score lab08-coroutines 100
    has "Lab 8 is finished. Next:"
    has "  2. cd ../lab01-blocking, and read README.md"
}

@test "the last lab: the course is done" {
    make_course
    finished 1 2 3 4 5 6 7
    cd ../lab08-coroutines
    score lab08-coroutines 100
    prints <<'END'

lab            1     2     3     4     5     6     7    >8
best score   100   100   100   100   100   100   100   100

Lab 8 is finished, and with it the course. Next:
  1. compare it with the reference: diff -u server.c solution.c
  2. do the exercises of "Going further", near the end of each README.md
END
}

@test "an edition without solutions, and with some of the labs" {
    make_course
    rm ../lab*/solution.c
    score lab01-blocking 100
    has $'Next:\n  1. see what lab 2 begins with: diff -u server.c ../lab02-fork/server.c\n  2. cd ../lab02-fork, and read README.md'
    rm -r ../lab0[2-8]*
    score lab01-blocking 100
    prints <<'END'

lab           >1
best score   100

Lab 1 is finished. The next lab has not been handed out yet.
END
}

@test "a .progress that is something else is no error" {
    make_course
    head -c 1000000 /dev/urandom >../lab02-fork/.progress
    echo 007 >../lab03-threads/.progress
    echo 101 >../lab04-select/.progress
    mkfifo ../lab05-epoll/.progress
    mkdir -p ../lab06-reactor/.progress/in-use
    ln -s /dev/zero ../lab07-callbacks/.progress
    ln -s .progress ../lab08-coroutines/.progress
    : >.progress
    score lab01-blocking 50 stop
    has "best score    50     -     -     -     -     -     -     -"
    for lab in ../lab0[2-8]*; do
        score "$(basename "$lab")" 50 stop
        [ -d "$lab/.progress" ] || [ "$(cat "$lab/.progress")" = 50 ]
    done
    has "best score    50    50    50    50    50     -    50    50"
    score lab06-reactor 50 stop
    [[ "$output" != *best* ]] # nothing can be kept
}

@test "a directory that is read-only: no table, and the next step all the same" {
    make_course
    [ "$(id -u)" -ne 0 ] || user=(setpriv --inh-caps=-all --bounding-set=-all)
    chmod 555 .
    score lab01-blocking 100
    chmod 755 .
    [[ "$output" == $'\nLab 1 is finished. Next:'* ]]
    [ ! -e .progress ]
    echo 70 >.progress
    chmod 000 .progress
    score lab01-blocking 100
    has "best score   100 "
}

@test "in colours, the current lab is bold" {
    make_course
    colour=true score lab01-blocking 90 stop
    has $'lab       \e[1m    >1\e[0m     2'
    has $'best score\e[1m    90\e[0m     -'
}

@test "make test in the student edition: only server.c counts, and only with all checks" {
    cd "$BATS_TEST_TMPDIR"
    "$GRADING/handout" course
    cd course/lab01-blocking
    run make test
    [ "$status" -eq 2 ] # that of make, when grade's is 1
    has $'\nbest score     0     -     -'
    has "read README.md, then replace the TODOs"
    rm .progress
    cp "$GRADING/../lab01-blocking/solution.c" copy.c
    cp copy.c server.c
    for arguments in "test CHECK=usage" "test SOURCE=copy.c CHECK=usage"; do
        # shellcheck disable=SC2086 # words
        run make $arguments
        [ "$status" -eq 0 ]
        [[ "$output" != *best* ]]
    done
    run make test SOURCE=copy.c
    [ "$status" -eq 0 ]
    [[ "$output" != *best* && ! -e .progress ]]
    run make test
    [ "$status" -eq 0 ]
    has $'\nbest score   100     -     -'
    has "see what lab 2 begins with: diff -u server.c ../lab02-fork/server.c"
}

@test "Git ignores the scores, and the student edition does not contain them" {
    cd "$BATS_TEST_TMPDIR"
    mkdir course
    tar -C "$GRADING/.." --exclude=.build --exclude=.git -c . | tar -C course -x
    echo 90 >course/lab01-blocking/.progress
    course/grading/handout edition
    [ ! -e edition/lab01-blocking/.progress ]
    git init -q course
    git -C course check-ignore -q lab01-blocking/.progress
}
