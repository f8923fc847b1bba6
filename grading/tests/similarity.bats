# Similar submissions: which pairs the report lists, and what it does with hostile ones. Nothing is graded here: a
# stand-in does that.
# shellcheck shell=bats

load downloads/common.bash

# hand_in STUDENT FILE LAB
hand_in() {
    mkdir -p "class/$1/$3"
    cp "$2" "class/$1/$3/server.c"
}

# variant LAB NAME - prints a correct server that takes a different approach
variant() {
    patch -s --fuzz=0 -o - "$GRADING/../$1/solution.c" "$GRADING/variants/$1/$2.patch"
}

# disguise - renames variables and functions, drops comments, and moves the first function behind the others
disguise() {
    python3 -c '
import re, sys
text = re.sub(r"/\*.*?\*/", "", sys.stdin.read(), flags=re.S)
names = set(re.findall(r"\b(?:int|size_t|ssize_t|char|bool|client|void) \**([a-z_]+)\b", text)) - {"main", "sizeof"}
for number, name in enumerate(sorted(names)):
    text = re.sub(rf"\b{name}\b", f"thing{number}", text)
parts = re.split(r"(?<=\n}\n)", text)
print("".join(parts[:1] + parts[2:-2] + parts[1:2] + parts[-2:]))'
}

# pairs LAB - "share a b" for each pair that the report lists
pairs() {
    report_data | jq -r --arg lab "$1" '.similar[$lab].pairs[] | "\(.share) \([.a, .b] | sort | join(" "))"'
}

# is_found LAB A B
is_found() {
    pairs "$1" | grep -qE "^[0-9]+ $2 $3\$" || { pairs "$1" && false; }
}

report_data() {
    sed -n '/^<script type="application\/json" id="data">$/,/^<\/script>$/p' results/report.html | sed '1d;$d'
}

@test "a copy is found, though its variables are renamed and its functions moved; honest servers are not" {
    local lab
    for lab in lab01-blocking lab05-epoll; do
        hand_in ref "$GRADING/../$lab/solution.c" "$lab"
        variant "$lab" signalfd >one.c
        hand_in one one.c "$lab"
    done
    variant lab01-blocking recvmsg-and-sendmsg >two1.c
    variant lab05-epoll ring-with-readv-and-writev >two5.c
    hand_in two two1.c lab01-blocking
    hand_in two two5.c lab05-epoll
    disguise <two1.c >copy1.c
    disguise <two5.c >copy5.c
    [ "$(grep -cxFf two5.c copy5.c)" -lt "$(($(wc -l <two5.c) / 2))" ]
    hand_in zcopy copy1.c lab01-blocking
    hand_in zcopy copy5.c lab05-epoll
    grade_class class
    for lab in lab01-blocking lab05-epoll; do
        is_found "$lab" two zcopy
        # Renamed, the copy's other lines are no longer the starters', and resemble the others' too.
        [ "$(pairs "$lab" | grep -vc zcopy)" = 0 ] || { pairs "$lab" && false; }
        [[ "$(pairs "$lab" | head -n 1)" == *" two zcopy" ]] || { pairs "$lab" && false; }
    done
}

@test "a disguised copy is found in every lab" {
    local lab
    for lab in "$GRADING"/../lab[0-9]*/; do
        lab=$(basename "$lab")
        hand_in ada "$GRADING/../$lab/solution.c" "$lab"
        disguise <"$GRADING/../$lab/solution.c" >copy.c
        hand_in ben copy.c "$lab"
    done
    grade_class class
    for lab in "$GRADING"/../lab[0-9]*/; do
        is_found "$(basename "$lab")" ada ben
    done
}

@test "untouched starters are shown as such, not as copies" {
    hand_in ada "$GRADING/starters/lab04-select.c" lab04-select
    { echo "/* ben's */" && cat "$GRADING/starters/lab04-select.c"; } >mine.c
    hand_in ben mine.c lab04-select
    hand_in cleo "$GRADING/../lab04-select/solution.c" lab04-select
    grade_class class
    [ "$(pairs lab04-select)" = "" ]
    [ "$(report_data | jq -c '[.students[] | select(.labs[0].untouched) | .student]')" = '["ada","ben"]' ]
}

@test "the lines are side by side, and those of the starter are marked" {
    local lab=lab04-select
    hand_in ada "$GRADING/../$lab/solution.c" "$lab"
    disguise <"$GRADING/../$lab/solution.c" >copy.c
    hand_in ben copy.c "$lab"
    grade_class class
    report_data | jq -e '.similar["lab04-select"] as $s | [$s.pairs[0].passages[][] | select(.[0] and .[1])
        | [$s.sources.ada["\(.[0])"], $s.sources.ben["\(.[1])"]]] | length > 30
        and all(.[]; (.[0] | gsub("[A-Za-z_0-9 ]"; "")) == (.[1] | gsub("[A-Za-z_0-9 ]"; "")) or any(.[]; test("/\\*|\\*/|^ \\*")))' >/dev/null ||
        { report_data | jq -c '.similar["lab04-select"] as $s | $s.pairs[0].passages[][] | [$s.sources.ada["\(.[0])"], $s.sources.ben["\(.[1])"]]' && false; }
    report_data | jq -e '.similar["lab04-select"] | (.starter.ada | length) > 0
        and ([.sources.ada[.starter.ada[] | tostring]] | all(test("FD_SET") | not) and any(test("int flags|listen|struct client")))' >/dev/null
}

