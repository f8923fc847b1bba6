# Where class grading keeps its files, what it prints, and how it ends: names that collide, a second user on the machine,
# results of an earlier version, control characters, slow archives, full disks. Graded by the same stand-in as
# downloads.bats.
# shellcheck shell=bats

load downloads/common.bash

# unprivileged COMMAND... - runs it as an ordinary user whom nothing here belongs to
unprivileged() {
    setpriv --reuid=54324 --regid=54324 --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}

# for_everybody - lets other users enter the directories of this test
for_everybody() {
    [ "$(id -u)" -eq 0 ] && unprivileged true 2>/dev/null || skip "this machine has no other users"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_FILE_TMPDIR/.." "$BATS_TEST_TMPDIR/.."
    chmod 777 "$BATS_TEST_TMPDIR"
}

# ---- the temporary directory ---------------------------------------------------------------------

# A prepare-host that records whose the directory is in which the grader was unpacked, and how it is called.
records_the_place() {
    printf '#!/bin/sh\nstat -c "%%u %%a %%n" "$1" >>%q\n' "$PWD/places" >"$COURSE/grading/class/prepare-host"
}

forgets_the_place() {
    printf '#!/bin/sh\nchmod 755 "$1"\n' >"$COURSE/grading/class/prepare-host"
}

@test "a different user has created the directory of the last run: nothing of his is run or touched" {
    for_everybody
    records_the_place
    server class/ada 1
    mkdir -m 1777 tmp
    # What an earlier version used, and the name of a run before this one.
    unprivileged mkdir results
    places=("tmp/grade-54324-$(sha256sum <<<"$(realpath results)" | cut -c 1-16)")
    for run in 1 2; do
        for place in "${places[@]}"; do
            mkdir -p "$place/grader/grading/class"
            chown -R 54323 "$place"
            chmod -R 777 "$place"
            touch -d 2001-01-01 "$place/grader" "$place/grader/grading"
        done
        TMPDIR=$PWD/tmp run unprivileged env "HOME=$PWD" "$COURSE/grading/grade" --class class --results results --labs 1 \
            --no-sandbox --regrade ada
        [ "$status" -eq 0 ] || { echo "$output" && false; }
        read -r owner mode name < <(tail -n 1 places)
        [ "$owner" -eq 54324 ] && [ "$mode" = 700 ]
        for place in "${places[@]}"; do
            [ "$name" != "$PWD/$place" ]
            [ "$(find "$place" -newermt 2001-01-02 -path '*grader*' -type f)" = "" ]
        done
        places+=("tmp/$(basename "$name")")
    done
    forgets_the_place
    [ "$(sort -u places | wc -l)" -eq 2 ]
}

