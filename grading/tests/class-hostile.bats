# Hostile submissions gain nothing, and do not affect other students.
# The class is graded once; each test examines the results.
# shellcheck shell=bats

load hostile/submissions

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export CLASS=$BATS_FILE_TMPDIR/class RESULTS=$BATS_FILE_TMPDIR/results VICTIM=$BATS_FILE_TMPDIR/victim
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    PROBLEM=$(sandbox_problem | head -n 1)
    export PROBLEM
    mkdir "$CLASS" "$BATS_FILE_TMPDIR/tmp"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR/.." "$BATS_FILE_TMPDIR" # the user nobody must get in
    export TMPDIR=$BATS_FILE_TMPDIR/tmp
    echo 'SECRET-OF-THE-VICTIM' >"$VICTIM"
    [ -z "$PROBLEM" ] || return 0

    # A listener on the host, which no submission may reach.
    coproc HOST { exec python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); s.accept(); open("'"$BATS_FILE_TMPDIR"'/reached", "w")'; }
    read -r host_port <&"${HOST[0]}"
    export HOST_PID=$HOST_PID
    local attack name
    for name in aaa-correct mmm-correct zzz-correct; do
        hand_in "$name" cat "$GRADING/../lab01-blocking/solution.c"
    done
    for attack in "$GRADING"/tests/hostile/*.c; do
        hand_in "$(basename "$attack" .c)" insert_attack "$attack" "$host_port"
    done
    for attack in "$GRADING"/tests/hostile/at-compile-time/*.c; do
        hand_in "$(basename "$attack" .c)" cat "$attack"
    done
    "$GRADING/tests/hostile/make-archives.py" "$CLASS" "$GRADING/../lab01-blocking/solution.c" "$VICTIM"
    for name in $'\xc2\x9b31mred' $'\xe2\x80\xaegnp' $'\xef\xbc\x9d1+1' grades.csv.new report.html students quick quick.zip; do
        hand_in "$name" echo 'int main(void) { return 0; }'
    done
    SECONDS=0
    STATUS=0
    # Three at a time, since many of them only wait.
    SECRET_TOKEN=SECRET "$GRADING/grade" --class "$CLASS" --results "$RESULTS" --labs 1 --jobs 3 >"$BATS_FILE_TMPDIR/screen" 2>&1 </dev/null || STATUS=$?
    echo "# the class of $(find "$CLASS" -mindepth 1 -maxdepth 1 | wc -l) took $SECONDS s" >&3
    export STATUS
}

teardown_file() {
    [ -z "${HOST_PID:-}" ] || kill "$HOST_PID" 2>/dev/null || true
}

setup() {
    [ -z "$PROBLEM" ] || skip "not tested, since this machine allows no sandbox: $PROBLEM"
}

# hand_in STUDENT COMMAND... - the output of the command becomes the student's server.c
hand_in() {
    mkdir -p "$CLASS/$1/lab01-blocking"
    "${@:2}" >"$CLASS/$1/lab01-blocking/server.c"
}

# sheet STUDENT WORDS - the student's row in the grade sheet must contain the words
sheet() {
    grep -qF -- "$2" <(grep -F -- "$1" "$RESULTS/grades.csv") || { cat "$RESULTS/grades.csv" && return 1; }
}

unaffected='.score == 100 and .verdict == "graded"'
foiled='.verdict == "graded" and .score < 20 and ([.. | strings | select(contains("ATTACK SUCCEEDED"))] == [])'
refused='.verdict == "does-not-compile" and .score == 0'

@test "the other students have full marks" {
    for student in aaa-correct mmm-correct zzz-correct; do
        result "$student" "$unaffected"
    done
}

@test "grading completes, and the sheet lists every student" {
    # The submission that takes all ports may make the grader fail for itself: status 3, and no score.
    [ "$STATUS" -eq 0 ] || [ "$STATUS" -eq 3 ]
    [ "$(jq length "$RESULTS/.class/class-results.json")" -eq "$(find "$CLASS" -mindepth 1 -maxdepth 1 -printf x | wc -c)" ]
    [ "$(python3 -c 'import csv, sys; print(len(list(csv.reader(open(sys.argv[1])))))' "$RESULTS/grades.csv")" -eq \
        $(($(jq length "$RESULTS/.class/class-results.json") + 1)) ]
}

@test "fork bomb" { result fork-bomb "$foiled"; }
@test "memory bomb" { result memory-bomb "$foiled"; }
@test "endless output" { result endless-output "$foiled"; }
@test "fills the disk: only its own small tmpfs" { result fills-the-disk "$unaffected"; }
@test "kills every process that it can: only itself" { result kills-all-processes "$foiled"; }
@test "stops every process that it can" { result stops-all-processes '.verdict == "graded" and .score <= 100'; }
@test "looks for the grader to trace it" { result traces-the-grader "$unaffected"; }
@test "writes over the results" { result writes-results "$unaffected"; }
@test "prints a fake score" { result prints-a-score "$foiled"; }
@test "looks for the solution and other students' work" { result reads-the-solution "$unaffected"; }
@test "tries to get namespaces, mounts and root" { result escapes-the-sandbox "$unaffected"; }
@test "ignores SIGTERM" {
    result ignores-sigterm '.verdict == "graded" and (.checks[] | select(.name == "stop") | .status == "failed")'
}
@test "connects to the host's loopback: unreachable" {
    result reaches-the-host "$unaffected"
    [ ! -e "$BATS_FILE_TMPDIR/reached" ]
    kill -0 "$HOST_PID"
}
@test "exhausts the ports: gains no points" {
    result exhausts-all-ports '(.verdict == "error" and .score == null) or (.verdict == "graded" and .score < 100)'
}
@test "binds hundreds of ports first: the grader finds others" { result binds-ports-first '.verdict == "graded" and .score <= 100 and .score > 50'; }
@test "leaks only under valgrind: memory fails" {
    result leaks-under-valgrind '.score < 100 and (.checks[] | select(.name == "memory") | .status == "failed")'
}
@test "prints its environment: no secret in it" {
    result tells-its-environment "$foiled"' and ([.. | strings | select(contains("no secret"))] != [])'
}
@test "waits in a file whose name holds escapes" { result waits-in-a-strange-file "$foiled"; }
@test "students called like our own files have their own results" {
    for student in grades.csv.new report.html students quick quick.zip; do result "$student" '.verdict == "graded" and .score < 20'; done
    [ -f "$RESULTS/grades.csv" ] && [ -f "$RESULTS/report.html" ] && [ ! -e "$RESULTS/grades.csv.new" ]
}
@test "a constructor that exits before main" { result exits-before-main "$foiled"; }
@test "a daemon left behind is killed as well" {
    result leaves-a-daemon '.verdict == "graded" and .score <= 100'
}

@test "#include of /etc/passwd: not readable, and not quoted" {
    result includes-passwd "$refused"' and (.compiler | contains("root:") | not)'
}
@test "#include of the environment: no secret" { result includes-its-environment '.score == 0 and ([.. | strings | select(contains("SECRET"))] == [])'; }
@test "#error with escapes" { result prints-escapes "$refused"; }
@test "#include of the solution: not readable" { result includes-the-solution "$refused"; }
@test "the assembler's .incbin: not readable" { result assembles-a-secret "$refused"; }
@test "a macro bomb" { result macro-bomb "$refused"; }
@test "#include of an endless file" { result includes-an-endless-file "$refused"; }
@test "compilation that never ends" { result sleeps-while-compiling "$refused"; }
@test "a linker script" { result contains-a-linker-script "$refused"; }
@test "a one-terabyte program" { result large-program "$refused"; }
@test "a Makefile, checks and results of its own: ignored" { result own-makefile "$foiled"; }

@test "links, pipes and .. in directories and archives: not followed, and listed" {
    for student in zip-with-dots zip-with-link tar-with-dots tar-with-links; do
        sheet "$student" "not handed in"
    done
    sheet directory-with-link "cannot be opened as a regular file"
    sheet directory-with-pipe "not a regular file"
    sheet link-to-other-student "not handed in"
    sheet entry-is-a-link "a symbolic link"
    [ -z "$(find "$BATS_FILE_TMPDIR" /tmp -maxdepth 3 -name 'escaped*' 2>/dev/null)" ]
    ! grep -rqF SECRET-OF-THE-VICTIM "$RESULTS"
}

@test "archive bombs, and files that are no archives: listed" {
    sheet zip-bomb "larger than 1048576 bytes"
    sheet tar-bomb "unpacks to more than"
    sheet many-members "more than 20000 files"
    sheet broken.zip "not a zip file"
    sheet broken.tar.gz "not a tar.gz file"
    sheet letter.docx "not a directory or an archive"
    sheet .hidden "not a directory or an archive"
    [ "$(du -sm "$RESULTS" | cut -f 1)" -lt 20 ]
}

@test "names with quotes, newlines, HTML, formulas: graded, and harmless" {
    [ "$(jq -r '[.[] | select(.student | contains("touch escaped")) | .labs[0].score] | @json' "$RESULTS/.class/class-results.json")" = '[100]' ]
    [ "$(jq -r '[.[] | select(.student | contains("not-utf8")) | .labs[0].score] | @json' "$RESULTS/.class/class-results.json")" = '[100]' ]
    [ "$(jq -r '[.[] | select(.student == "grades.csv") | .labs[0].score] | @json' "$RESULTS/.class/class-results.json")" = '[100]' ]
    [ -f "$RESULTS/grades.csv" ]
    [ ! -e escaped ] && [ ! -e "$RESULTS/escaped" ]
}

@test "no formula in the sheet, and no terminal escape anywhere" {
    ! python3 -c 'import csv, sys
for row in csv.reader(open(sys.argv[1])):
    for cell in row:
        if cell.strip()[:1] in tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20"): print(cell)' "$RESULTS/grades.csv" | grep . || return 1
    # C0, C1, and what changes the direction of text or ends a line
    ! LC_ALL=C grep -rlP '[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]' \
        "$RESULTS" "$BATS_FILE_TMPDIR/screen" --exclude='*.zip' || return 1
}

@test "what a server prints stays quoted in the page and in the feedback" {
    ! grep -qE '<script>alert|<img' "$RESULTS/report.html" || return 1
    # In the feedback it is inside a fence that is longer than its own.
    python3 - "$RESULTS/students/injects-into-reports/feedback.md" <<'END'
import re, sys
fence = None
for line in open(sys.argv[1]):
    mark = re.match(r"(`{3,})\s*$", line)
    if mark and (fence is None or len(mark[1]) >= len(fence)):
        fence = None if fence else mark[1]
    elif fence is None:
        assert "<script" not in line and not line.startswith("# 100"), line
assert fence is None
END
}

@test "no process, mount or file is left behind" {
    # Every process of the run has one of its directories among its arguments, or is in a pid namespace
    # below such a process, which the kernel ends with it.
    local host_dir=$TMPDIR/grade tries
    for ((tries = 0; tries < 50; tries++)); do
        pgrep -f "$host_dir|$RESULTS" >/dev/null || break
        sleep 0.1
    done
    [ "$tries" -lt 50 ] || { pgrep -af "$host_dir|$RESULTS" && false; }
    ! mount | grep -E "$host_dir|$RESULTS" || return 1
    [ -z "$(ls -A "$TMPDIR")" ]
    [ ! -e "$RESULTS/.class/work" ]
}
