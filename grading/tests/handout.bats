# The student edition: complete, and without solutions.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    cd "$BATS_FILE_TMPDIR"
    "$GRADING/handout" edition
    "$GRADING/handout" --no-last-hints brief
    # secrets: the lines of the solutions, trimmed, that are in no starter and, since every C program has
    # some lines in common, not in the harness either.
    trimmed "$ROOT"/lab*/solution.c >solutions
    trimmed "$GRADING"/starters/*.c >starters
    find "$GRADING/harness" -name '*.[ch]' -exec cat {} + | trimmed >common
    # Nor what a README quotes: lab 7's compares its search with lab 6's.
    cat "$ROOT"/lab*/README.md >quoted
    LC_ALL=C comm -23 solutions starters | LC_ALL=C comm -23 - common | grep -E '[a-z_]{3,}' |
        while IFS= read -r line; do
            grep -qF -- "$line" quoted || echo "$line"
        done >secrets
    # phrases: long secrets that are in no starter as part of a line either (say, after an else).
    awk 'length > 24' secrets | while IFS= read -r line; do
        grep -qF -- "$line" starters || echo "$line"
    done >phrases
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

trimmed() {
    cat "$@" | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | LC_ALL=C sort -u
}

# answers_in DIR - prints the secrets that are whole lines in DIR, and the phrases anywhere in a line,
# except in hints.md and hints.ko.md: the last hints may contain them
answers_in() {
    find "$1" -type f -exec cat {} + | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | LC_ALL=C sort -u |
        LC_ALL=C comm -12 - <(LC_ALL=C sort secrets)
    find "$1" -type f -not -name 'hints*.md' -exec grep -hoFf phrases {} +
}

# finds_nothing ARGUMENT... - grep finds nothing. (In a test, the status of "! grep" is ignored.)
finds_nothing() {
    ! grep "$@"
}

@test "it contains no line of a solution that is not in a starter" {
    [ "$(wc -l <secrets)" -gt 40 ]
    [ -z "$(answers_in edition)" ] || { answers_in edition && false; }
    [ -z "$(find edition \( -name 'solution*' -o -name '*.patch' -o -name '*.bats' \) -print)" ]
}

@test "a leaked line would be detected" {
    cp -r edition leaky
    head -n 1 phrases | sed 's/^/    /' >>leaky/lab01-blocking/README.md
    [ -n "$(answers_in leaky)" ]
    rm -r leaky
}

@test "without the last hints, no hint contains a line of a solution, and each check has a hint" {
    finds_nothing -qFf phrases brief/lab*/hints*.md
    for lab in brief/lab*/; do
        grep '^## ' "$lab/hints.md" | cut -d ' ' -f 2 | while IFS= read -r check; do
            for language in en ko; do
                make -s -C "$lab" hint "CHECK=$check" "HINTS=$language" | grep -q .
                [[ "$(make -s -C "$lab" hint "CHECK=$check" "HINTS=$language")" != *"has hints up to"* ]]
            done
        done
    done
    for page in hints.md hints.ko.md; do
        [ "$(cat brief/lab*/$page | wc -l)" -lt "$(cat edition/lab*/$page | wc -l)" ]
    done
}

@test "it builds on its own, and a student who solves a lab gets full marks" {
    cp -r edition course
    cd course
    unset GRADE_BUILD
    run grading/grade
    [ "$status" -eq 0 ]
    [[ "$output" == *"Where to begin"* && "$output" != *"--reference"* ]]
    for lab in lab*/; do
        make -s -C "$lab"
        [ -x "$lab/server" ]
    done
    cp "$ROOT/lab01-blocking/solution.c" lab01-blocking/server.c
    run make -s -C lab01-blocking test
    [ "$status" -eq 0 ]
    [[ "$output" == *"100/100"* ]]
    yes | make -s -C lab01-blocking reset >/dev/null
    cmp lab01-blocking/server.c "$GRADING/starters/lab01-blocking.c"
    run grading/grade --class . --results ..
    [ "$status" -eq 2 ]
}

@test "every link in its READMEs works" {
    [ -z "$(dead_links edition)" ] || { dead_links edition && false; }
}

@test "what an editor leaves, and C files of any name, do not get into it: in a git checkout and without git" {
    mkdir -p copy/grading
    cp -a "$GRADING"/{handout,grade,backend,trace,timeline,lib,lab.mk,harness,starters} copy/grading
    mkdir -p copy/grading/bench && cp "$GRADING/bench/idle-clients.svg" copy/grading/bench
    cp -a "$ROOT"/{lab0*,README.md,README.ko.md,LICENSE,.clang-format,.editorconfig,.gitignore,.vscode,.devcontainer} copy
    git -C copy init -q && git -C copy add . && rm copy/lab01-blocking/pictures/timeline.svg
    for name in .solution.c.swp '#solution.c#' .#solution.c my-solution.c solution.c.orig server.c~ server.c.bak; do
        echo secret >"copy/lab01-blocking/$name"
    done
    copy/grading/handout from-git 1
    rm -rf copy/.git
    copy/grading/handout without-git 1
    [ -f from-git/grading/timeline/trace.py ] && [ -L from-git/lab01-blocking/.vscode ]
    diff -r from-git without-git
    finds_nothing -rlx secret from-git without-git
    rm -r copy
}

@test "some labs only" {
    "$GRADING/handout" some 2 lab03
    [ "$(echo some/lab*)" = "some/lab02-fork some/lab03-threads" ]
    run "$GRADING/handout" some
    [ "$status" -eq 2 ]
    run "$GRADING/handout" other 99
    [ "$status" -eq 2 ]
}