@test "killed with SIGKILL: the next run removes the temporary directory, unless it is someone else's by then" {
    records_the_place
    server class/ada 1
    mkdir tmp bin
    # shellcheck disable=SC2016 # expanded by that script
    printf '#!/bin/sh\ntouch %q\nexec sleep 600\n' "$PWD/stopped" >"$COURSE/grading/class/grade-submission"
    TMPDIR=$PWD/tmp "$COURSE/grading/grade" --class class --results results --labs 1 $SANDBOX >/dev/null 2>&1 &
    pid=$!
    until [ -e stopped ]; do kill -0 $pid && sleep 0.1; done
    kill -KILL $pid
    wait $pid || true
    cp "$GRADING/tests/downloads/fake-grader" "$COURSE/grading/class/grade-submission"
    [ "$(find tmp -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ]
    name=$(basename tmp/*)
    if [ "$(id -u)" -eq 0 ]; then
        cp -a "tmp/$name" tmp/other
        chown 54323 tmp/other
        echo "$PWD/tmp/other" >>results/.class/host-dirs
    fi
    TMPDIR=$PWD/tmp grade_class class --labs 1
    [ "$status" -eq 0 ]
    [ ! -e "tmp/$name" ]
    [ "$(id -u)" -ne 0 ] || [ -d tmp/other/grader ]
    [ ! -e results/.class/host-dirs ]
    forgets_the_place
}

# ---- whose file is whose -------------------------------------------------------------------------

@test "students called like our own files, or like each other's archives: everyone has the own points" {
    score=0
    for student in grades.csv grades.csv.new report.html overrides.csv gradebooks students .class lab01.json feedback.md \
        layout ada. ada.zip~ %2E%2E Ada ada~; do
        server "class/$student" $((++score))
    done
    server class/ada $((++score))
    python3 - <<'PY'
import zipfile
for name, score in ("ada.zip", 51), ("ada.zip.zip", 52), ("ada.zip.zip.zip", 53), ("ben.zip", 54), ("ben.tar.zip", 55):
    zipfile.ZipFile(f"class/{name}", "w").writestr("server.c", f"// score {score}\n")
PY
    mkdir class/$'\xff' class/$'\xfe' "class/$(printf 'e\xcc\x81')" "class/$(printf '\xc3\xa9')"
    for student in $'\xff' $'\xfe' "$(printf 'e\xcc\x81')" "$(printf '\xc3\xa9')"; do
        server "class/$student" $((++score))
    done
    for again in 1 2; do
        grade_class class --labs 1
        [ "$status" -eq 0 ]
        jq -e --argjson n "$score" '[.[].labs[0].score] | sort == ([range(1; $n + 1)] + [range(51; 56)])' \
            results/.class/class-results.json || { cat results/grades.csv && false; }
        [ "$(jq -r '[.[].folder] | unique | length' results/.class/class-results.json)" -eq $((score + 5)) ]
        jq -e '[.[].identity] | length == (unique | length)' results/.class/submissions.json
        prints "$([ $again -eq 1 ] && echo 0 || echo $((score + 5))) already graded"
    done
    [ -f results/grades.csv ] && [ -f results/report.html ] && [ -d results/gradebooks ] && [ ! -e results/overrides.csv ]
    [ "$(find results -maxdepth 1 -mindepth 1 -printf '%f\n' | sort | tr '\n' ' ')" = ".class gradebooks grades.csv report.html students " ]
    # Each file of a student is in the student's directory, and holds the student's points.
    jq -r '.[] | [.folder, .labs[0].score] | @tsv' results/.class/class-results.json | while IFS=$'\t' read -r folder points; do
        [ "$(jq .score "results/students/$folder/lab01.json")" -eq "$points" ]
        grep -q "^$points of 100 points" "results/students/$folder/feedback.md"
    done
}

@test "results of an earlier version: the students' directories move, and nothing is lost" {
    for student in ada students layout; do
        server "one/$student/lab01-blocking" 1
        server "two/$student/lab02-fork" 2
    done
    grade_class one --labs 1
    # As they were: beside our own files, without a mark.
    mv results/students results/.class/old
    mv results/.class/old/* results
    rmdir results/.class/old
    rm results/.class/layout
    mkdir -p results/mine results/gone
    echo kept >results/mine/notes
    echo kept >results/ada/notes
    echo '{}' >results/gone/lab03.json
    for again in 1 2 3; do
        grade_class two --labs 2
        [ "$status" -eq 0 ]
        row_is students "students|1|2|3|"
        row_is ada "ada|1|2|3|"
        [ "$(cat results/mine/notes results/students/ada/notes)" = "$(printf 'kept\nkept')" ]
        [ -e results/students/gone/lab03.json ] && [ ! -e results/gone ] && [ ! -e results/ada ]
        [ -e results/students/students/lab01.json ] && [ ! -e results/students/students/students ]
        # Killed just before the mark was made; the next time, when half of them had moved.
        rm results/.class/layout
        [ $again -eq 2 ] || continue
        mv results/students results/.class/rest
        mkdir results/.class/students
        mv results/.class/rest/{ada,gone} results/.class/students
        mv results/.class/rest/* results
        rmdir results/.class/rest
    done
}

@test "results of an earlier version, and something else is called students: refused, and nothing is lost" {
    server class/ada 1
    grade_class class --labs 1
    mv results/students/ada results
    rm results/.class/layout
    echo mine >results/students/file
    grade_class class --labs 1
    [ "$status" -eq 3 ]
    prints "results/students is in the way"
    mv results/students results/mine
    grade_class class --labs 1
    [ "$status" -eq 0 ]
    prints "1 already graded"
    [ "$(cat results/mine/file)" = mine ]
}

@test "a result that is partial, empty, a directory or no result: of a student who is gone, ignored; otherwise made again" {
    for student in a b c d e f; do server "class/$student" 1; done
    grade_class class --labs 1
    for partial in '{"lab": "lab01-blocking", "sco' '' null '[]' '"x"' "$(printf '[%.0s' {1..5000})"; do
        for student in a b; do printf '%s' "$partial" >results/students/$student/lab01.json; done
        rm results/students/c/lab01.json
        mkdir results/students/c/lab01.json
        touch results/students/file
        rm -rf class/a
        grade_class class --labs 1
        [ "$status" -eq 3 ] || [ ! -e results/students/c/lab01.json ] || [ "$status" -eq 0 ]
        prints "5 servers, 3 already graded"
        row_is b "b|1|1|"
        rm -rf results/students/c
        server class/a 1
        grade_class class --labs 1
        [ "$status" -eq 0 ]
        row_is c "c|1|1|"
    done
}

@test "a directory called server.c, and one that cannot be read: the other labs are graded" {
    for lab in lab01-blocking lab02-fork; do
        server class/ada/$lab 5
        server class/ben/$lab 6
    done
    rm -r class/ada/lab01-blocking/server.c
    mkdir class/ada/lab01-blocking/server.c
    server class/cleo/server.c/lab02-fork 7
    [ "$(id -u)" -eq 0 ] || chmod 0 class/ben/lab01-blocking
    grade_class class --labs 1,2
    [ "$status" -eq 0 ]
    row_is ada "ada||5||lab01-blocking: not handed in; there is lab01-blocking/server.c/"
    row_is cleo "cleo||7||lab01-blocking: not handed in; there is server.c/"
    [[ "$(row ben)" == "ben|"*"|6|"* ]]
}

@test "many students with slow archives: each has a CPU limit, which the others do not use up" {
    server class/ada 1
    python3 - <<'PY'
with open("slow.tar.gz", "wb") as file:  # the name in the header of the gzip file does not end
    file.write(b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (8 << 20))
PY
    for i in 1 2 3 4 5 6 7 8; do ln slow.tar.gz class/eve$i.tar.gz; done
    server class/zoe 2
    # Any one of them is read within this limit; all together are not.
    sed -i 's/--cpu=[0-9]*/--cpu=8/' "$COURSE/grading/class/grade-class"
    grade_class class --labs 1
    cp "$GRADING/class/grade-class" "$COURSE/grading/class/"
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    row_is ada "ada|1|1|"
    row_is zoe "zoe|2|2|"
    for i in 1 2 3 4 5 6 7 8; do
        [[ "$(row eve$i)" == "eve$i|||"* ]] || { cat results/grades.csv && false; }
    done
}

# ---- output is harmless --------------------------------------------------------------------------

# has_no_controls FILE... - no control characters except tab, newline and, in CSV, CR; no bidirectional controls
has_no_controls() {
    python3 - "$@" <<'PY'
import re, sys
for path in sys.argv[1:]:
    text = open(path, encoding="utf-8", newline="").read()
    if path.endswith(".csv"):
        text = text.replace("\r\n", "\n")
    found = re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]", text)
    assert not found, (path, text[max(0, found.start() - 60):found.end() + 60])
PY
}

@test "control characters, bidirectional controls and formulas in names: harmless on the screen and in every file" {
    mkdir class
    "$GRADING/tests/hostile/names-with-escapes.py" class
    printf 'id,name\n1,\xc2\x9b31mred\n2,\xef\xbc\x9d1+1\n3,\xe2\x80\xaegnp\n' >roster.csv
    for options in '' '--roster roster.csv' '--regrade nobody'; do
        # shellcheck disable=SC2086 # an option and its argument
        grade_class class --labs 1 $options
        printf '%s' "$output" >screen
        has_no_controls screen
    done
    while IFS= read -r -d '' file; do
        has_no_controls "$file"
    done < <(find results -type f ! -name '*.zip' -print0)
    ! LC_ALL=C grep -rl $'\x1b' results || return 1
    python3 - results/grades.csv results/gradebooks/*.csv <<'PY'
import csv, os, sys
for path in sys.argv[1:]:
    if os.path.exists(path):
        for row in csv.reader(open(path, encoding="utf-8-sig", newline="")):
            for cell in row:
                assert not cell.strip().startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")), (path, row)
PY
    # Names and files that differ only there are still different.
    [ "$(find results/students -name lab01.json | wc -l)" -eq "$(find class -name server.c | wc -l)" ]
    # The same from a name in the roster and in overrides.csv.
    printf 'student,lab,points,reason\n\xc2\x9b31m,1,5,x\n' >results/overrides.csv
    grade_class class --labs 1
    [ "$status" -eq 2 ]
    printf '%s' "$output" >screen
    has_no_controls screen
}

@test "grade --file: what the compiler quotes and what a server prints is harmless, on the screen and in the JSON" {
    unsafe=$(python3 -c 'import sys
sys.stdout.buffer.write("\x1b]0;owned\x07\x1b[2J\x9b31m\u061c\u200e\u2028\u202e\u2066x".encode())')
    printf '#warning %s\n#error %s\n' "$unsafe" "$unsafe" >broken.c
    printf '#include <stdio.h>\n#warning %s\nint main(void)\n{\n    puts("%s");\n    return 0;\n}\n' "$unsafe" "$unsafe" >prints.c
    for file in broken.c prints.c; do
        "$GRADING/grade" --file $file --json $file.json 1 >screen
        grep -q x screen
        has_no_controls screen $file.json
    done
}

@test "servers for which the machine was too busy are graded again, once, after all others" {
    server class/ada 80
    server class/ben "70, busy 1"
    server class/cyd "60, busy 2"
    server class/dan x
    grade_class class --labs 1
    [ "$status" -eq 3 ]
    prints "The machine was too busy for 2 servers, graded again one at a time"
    row_is ben "ben|70|70|"
    [ "$(cut -f 9 results/.class/joblog | grep -c grade-submission)" -eq 6 ]
    jq -e '[.[] | [.student, .labs[0].score]] == [["ada", 80], ["ben", 70], ["cyd", null], ["dan", null]]' results/.class/class-results.json
}

@test "on a terminal: how many are graded, in a line that is replaced and then removed; nothing in a file" {
    for student in a b c; do server "class/$student" 1; done
    # Each server is graded only when the line says so. (GNU parallel may note the end of one when the next has started.)
    echo 0 >graded
    cat >"$COURSE/grading/class/grade-submission" <<END
#!/bin/sh
timeout 120 sh -c 'k=\$(cat graded); until grep -qE "\$k of 3 graded, 1 running|\$((k - 1)) of 3 graded, 2 running" screen; do sleep 0.1; done' || exit
echo \$((\$(cat graded) + 1)) >graded
exec '$GRADING/tests/downloads/fake-grader' "\$@"
END
    sed -i "2i cd '$PWD'" "$COURSE/grading/class/grade-submission"
    sed -i 's,^exec ,cd - >/dev/null \&\& &,' "$COURSE/grading/class/grade-submission"
    run script -fqec "'$COURSE/grading/grade' --class class --results results --labs 1 --jobs 1 $SANDBOX" screen
    cp "$GRADING/tests/downloads/fake-grader" "$COURSE/grading/class/grade-submission"
    [ "$status" -eq 0 ] || { cat -v screen && false; }
    [ "$(cat graded)" -eq 3 ]
    [ "$(grep -oa running screen | wc -l)" -eq "$(grep -oaP ' graded, \d running\r\e\[K' screen | wc -l)" ]
    grade_class class --labs 1 --regrade a
    prints "3 servers, 0 already graded"
    [[ "$output" != *running* && "$output" != *[$'\r\e']* ]] || { cat -v <<<"$output" && false; }
}

# instructions PROGRAM COUNT - how many instructions jq needs for this program
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file=log jq -n -L "$GRADING/lib" --argjson n "$2" \
        "include \"safe-text\"; $1" >/dev/null
    sed -n 's/.*Collected *: *\([0-9]*\).*/\1/p' log
}

@test "the time to make a text harmless grows with its length, not with its square" {
    # All in one, since valgrind takes seconds to start jq: one that grew with the square would be most of the sum.
    # shellcheck disable=SC2016 # $n is jq's
    programs='["\u001b" * $n | harmless], ["\u009b " * $n | one_line], ["\n" * $n | one_line],
        ["`x" * $n | longest_run("`")], ["*" * $n | escaped(. == 42)], ([range($n)] | map("\u202e") | all_harmless)'
    start=$(instructions "$programs" 0)
    small=$(($(instructions "$programs" 300) - start))
    large=$(($(instructions "$programs" 2400) - start))
    echo "$start, $small, $large"
    [ "$small" -gt 0 ] && [ "$large" -lt $((12 * small)) ]
    grep -rlE 'gsub\(' "$GRADING"/{class,exports,lib} --include='*.jq' | grep . && return 1
    return 0
}

# ---- how it ends ---------------------------------------------------------------------------------

@test "a full disk, wherever it happens: status 0 or 3 with a reason, no partial file, nothing left behind" {
    unshare --mount true 2>/dev/null || skip "this machine does not let us mount a small disk"
    for student in a b c; do server "class/$student" 5; done
    for disk in results tmp; do
        mkdir -p results tmp
        succeeded=0
        for pages in 1 20 45 4000; do
            # shellcheck disable=SC2016 # expanded by that shell
            run unshare --mount bash -c 'mount -t tmpfs -o "size=$1k" tmpfs "$2" && shift 2 && status=0
                TMPDIR=$PWD/tmp "$@" || status=$?
                find tmp -mindepth 1 >left
                find results -name "*.json" -not -path "*/.class/*" -print0 | xargs -0 -r jq -e .verdict >/dev/null || echo partial >>left
                [ ! -e results/grades.csv ] || [ "$(wc -l <results/grades.csv)" -eq 4 ] || echo "partial sheet" >>left
                exit $status' x $((4 * pages)) $disk "$COURSE/grading/grade" --class class --results results --labs 1 $SANDBOX
            echo "$disk, $pages pages: $status"
            [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || { echo "$output" && false; }
            [ -n "$output" ]
            [ ! -s left ] || { echo "$output" && cat left && false; }
            [ "$status" -ne 0 ] || succeeded=1
        done
        [ $succeeded -eq 1 ]
    done
}

@test "results that cannot be written to: status 2 and a reason, nothing left behind" {
    for_everybody
    server class/ada 1
    mkdir results tmp
    chmod 777 tmp
    TMPDIR=$PWD/tmp run unprivileged "$COURSE/grading/grade" --class class --results results --labs 1 --no-sandbox
    [ "$status" -eq 2 ]
    prints "cannot write to"
    TMPDIR=$PWD/tmp run unprivileged "$COURSE/grading/grade" --class class --results results/new --labs 1 --no-sandbox
    [ "$status" -eq 2 ]
    chmod 777 results
    TMPDIR=$PWD/tmp run unprivileged env "HOME=$PWD" "$COURSE/grading/grade" --class class --results results --labs 1 --no-sandbox
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    # Only what the reports replace is read-only: not the student's fault, and not an invalid argument.
    chmod -R a-w results/students
    TMPDIR=$PWD/tmp run unprivileged env "HOME=$PWD" "$COURSE/grading/grade" --class class --results results --labs 1 --no-sandbox
    [ "$status" -eq 3 ]
    [ -n "$output" ]
    [ -z "$(ls -A tmp)" ]
}

@test "a temporary directory that does not exist or cannot be written to: status 3 and a reason" {
    server class/ada 1
    TMPDIR=$PWD/nowhere grade_class class --labs 1
    [ "$status" -eq 3 ]
    [ -n "$output" ]
}

@test "a program that is needed fails while reports are written: the old files remain, status 3" {
    server class/ada 1
    grade_class class --labs 1
    cp -r results before
    mkdir bin
    server class/ada 2
    for program in grade-sheet feedback report-data class-results screen-summary; do
        # shellcheck disable=SC2016 # expanded by that script
        printf '#!/bin/sh\ncase " $* " in *"/%s.jq "*) echo "{"; echo "jq: no space" >&2; exit 2 ;; esac\nexec %s "$@"\n' \
            $program "$(type -P jq)" >bin/jq
        chmod 755 bin/jq
        PATH=$PWD/bin:$PATH grade_class class --labs 1
        [ "$status" -eq 3 ]
        prints "no space"
        for file in grades.csv report.html students/ada/feedback.md; do
            [ "$(tail -c 1 results/$file | od -An -c | tr -d ' ')" = '\n' ]
            [ "$(wc -l <results/$file)" -ge "$(wc -l <before/$file)" ]
        done
        jq -e length results/.class/class-results.json
    done
    grade_class class --labs 1
    row_is ada "ada|2|2|"
}

@test "the grader prints nothing, and exits with 0: an error with a reason, never an empty result" {
    for_everybody
    host=$PWD/host
    mkdir -p "$host/grader/grading/class" "$host/build"
    cp "$GRADING/class/sandbox.bash" "$host/grader/grading/class/"
    [ ! -e "$GRADING/class/limits.bash" ] || cp "$GRADING/class/limits.bash" "$host/grader/grading/class/"
    server . 5
    for content in '' '[]' '[{}]' 'null' '[{"lab"'; do
        # shellcheck disable=SC2016 # expanded by that script
        printf '#!/bin/bash\nfor ((; $# > 1;)); do [ "$1" != --json ] || printf %%s %q >"$2"; shift; done\n' "$content" >"$host/grader/grading/grade"
        chmod -R 755 "$host"
        "$GRADING/class/grade-submission" "$host" lab01-blocking server.c out.json key no 1024 1
        jq -e '.verdict == "error" and .score == null and (.fault | startswith("no result")) and .key == "key"' out.json
        [ -s out.json ]
    done
}

@test "without a sandbox, as root: what a server leaves in the place of our files is neither written nor waited for" {
    for_everybody
    host=$PWD/host
    mkdir -p "$host/grader/grading/class" "$host/build"
    cp "$GRADING/class/sandbox.bash" "$host/grader/grading/class/"
    server . 5
    echo "root's" >secret
    chmod 600 secret
    # shellcheck disable=SC2016 # expanded by that script
    printf '#!/bin/bash\nfor ((; $# > 1;)); do [ "$1" != --json ] || json=$2; shift; done
[ "$(id -u)" -ne 0 ] || exit 9
for directory in "$(dirname "$json")"{,/..}; do
    for name in results.json result messages server.c.result; do rm -f "$directory/$name"; ln -s %q "$directory/$name"; done
done
case $(cat %q) in
text) echo forged >"$json" ;;
link) ln -sf %q "$json" ;;
pipe) mkfifo "$json" ;;
endless) ln -s /dev/zero "$json" ;;
esac\n' "$PWD/secret" "$PWD/kind" "$PWD/secret" >"$host/grader/grading/grade"
    for kind in text link pipe endless; do
        echo $kind >kind
        chmod 755 "$host" "$host/grader/grading/grade"
        timeout 60 "$GRADING/class/grade-submission" "$host" lab01-blocking server.c out.json key no 1024 1
        jq -e '.verdict == "error" and (.fault | startswith("no result")) and (contains({fault: "root\u0027s"}) | not)' out.json
        [ "$(cat secret)" = "root's" ]
        [ "$(stat -c '%U %a' secret)" = "root 600" ]
        rm out.json
    done
}

