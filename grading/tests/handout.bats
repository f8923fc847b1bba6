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
# except in hints.md: the last hints may contain them
answers_in() {
    find "$1" -type f -exec cat {} + | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | LC_ALL=C sort -u |
        LC_ALL=C comm -12 - <(LC_ALL=C sort secrets)
    find "$1" -type f -not -name hints.md -exec grep -hoFf phrases {} +
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
    ! grep -qFf phrases brief/lab*/hints.md
    for lab in brief/lab*/; do
        grep '^## ' "$lab/hints.md" | cut -d ' ' -f 2 | while IFS= read -r check; do
            make -s -C "$lab" hint "CHECK=$check" | grep -q .
            [[ "$(make -s -C "$lab" hint "CHECK=$check")" != *"has hints up to"* ]]
        done
    done
    [ "$(cat brief/lab*/hints.md | wc -l)" -lt "$(cat edition/lab*/hints.md | wc -l)" ]
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

@test "every link in its READMEs works, except those to solutions" {
    cd edition
    for page in README.md lab*/*.md; do
        grep -oE '\]\([^)#:]+' "$page" | sed 's/^](//' | while IFS= read -r link; do
            [ -e "$(dirname "$page")/$link" ] || [ "$(basename "$link")" = solution.c ] || { echo "$page: $link" && exit 1; }
        done
    done
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
    for lab in later/lab*/; do
        for check in $(awk -f "$GRADING/lib/list-checks.awk" "$lab/test.c" | cut -d ' ' -f 2); do
            run make -s -C "$lab" hint "CHECK=$check"
            [ "$status" -eq 0 ]
            [[ "$output" != "Choose a check"* && "$output" != *"cannot open"* ]] || { echo "$check: $output" && false; }
        done
    done
    ! grep -qFf phrases later/grading/lib/hints.md
    run make -s -C later/lab05-epoll diff
    [ "$status" -eq 0 ]
    [ "$output" = "The lab before lab05-epoll is not here: there is nothing to compare it with." ]
}