@test "without lab 1, each check has its hints, and make diff says what it lacks" {
    "$GRADING/handout" --no-last-hints later 5 8
    every_hint_works later
    finds_nothing -qFf phrases later/grading/lib/hints.md later/grading/lib/hints.ko.md
    [[ "$(make -s -C later/lab05-epoll hint CHECK=usage HINTS=ko)" == *처리한다* ]]
    [ -z "$(dead_links later)" ] || { dead_links later && false; }
    run make -s -C later/lab05-epoll diff
    [ "$status" -eq 0 ]
    [ "$output" = "The lab before lab05-epoll is not here: there is nothing to compare it with." ]
}

# dead_links DIR - the links in its pages that lead nowhere
dead_links() {
    local page link
    for page in "$1"/README*.md "$1"/lab*/*.md "$1"/grading/lib/*.md; do
        [ -e "$page" ] || continue
        { grep -oE '\]\([^)#:]+' "$page" || true; } | sed 's/^](//' | while IFS= read -r link; do
            [ -e "$(dirname "$page")/$link" ] || echo "$page: $link"
        done
    done
}

# every_hint_works DIR
every_hint_works() {
    local lab check
    for lab in "$1"/lab*/; do
        for check in $(awk -f "$GRADING/lib/list-checks.awk" "$lab/test.c" | cut -d ' ' -f 2); do
            run make -s -C "$lab" hint "CHECK=$check"
            [ "$status" -eq 0 ]
            [[ "$output" != "Choose a check"* && "$output" != *"cannot open"* ]] || { echo "$check: $output" && false; }
        done
    done
}

@test "one lab alone: no dead links, working hints, and it is not called the first" {
    for lab in 2 5; do
        "$GRADING/handout" "only$lab" "$lab"
        [ -z "$(dead_links "only$lab")" ] || { dead_links "only$lab" && false; }
        every_hint_works "only$lab"
        finds_nothing -iE 'begin with|first lab' "only$lab/README.md"
        grep -q "](lab0$lab-[a-z]*/README.md)\. Replace the TODOs" "only$lab/README.md"
        grep -q "문서를 연다: \[[^]]*\](lab0$lab-[a-z]*/README.ko.md)\." "only$lab/README.ko.md"
    done
    run make -s -C only2/lab02-fork diff
    [[ "$output" != *"first lab"* ]]
}

@test "labs are added one by one, and what a student has changed is left as it was" {
    for lab in 2 1 3; do
        run "$GRADING/handout" growing "$lab"
        [ "$status" -eq 0 ]
        [[ "$output" == *"lab0$lab-"* ]]
        [ -z "$(dead_links growing)" ] || { dead_links growing && false; }
        every_hint_works growing
        grep -q "(lab0$lab-[a-z]*/README.md)" growing/README.md
        [ ! -e growing/README.md.old ]
    done
    grep -q 'begin with \[lab01-blocking\](lab01-blocking/README.md)' growing/README.md
    grep -q '\[lab01-blocking\](lab01-blocking/README.ko.md)부터 시작한다' growing/README.ko.md
    make -s -C growing/lab02-fork diff >/dev/null
    # In the end, the same as at once, except for the way to lab 1's hints.
    "$GRADING/handout" at-once 1 2 3
    diff -r -x 'hints*.md' growing at-once
    # Work is not overwritten, nor is what an instructor has written.
    echo "/* mine */" >growing/lab02-fork/server.c
    echo "Our course begins in room 5." >>growing/README.md
    run "$GRADING/handout" growing 2 4
    [ "$status" -eq 0 ]
    [[ "$output" == *"lab04-select."* && "$output" == *"It has lab02-fork already"* && "$output" == *"README.md.old"* ]]
    [ "$(cat growing/lab02-fork/server.c)" = "/* mine */" ]
    grep -q "room 5" growing/README.md.old
    grep -q '(lab04-select/README.md)' growing/README.md
    [ -z "$(answers_in growing)" ]
    # Nothing else is taken for an edition, least of all this repository.
    mkdir -p something/lab01-blocking
    for other in something "$ROOT"; do
        run "$GRADING/handout" "$other" 2
        [ "$status" -eq 2 ]
        [[ "$output" == *"not a student edition"* ]]
    done
    run "$GRADING/handout" growing
    [ "$status" -eq 2 ]
}

@test "without the last hints, LEVEL=3 is not recommended, also in labs that are added later" {
    "$GRADING/handout" --no-last-hints few 2
    "$GRADING/handout" few 3
    for edition in brief few; do
        finds_nothing -rn 'LEVEL=3' --include='README*.md' --include='hints*.md' --include=lab.mk "$edition"
        finds_nothing -nE 'nearly the answer|거의.정답' -r --include='*.md' "$edition"
        [ -z "$(dead_links "$edition")" ]
        grep -q 'LEVEL=2' "$edition/lab02-fork/README.md"
        run make -s -C "$edition/lab02-fork" help
        [[ "$output" == *"LEVEL=2: a more detailed one"* ]]
    done
    finds_nothing -qFf phrases few/lab*/hints*.md few/grading/lib/hints*.md
    grep -q 'LEVEL=3' edition/lab02-fork/README.md
}

@test "no page mentions a solution.c, which students do not have" {
    finds_nothing -rn 'solution\.c' --include='*.md' edition
}

@test "the Korean pages are for students, too" {
    grep -q '^\*\*학생:\*\*' edition/README.ko.md
    finds_nothing -nE '^\*\*(강사|독자|기여자)|--reference' edition/README.ko.md
    for page in edition/lab*/README.md; do
        [ -e "${page%.md}.ko.md" ]
    done
}
