#!/usr/bin/env bats
# grading/mutants/port-mutants: what follows a changed solution by itself, and what it leaves to a person.

setup() {
    tree=$(mktemp -d)
    mkdir -p "$tree/lab01-demo" "$tree/grading/mutants/lab01-demo" "$tree/grading/starters"
    cp "$BATS_TEST_DIRNAME/../mutants/port-mutants" "$tree/grading/mutants/"
    cp "$BATS_TEST_DIRNAME/../../.clang-format" "$tree/"
    cd "$tree" || return
    cat >lab01-demo/solution.c <<'END'
#include <stdio.h>

/* Twice a number, whoever asks. */
static int twice(int n)
{
    return 2 * n; /* never more */
}

int main(void)
{
    int all = twice(21);
    printf("%d\n", all);
    return 0;
}
END
    sed 's|return 2 \* n; /\* never more \*/|/* TODO 1: Twice. */\n    return n;|' lab01-demo/solution.c \
        >grading/starters/lab01-demo.c
    mutant three-times 's/2 \* n/3 * n/'
    mutant never-twice 's/twice(21)/21 + 0 * twice(1)/'
    git init -q . && git add -A
    git -c user.name=test -c user.email=test@example.org commit -qm old
}

teardown() {
    cd / && rm -rf "$tree"
}

# mutant NAME SED - a patch with a header of its own
mutant() {
    sed "$2" lab01-demo/solution.c >"$tree/mutant.c"
    {
        printf 'Caught by: echo_line\nMessage: %s\n\nA mistake.\n\n' "$1"
        diff -u --label a/lab01-demo/solution.c --label b/lab01-demo/solution.c lab01-demo/solution.c \
            "$tree/mutant.c" || true
    } >"grading/mutants/lab01-demo/$1.patch"
    rm "$tree/mutant.c"
}

# The solution gets new names, a new comment, and main comes first.
change_the_solution() {
    cat >lab01-demo/solution.c <<'END'
#include <stdio.h>

static int doubled(int n);

int main(void)
{
    int total = doubled(21);
    printf("%d\n", total);
    return 0;
}

/* Returns the double of a number. */
static int doubled(int n)
{
    return 2 * n; /* it does not overflow here */
}
END
    printf '%s\n' 'twice=doubled # a comment' 'main:all=total' >renames
}

# prints NAME - what the mutant NAME of the present solution prints
prints() {
    patch -s --fuzz=0 -o mutated.c lab01-demo/solution.c <"grading/mutants/lab01-demo/$1.patch" &&
        gcc -o mutated mutated.c && ./mutated
}

@test "renamed, reworded and moved functions take their mutants along" {
    change_the_solution
    run grading/mutants/port-mutants --renames renames lab01-demo
    [ "$status" -eq 0 ]
    [ "$output" = "lab01-demo: 3 ported" ]
    [ "$(prints three-times)" = 63 ]
    [ "$(prints never-twice)" = 21 ]
    head -n 5 grading/mutants/lab01-demo/three-times.patch | grep -qx 'Message: three-times'
    ! grep -rqE 'twice\(|\ball\b|never more' grading/mutants/lab01-demo grading/starters
}

@test "the starter follows, in the lab as well" {
    change_the_solution
    grading/mutants/port-mutants --renames renames lab01-demo
    cmp lab01-demo/server.c grading/starters/lab01-demo.c
    grep -q 'TODO 1: Twice' lab01-demo/server.c
    grep -q 'Returns the double' lab01-demo/server.c
}

@test "what both have changed is named, left as it was, and handed out to be finished" {
    sed -i 's/return 2 \* n;/return n << 1;/' lab01-demo/solution.c
    cp grading/mutants/lab01-demo/three-times.patch before
    run grading/mutants/port-mutants --unmerged by-hand lab01-demo
    [ "$status" -eq 1 ]
    [[ "$output" == *"three-times.patch: twice()"* ]]
    cmp before grading/mutants/lab01-demo/three-times.patch
    [ "$(prints never-twice)" = 21 ]
    sed -i 's/return 3 \* n;/return n * 3;/' by-hand/lab01-demo/three-times.c
    sed 's/return n << 1;/return n << 2;/' lab01-demo/solution.c >by-hand/lab01-demo/four-times.c
    run grading/mutants/port-mutants --take by-hand lab01-demo
    [ "$status" -eq 0 ]
    [ "$(prints three-times)" = 63 ]
    [ "$(prints four-times)" = 84 ]
    grep -qx 'Caught by: ?' grading/mutants/lab01-demo/four-times.patch
}

@test "correct variants follow as well, and are made in the same way" {
    mkdir -p new/lab01-demo
    sed 's/2 \* n/n + n/' lab01-demo/solution.c >new/lab01-demo/sum.c
    run grading/mutants/port-mutants --variants --take new lab01-demo
    [ "$status" -eq 0 ]
    sed -i '1,/^$/s/?/Adds instead of multiplying./' grading/variants/lab01-demo/sum.patch
    git add -A && git -c user.name=test -c user.email=test@example.org commit -qm variant
    change_the_solution
    run grading/mutants/port-mutants --renames renames lab01-demo
    [ "$output" = "lab01-demo: 4 ported" ]
    head -n 1 grading/variants/lab01-demo/sum.patch | grep -qx 'Adds instead of multiplying.'
    patch -s --fuzz=0 -o mutated.c lab01-demo/solution.c <grading/variants/lab01-demo/sum.patch
    grep -q 'return n + n;' mutated.c
}

@test "a mutant that would not compile is named" {
    sed -i 's/twice(21)/undeclared(21)/' lab01-demo/solution.c
    run grading/mutants/port-mutants --only three-times lab01-demo
    [ "$status" -eq 1 ]
    [[ "$output" == *"three-times.patch: it does not compile: "*undeclared* ]]
}

@test "wrong arguments: a line each, and status 2" {
    run grading/mutants/port-mutants lab99-none
    [ "$status" -eq 2 ]
    [[ "$output" == *"no lab99-none/solution.c"* ]]
    run grading/mutants/port-mutants --from no-such-revision lab01-demo
    [ "$status" -eq 2 ]
    echo 'no rename' >renames
    run grading/mutants/port-mutants --renames renames lab01-demo
    [ "$status" -eq 2 ]
    [[ "$output" == *"not old=new"* ]]
}