@test "without a sandbox, as root: a server cannot write where one that is graded beside it may write" {
    for_everybody
    host=$PWD/host
    mkdir -p "$host/grader/grading/class" "$host/build"
    cp "$GRADING/class/sandbox.bash" "$host/grader/grading/class/"
    setpriv --reuid=2100000001 --clear-groups true 2>/dev/null || skip "this machine has too few user ids"
    mkfifo has-started may-end
    chmod 666 has-started may-end
    # The first one's grading lasts until the second has tried it, and prints what is then in its files.
    cat >"$host/grader/grading/grade" <<END
#!/bin/bash
cd '$PWD'
[ "\$(id -u)" -ne 0 ] || exit 9
case \$(cat "\$2") in
first)
    echo mine >"\$4"
    echo "\$4" >has-started
    read -r _ <may-end
    cat "\$4" "\$(dirname "\$4")"/build/*
    ;;
second)
    read -r other <has-started
    { echo forged >"\$other" || rm "\$other" || echo forged >"\$(dirname "\$other")/build/new"; } 2>/dev/null
    echo >may-end
    ;;
esac
END
    echo mine >"$host/build/file"
    chmod -R 755 "$host"
    local jobs=()
    for student in first second; do
        echo $student >$student.c
        "$GRADING/class/grade-submission" "$host" lab01-blocking $student.c $student.json key no 1024 \
            "${#jobs[@]}" &
        jobs+=($!)
    done
    wait "${jobs[@]}"
    jq -r .fault first.json
    jq -e '.fault | endswith("mine\nmine\n")' first.json
}
