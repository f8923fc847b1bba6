# A class: what hostile submissions gain (nothing), and that their neighbours do not notice.
# One grading of one class; each test looks at what came out.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export CLASS=$BATS_FILE_TMPDIR/class RESULTS=$BATS_FILE_TMPDIR/results VICTIM=$BATS_FILE_TMPDIR/victim
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    # shellcheck source=grading/tests/class-hostile.bash
    . "$GRADING/tests/class-hostile.bash"
    FAULT=$(sandbox_fault | head -n 1)
    export FAULT
    mkdir "$CLASS"
    echo 'SECRET-OF-THE-VICTIM' >"$VICTIM"
    [ -z "$FAULT" ] || return 0

    # A listener on the host, which nobody may reach.
    coproc HOST { exec python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
print(s.getsockname()[1], flush=True); s.accept(); open("'"$BATS_FILE_TMPDIR"'/reached", "w")'; }
    read -r host_port <&"${HOST[0]}"
    export HOST_PID=$HOST_PID
    local attack name
    for name in aaa-right mmm-right zzz-right; do
        hand_in "$name" cat "$GRADING/../lab01-blocking/solution.c"
    done
    for attack in "$GRADING"/tests/hostile/*.c; do
        hand_in "$(basename "$attack" .c)" with_attack "$attack" "$host_port"
    done
    for attack in "$GRADING"/tests/hostile/whole/*.c; do
        hand_in "$(basename "$attack" .c)" cat "$attack"
    done
    "$GRADING/tests/hostile/archives.py" "$CLASS" "$GRADING/../lab01-blocking/solution.c" "$VICTIM"
    SECONDS=0
    STATUS=0
    # Three at a time: many of them do nothing for a long while.
    "$GRADING/grade" --class "$CLASS" --results "$RESULTS" --labs 1 --jobs 3 >"$BATS_FILE_TMPDIR/screen" 2>&1 </dev/null || STATUS=$?
    echo "# the class of $(find "$CLASS" -mindepth 1 -maxdepth 1 | wc -l) took $SECONDS s" >&3
    export STATUS
}

teardown_file() {
    [ -z "${HOST_PID:-}" ] || kill "$HOST_PID" 2>/dev/null || true
}

setup() {
    [ -z "$FAULT" ] || skip "no sandbox on this machine, so nothing was shown: $FAULT"
}

# hand_in STUDENT COMMAND... - what the command prints is the student's server.c
hand_in() {
    mkdir -p "$CLASS/$1/lab01-blocking"
    "${@:2}" >"$CLASS/$1/lab01-blocking/server.c"
}

# found STUDENT FILTER - of the student's result the filter is true
found() {
    jq -e "$2" "$RESULTS/$1/lab01.json" >/dev/null || {
        jq '{score, verdict, fault, compiler, checks: [.checks[] | select(.status == "failed" or .status == "error")]}' \
            "$RESULTS/$1/lab01.json" | head -n 60
        return 1
    }
}

# sheet STUDENT WORDS - the student's row has the words
sheet() {
    grep -qF -- "$2" <(grep -F -- "$1" "$RESULTS/grades.csv") || { cat "$RESULTS/grades.csv" && return 1; }
}

untouched='.score == 100 and .verdict == "graded"'
foiled='.verdict == "graded" and .score < 20 and ([.. | strings | select(contains("ATTACK SUCCEEDED"))] == [])'
refused='.verdict == "does-not-compile" and .score == 0'

@test "the neighbours of all these have full marks" {
    for student in aaa-right mmm-right zzz-right; do
        found "$student" "$untouched"
    done
}

@test "the grading ends, with everybody in the sheet" {
    # Who takes all ports away may make the grader fail for itself: status 3, and no score.
    [ "$STATUS" -eq 0 ] || [ "$STATUS" -eq 3 ]
    [ "$(jq length "$RESULTS/.class/all.json")" -eq "$(find "$CLASS" -mindepth 1 -maxdepth 1 -printf x | wc -c)" ]
    [ "$(python3 -c 'import csv, sys; print(len(list(csv.reader(open(sys.argv[1])))))' "$RESULTS/grades.csv")" -eq \
        $(($(jq length "$RESULTS/.class/all.json") + 1)) ]
}

@test "fork bomb" { found fork-bomb "$foiled"; }
@test "memory bomb" { found memory-bomb "$foiled"; }
@test "endless output" { found endless-output "$foiled"; }
@test "fills the disk: no more than its little memory" { found fills-the-disk "$untouched"; }
@test "kills every process that it can name: itself" { found kills-everybody "$foiled"; }
@test "stops every process that it can name" { found stops-its-room '.verdict == "graded" and .score <= 100'; }
@test "looks for the grader, to trace it" { found traces-the-grader "$untouched"; }
@test "writes results" { found writes-results "$untouched"; }
@test "prints a fake score" { found prints-a-score "$foiled"; }
@test "reads the solution, or another's work" { found reads-the-solution "$untouched"; }
@test "asks for namespaces, mounts and root" { found escapes-the-room "$untouched"; }
@test "ignores SIGTERM" {
    found ignores-sigterm '.verdict == "graded" and (.checks[] | select(.name == "stop") | .status == "failed")'
}
@test "reaches for the host's loopback: not there" {
    found reaches-the-host "$untouched"
    [ ! -e "$BATS_FILE_TMPDIR/reached" ]
    kill -0 "$HOST_PID"
}
@test "exhausts the ports: no points by that" {
    found exhausts-the-ports '(.verdict == "error" and .score == null) or (.verdict == "graded" and .score < 100)'
}
@test "binds some hundred ports first: the grader finds others" { found binds-ports-first '.verdict == "graded" and .score <= 100 and .score > 50'; }
@test "right only without valgrind: memory fails" {
    found right-without-valgrind '.score < 100 and (.checks[] | select(.name == "memory") | .status == "failed")'
}
@test "a constructor that is gone before main" { found constructor "$foiled"; }
@test "a process left behind is gone as well" {
    found daemonises '.verdict == "graded" and .score <= 100'
}

@test "#include of /etc/passwd: not there, and not told" {
    found includes-passwd "$refused"' and (.compiler | contains("root:") | not)'
}
@test "#include of the solution: not there" { found includes-the-solution "$refused"; }
@test "the assembler's .incbin: not there" { found assembles-a-secret "$refused"; }
@test "a bomb of macros" { found macro-bomb "$refused"; }
@test "a file that never ends" { found endless-file "$refused"; }
@test "sleeps for ever while compiling" { found sleeps-while-compiling "$refused"; }
@test "a linker script" { found linker-script "$refused"; }
@test "a program of a terabyte" { found large-program "$refused"; }
@test "a Makefile, checks and results of its own: not looked at" { found own-makefile "$foiled"; }

@test "links, pipes and .. in folders and archives: not followed, and listed" {
    for student in zip-with-dots zip-with-link tar-with-dots tar-with-links; do
        sheet "$student" "not handed in"
    done
    sheet folder-with-link "cannot be opened as a plain file"
    sheet folder-with-pipe "no plain file"
    sheet link-to-another "not handed in"
    sheet entry-is-a-link "a symbolic link"
    [ -z "$(find "$BATS_FILE_TMPDIR" /tmp -maxdepth 3 -name 'escaped*' 2>/dev/null)" ]
    ! grep -rqF SECRET-OF-THE-VICTIM "$RESULTS"
}

@test "archives that grow, or are none: listed" {
    sheet zip-bomb "larger than 1048576 bytes"
    sheet tar-bomb "unpacks to more than"
    sheet many-members "more than 20000 files"
    sheet broken.zip "no zip file"
    sheet broken.tar.gz "no tar.gz file"
    sheet letter.docx "neither a folder nor a .zip"
    sheet .hidden "neither a folder nor a .zip"
    [ "$(du -sm "$RESULTS" | cut -f 1)" -lt 20 ]
}

@test "names with quotes, newlines, HTML, formulas: graded, and harmless" {
    [ "$(jq -r '[.[] | select(.student | contains("touch escaped")) | .labs[0].score] | @json' "$RESULTS/.class/all.json")" = '[100]' ]
    [ "$(jq -r '[.[] | select(.student | contains("not-utf8")) | .labs[0].score] | @json' "$RESULTS/.class/all.json")" = '[100]' ]
    [ "$(jq -r '[.[] | select(.student == "grades.csv") | .labs[0].score] | @json' "$RESULTS/.class/all.json")" = '[100]' ]
    [ -f "$RESULTS/grades.csv" ]
    [ ! -e escaped ] && [ ! -e "$RESULTS/escaped" ]
}

@test "nothing in the sheet is a formula, nothing anywhere a terminal escape" {
    ! python3 -c 'import csv, sys
for row in csv.reader(open(sys.argv[1])):
    for cell in row:
        if cell[:1] in tuple("=+-@\t\r"): print(cell)' "$RESULTS/grades.csv" | grep . || return 1
    ! LC_ALL=C grep -rlP '\x1b|\x07' "$RESULTS" "$BATS_FILE_TMPDIR/screen" || return 1
}

@test "what a server prints is no part of the page and of the feedback" {
    ! grep -qE '<script>alert|<img' "$RESULTS/report.html" || return 1
    # In the feedback it stands in a fence that is longer than its own.
    python3 - "$RESULTS/tells-the-report/feedback.md" <<'END'
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
    # All that the grading started has its place among its arguments, or is in a process namespace
    # below such a one, and the kernel ended it with that.
    local stage tries
    stage=grade-$(id -u)-$(sha256sum <<<"$RESULTS" | cut -c 1-16)
    for ((tries = 0; tries < 50; tries++)); do
        pgrep -f "$stage|$RESULTS" >/dev/null || break
        sleep 0.1
    done
    [ "$tries" -lt 50 ] || { pgrep -af "$stage|$RESULTS" && false; }
    ! mount | grep -E "$stage|$RESULTS" || return 1
    [ ! -e "${TMPDIR:-/tmp}/$stage" ]
    [ ! -e "$RESULTS/.class/work" ]
}