@test "a whole class with one server: fewer pairs than students, and a bounded number" {
    variant lab05-epoll edge-triggered >server.c
    for student in {1..60}; do
        { cat server.c && echo "int unused_$student(int a) { return a + $((student % 7)); }"; } >mine.c
        hand_in "s$student" mine.c lab05-epoll
    done
    grade_class class
    [ "$(pairs lab05-epoll | wc -l)" = 40 ]
    report_data | jq -e '.similar["lab05-epoll"] | .more == 19 and (.groups | map(length)) == [60] and .compared == 60'
    [ "$(wc -c <results/report.html)" -lt 3000000 ]
}

@test "hostile submissions cost only themselves" {
    local lab=lab05-epoll name
    local evil='<img src=x onerror=alert(1)>'
    variant "$lab" edge-triggered >server.c
    hand_in ada server.c "$lab"
    disguise <server.c >copy.c
    hand_in ben copy.c "$lab"
    { printf 'char *s = "</script><script>alert(1)</script>\u202e \u0085 \033[31m";\n' && cat server.c; } >mine.c
    hand_in "$evil" mine.c "$lab"
    hand_in "$evil 2" mine.c "$lab" # all lines of equal files are shown
    python3 -c '
open("braces.c", "w").write("{" * 60000)
open("short.c", "w").write("{" * 19000)
open("quotes.c", "w").write("\"" * 64000)
open("comment.c", "w").write("/*" * 32000)
open("calls.c", "w").write("int f(void) {\n" + "x(a, b);\n" * 3000 + "}\n")
open("bytes.c", "wb").write(bytes(range(256)) * 200)
open("line.c", "w").write("int x = " + "1 + " * 4000 + "1;")
open("strings.c", "w").write("char *s[] = {" + ", ".join("\"%d" % i + "\\\\\" \\\n\"" for i in range(3000)) + "};")
open("directives.c", "w").write("#include \"/dev/stdin\"\n#if 0\n??/\n" * 2000)'
    for name in braces short quotes comment calls bytes line strings directives; do
        hand_in "z$name" "$name.c" "$lab"
        hand_in "y$name" "$name.c" "$lab"
    done
    grade_class class
    is_found "$lab" ada ben
    report_data | jq -e --arg evil "${evil//\//}" '.similar["lab05-epoll"] | .problem == null
        and ([.not_compared[].folder] | any(. == "zbraces")) and (.compared >= 3)' >/dev/null
    report_data | jq -e '[.similar["lab05-epoll"].sources[][]] | any(test("alert")) and all(test("[\u202e\u0085\u001b]") | not)' >/dev/null
    ! report_data | grep -q '[<>]'
}

@test "a comparison that fails is no reason for grading to fail" {
    hand_in ada "$GRADING/../lab01-blocking/solution.c" lab01-blocking
    cp -a "$COURSE" broken
    echo 'import os; os.abort()' >broken/grading/class/find-similar.py
    # shellcheck disable=SC2086 # SANDBOX may be empty
    run broken/grading/grade --class class --results results $SANDBOX
    [ "$status" -eq 3 ] # the stand-in has graded nothing
    report_data | jq -e '.similar["lab01-blocking"].problem == "the comparison failed"'
    [ -e results/grades.csv ]
}

@test "without similarity-tester: the report says how to get it, and starters are recognized" {
    mkdir bin
    ln -s /usr/bin/* /bin/* bin/ 2>/dev/null || true
    rm -f bin/sim_c bin/apt-get
    printf '#!/bin/sh\nexit 1\n' >bin/apt-get
    chmod +x bin/apt-get
    ln -sf "$(command -v python3)" bin/python3
    sed '1i// score 40' "$GRADING/starters/lab01-blocking.c" >mine.c
    hand_in ada mine.c lab01-blocking
    PATH=$PWD/bin run "$COURSE/grading/grade" --class class --results results --no-sandbox
    [ "$status" -eq 0 ]
    prints "Going on without it"
    report_data | jq -e '.similar["lab01-blocking"].problem == "missing" and .students[0].labs[0].untouched'
    grep -q 'apt-get install similarity-tester' results/report.html
}

@test "a lab that is not named keeps its pairs; a student who is gone has none" {
    variant lab05-epoll edge-triggered | sed '1i// score 7' >server.c
    for student in ada ben cleo; do
        hand_in "$student" server.c lab05-epoll
    done
    grade_class class --labs 5
    [ "$(pairs lab05-epoll | wc -l)" = 2 ]
    rm -r class/*
    hand_in ada "$GRADING/../lab01-blocking/solution.c" lab01-blocking
    grade_class class --labs 1
    [ "$(pairs lab05-epoll | wc -l)" = 2 ]
    jq 'map(select(.folder != "cleo"))' results/.class/submissions.json >fewer && mv fewer results/.class/submissions.json
    grade_class class --labs 1
    [ "$(pairs lab05-epoll)" = "100 ada ben" ]
}
