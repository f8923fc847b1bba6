# Sourced by downloads.bats and week.bats: the class grader with a stand-in that reads the points from the server.c.
# shellcheck shell=bash
# shellcheck disable=SC2016,SC2086,SC2154,SC2164 # bats stops at a failed cd, and sets output; SANDBOX may be empty

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/.. MAKE=$BATS_TEST_DIRNAME/downloads/make-download.py
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    export SANDBOX=''
    [ -z "$(sandbox_problem)" ] || SANDBOX=--no-sandbox # nothing that is handed in here is run
    export COURSE=$BATS_FILE_TMPDIR/course
    mkdir -p "$COURSE/grading"
    cp -a "$GRADING"/{class,starters,lib,lab.mk,grade} "$COURSE/grading"
    mkdir "$COURSE/grading/harness"
    for lab in "$GRADING"/../lab[0-9]*/; do
        mkdir "$COURSE/$(basename "$lab")"
        cp "$lab/test.c" "$COURSE/$(basename "$lab")"
    done
    cp "$GRADING/tests/downloads/fake-grader" "$COURSE/grading/class/grade-submission"
    printf '#!/bin/sh\nchmod 755 "$1"\n' >"$COURSE/grading/class/prepare-host"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

prints() {
    [[ "$output" == *"$1"* ]] || { printf '"%s" is missing from:\n%s\n' "$1" "$output" && false; }
}

# grade_class DIR [OPTION...]
grade_class() {
    run "$COURSE/grading/grade" --class "$1" --results results $SANDBOX "${@:2}"
}

# row STUDENT - this student's row in grades.csv, without quotes
row() {
    python3 -c 'import csv, sys
for row in csv.DictReader(open("results/grades.csv", encoding="utf-8-sig", newline="")):
    if row["student"] == sys.argv[1]: print("|".join(row.values()))' "$1"
}

# row_is STUDENT ROW
row_is() {
    [ "$(row "$1")" = "$2" ] || { printf 'expected %s\n' "$2" && cat results/grades.csv && false; }
}

# server DIR SCORE [NAME] - a server.c of so many points
server() {
    mkdir -p "$1"
    echo "// score $2" >"$1/${3:-server.c}"
}

students() {
    jq -r '.[].student' results/.class/submissions.json
}
