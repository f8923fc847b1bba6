# The student edition: complete, and without answers.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    cd "$BATS_FILE_TMPDIR"
    "$GRADING/handout" edition
    "$GRADING/handout" --no-last-hints brief
    # The lines of the solutions that stand in no starter, without the space around them, and without
    # those that any program in C has: what the harness has too is no secret.
    trimmed "$ROOT"/lab*/solution.c >solutions
    trimmed "$GRADING"/starters/*.c >starters
    trimmed "$GRADING"/harness/*.[ch] >everyday
    # What a README shows it shows on purpose: lab 7's sets its search beside lab 6's.
    cat "$ROOT"/lab*/README.md >told
    LC_ALL=C comm -23 solutions starters | LC_ALL=C comm -23 - everyday | grep -E '[a-z_]{3,}' |
        while IFS= read -r line; do
            grep -qF -- "$line" told || echo "$line"
        done >secrets
    # A later starter has what an earlier lab has taught, perhaps behind an else: no secret either.
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

# answers_in FOLDER - the secret lines that stand in it as whole lines, or within others when they are
# long; the last hints may have such phrases
answers_in() {
    find "$1" -type f -exec cat {} + | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' | LC_ALL=C sort -u |
        LC_ALL=C comm -12 - <(LC_ALL=C sort secrets)
    find "$1" -type f -not -name hints.md -exec grep -hoFf phrases {} +
}

@test "no line of a solution beyond the starters is in it" {
    [ "$(wc -l <secrets)" -gt 40 ]
    [ -z "$(answers_in edition)" ] || { answers_in edition && false; }
    [ -z "$(find edition \( -name 'solution*' -o -name '*.patch' -o -name '*.bats' \) -print)" ]
}

@test "that would be noticed" {
    cp -r edition leaky
    head -n 1 phrases | sed 's/^/    /' >>leaky/lab01-blocking/README.md
    [ -n "$(answers_in leaky)" ]
    rm -r leaky
}

@test "without the last hints no hint has a line of a solution, and each check has a hint" {
    ! grep -qFf phrases brief/lab*/hints.md
    for lab in brief/lab*/; do
        grep '^## ' "$lab/hints.md" | cut -d ' ' -f 2 | while IFS= read -r check; do
            make -s -C "$lab" hint "CHECK=$check" | grep -q .
            [[ "$(make -s -C "$lab" hint "CHECK=$check")" != *"has hints up to"* ]]
        done
    done
    [ "$(cat brief/lab*/hints.md | wc -l)" -lt "$(cat edition/lab*/hints.md | wc -l)" ]
}

@test "it builds and passes make test on its own; whoever solves a lab has full marks" {
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

@test "every link of its READMEs leads somewhere, but to solutions" {
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
