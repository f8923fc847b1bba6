# Week after week into the same results, changed points, gradebooks; graded by the same stand-in as downloads.bats.
# shellcheck shell=bash

load downloads/common.bash

# ---- week after week -----------------------------------------------------------------------------

@test "another lab into the same results: the first keeps its column, its feedback and its file" {
    "$MAKE" moodle one lab01-blocking
    "$MAKE" moodle two lab02-fork 40
    rm -r two/Ada*
    grade_class one --labs 1
    cp results/students/Zo%C3%AB%20Late/lab01.json before.json
    grade_class two --labs 2
    [ "$status" -eq 0 ]
    row_is "Zoë Late" "Zoë Late|12|51|63|"
    row_is "Ada Lovelace" "Ada Lovelace|1|||lab02-fork: not handed in"
    cmp before.json results/students/Zo%C3%AB%20Late/lab01.json
    grep -q '^12 of 100 points' results/students/Zo%C3%AB%20Late/feedback.md
    grep -q '^51 of 100 points' results/students/Zo%C3%AB%20Late/feedback.md
    [ -e results/gradebooks/moodle-worksheet-lab01-blocking.csv ]
    # In any order, and without --labs: what is not handed in this time is not lost.
    grade_class one --labs 1
    row_is "Zoë Late" "Zoë Late|12|51|63|"
}

@test "the roster may come later: the student keeps the directory" {
    "$MAKE" canvas one lab01-blocking
    "$MAKE" canvas two lab02-fork 40
    "$MAKE" roster . -
    grade_class one --labs 1
    grade_class two --labs 2 --roster students.csv
    row_is "Ada Lovelace" "Ada Lovelace|3001|alovelace@example.edu|A|1|40|41|lab01-blocking: attempt 2 of 2; lab02-fork: attempt 2 of 2"
    [ -e results/students/lovelaceada/lab02.json ]
    [ ! -e results/students/Ada%20Lovelace ]
}

@test "results of an earlier version of this grader: their other labs are kept" {
    server one/ada/lab01-blocking 1
    server two/ada/lab02-fork 2
    grade_class one
    jq 'map(del(.identity, .platform, .name))' results/.class/submissions.json >old && mv old results/.class/submissions.json
    grade_class two
    row_is ada "ada|1|2|3|"
}

@test "absent in the first week, there in the second" {
    printf 'id,name\n1,Ada\n2,Ben\n' >roster.csv
    server class/Ada 1
    grade_class class --labs 1 --roster roster.csv
    row_is Ben "Ben|2|||||nothing handed in"
    server class/Ben 2
    grade_class class --labs 1 --roster roster.csv
    row_is Ben "Ben|2|||2|2|"
}

# report_says LAB OF NAME... - whom report.html lists as not having handed in this lab
report_says() {
    python3 -I - "$@" <<'PY'
import json, sys
text = open("results/report.html", encoding="utf-8").read()
data = json.loads(text.split('id="data">', 1)[1].split("</script>")[0])
found = {lab["name"]: lab["not_handed_in"] for lab in data["labs"]}[sys.argv[1]]
assert found["students"] == sys.argv[3:] and (not sys.argv[3:] or found["of"] == int(sys.argv[2])), found
PY
}

@test "who has not handed in this lab: of the roster; nobody who may have handed in" {
    printf 'id,name\n1,Ada\n2,Ben\n3,Cleo\n4,Dan\n5,Eve\n6,Fay\n' >roster.csv
    for student in Ada Ben Cleo Dan Eve stranger; do server one/$student 1; done
    grade_class one --labs 1 --roster roster.csv
    prints $'lab01: not handed in by 1 of 6: Fay\n'
    server two/Ada 2
    server two/Cleo 50 main.c
    echo x >two/Eve.zip
    grade_class two --labs 2 --roster roster.csv
    prints $'lab02: not handed in by 3 of 6: Ben, Dan, Fay\n'
    prints 'Absent in all labs: "Fay"'
    report_says lab02-fork 6 Ben Dan Fay
    report_says lab01-blocking 0
    # Late, and alone in a download.
    server late/Dan 3
    grade_class late --labs 2 --roster roster.csv
    prints $'lab02: not handed in by 2 of 6: Ben, Fay\n'
    row_is Cleo "Cleo|3|||1|||lab02-fork: not handed in; there is main.c"
    [[ "$(row Eve)" == "Eve|5|||1|||lab02-fork: not a zip file"* ]]
}

@test "who has not handed in this lab, without a roster: of those of earlier weeks; names on one line of bounded length" {
    "$MAKE" moodle one lab01-blocking
    "$MAKE" moodle two lab02-fork 40
    rm -r two/{Ada,박,Zo}*
    grade_class one --labs 1
    [[ "$output" != *"not handed in by"* ]]
    report_says lab01-blocking 0
    # Two of one name have different numbers each week.
    for again in 1 2; do
        grade_class two --labs 2
        prints $'lab02: not handed in by 3 of 12: Ada Lovelace, Zoë Late, 박 서연\n'
    done
    report_says lab02-fork 12 "Ada Lovelace" "Zoë Late" "박 서연"
    # Which of them are these?
    server three/ada 1
    grade_class three --labs 3
    [[ "$output" != *"not handed in by"* ]]
    { echo name && printf '%s\n' "$(printf 'x%.0s' {1..300})" s{1..40}; } >roster.csv
    grade_class three --labs 3 --roster roster.csv
    line=$(grep '^lab03: not handed in by 41 of 41: xxx' <<<"$output")
    [[ "$line" == *", s9, and 31 more" && ${#line} -lt 200 ]]
}

@test "a download of one late student: the others keep their results, and the notes say so" {
    "$MAKE" moodle class lab01-blocking
    "$MAKE" roster . -
    grade_class class --labs 1 --roster students.csv
    mkdir late && mv class/Zo* late
    sed -i 's/score 12/score 90/' late/Zo*/server.c
    grade_class late --labs 1 --roster students.csv
    [ "$status" -eq 0 ]
    prints 'Not in this download, so the earlier result is kept: "Ada Lovelace"'
    row_is "Zoë Late" "Zoë Late|3012|zlate@example.edu|B|90|90|"
    row_is "Conor O'Brien" "Conor O'Brien|3004|cobrien@example.edu|B|4|4|lab01-blocking: not in this download: the earlier result is kept"
    row_is "Grace Hopper" "Grace Hopper|3013|ghopper@example.edu|A|||nothing handed in"
    ! grep -q 'earlier result' results/students/*/feedback.md || return 1
    grep -q '^cobrien' <(cut -d, -f2 results/gradebooks/moodle.csv)
    # Without a roster as well. Whoever is to be gone has no directory any more.
    rm -r results/students/Ada*
    grade_class late --labs 1
    [[ "$(row "Conor O'Brien")" == *"|4|4|lab01-blocking: not in this download"* ]]
    [[ "$(row "Ada Lovelace")" != *"|1|1|"* ]]
    # The note is about this download: the next week it is gone.
    server "two/Zoë Late_1011_assignsubmission_file_" 7
    grade_class two --labs 2
    [[ "$(row "Conor O'Brien")" == *"|4|||lab02-fork: not handed in" ]] || { cat results/grades.csv && false; }
    # And with the whole class it is as before.
    mv late/Zo* class
    grade_class class --labs 1 --roster students.csv
    row_is "Conor O'Brien" "Conor O'Brien|3004|cobrien@example.edu|B|4|||lab02-fork: not handed in"
}

@test "another student of the same name, in another week: each keeps the own points and directory" {
    server one 11 benben_501_7001_server.c
    server one 5 smithjo_9_7009_server.c
    server two 22 benben_502_7002_server.c
    server two 6 smithjo_9_7010_server.c
    grade_class one --labs 1
    grade_class two --labs 2
    jq -e 'map(select(.student == "benben") | [.labs[].score]) | sort == [[null, 22], [11, null]]' results/.class/class-results.json
    [ "$(jq .score results/students/benben/lab01.json)" -eq 11 ]
    [ "$(jq .score results/students/benben~/lab02.json)" -eq 22 ]
    # And again, in any order.
    grade_class one --labs 1
    prints "2 servers, 2 already graded"
    grade_class two --labs 2
    prints "2 servers, 2 already graded"
}

@test "a new student whose directory would have the name of an absent student's" {
    server one/ada 11
    server one/ben 5
    printf 'id,name\n1,Ada\n2,Ben\n' >roster.csv
    grade_class one --labs 1 --roster roster.csv
    server "two/ada_7_assignsubmission_file_" 22
    grade_class two --labs 2
    [ "$(jq .score results/students/ada/lab01.json)" -eq 11 ]
    row_is Ada "Ada|1|||11|||lab02-fork: not handed in"
    row_is ada "ada|||||22||lab01-blocking: not handed in"
}

@test "Moodle: two of one name, each hands in another week; the worksheet as the roster tells whose the points are" {
    server "one/김민준_1001_assignsubmission_file_" 11
    server "two/김민준_2002_assignsubmission_file_" 22
    worksheet() {
        printf '%s\n' 'Identifier,"Full name","Email address",Grade' "Participant $1,김민준,one@x.edu," "Participant $2,김민준,two@x.edu,"
    }
    worksheet 1001 1002 >one.csv
    worksheet 2001 2002 >two.csv
    grade_class one --labs 1 --roster one.csv
    for again in 1 2; do
        grade_class two --labs 2 --roster two.csv
        row_is "김민준 (one@x.edu)" "김민준 (one@x.edu)||one@x.edu||11|||lab02-fork: not handed in"
        row_is "김민준 (two@x.edu)" "김민준 (two@x.edu)||two@x.edu|||22||lab01-blocking: not handed in"
    done
}

@test "absent for a week, on a roster of names: the points of before and after are one student's" {
    printf 'name\nAda\nBen\n' >roster.csv
    for lab in 1 3; do server "$lab/Ada_${lab}_assignsubmission_file_" $lab; done
    for lab in 1 2 3; do server "$lab/Ben_${lab}_assignsubmission_file_" 9; done
    for lab in 1 2 3; do
        grade_class $lab --labs $lab --roster roster.csv
    done
    row_is Ada "Ada|1||3||lab02-fork: not handed in"
}

@test "without --labs: a student who has zipped all labs does not clear the others' earlier results" {
    for student in ada ben cleo; do server one/$student/lab01-blocking 11; done
    grade_class one
    for student in ada ben; do server two/$student/lab02-fork 22; done
    server two/ada/lab01-blocking 12
    echo x >two/cleo.zip
    grade_class two
    row_is ada "ada|12|22|34|"
    row_is ben "ben|11|22|33|lab01-blocking: not in this download: the earlier result is kept"
    [[ "$(row cleo)" == "cleo|11|||not a zip file"* ]] || { cat results/grades.csv && false; }
    # Whoever names the labs asks for those.
    grade_class two --labs 1,2
    row_is ben "ben||22||lab01-blocking: not handed in"
}

@test "an archive that could not be read: the sheets of later weeks still say so" {
    for student in ada ben; do server one/$student 11; done
    server two/ada 22
    echo x >two/ben.zip
    echo x >two/cleo.zip
    server three/ada 33
    server three/ben 33
    grade_class one --labs 1
    grade_class two --labs 2
    grade_class three --labs 3
    [[ "$(row ben)" == "ben|11||33||lab02-fork: not a zip file"* ]] || { cat results/grades.csv && false; }
    [[ "$(row cleo)" == *"lab02-fork: not a zip file"*"lab03-threads: not handed in" ]]
}

@test "--regrade: only this student or this lab is graded again" {
    server class/ada/lab01-blocking 1
    server class/ada/lab02-fork 1
    server class/ben/lab01-blocking 1
    grade_class class
    grade_class class
    prints "3 servers, 3 already graded"
    grade_class class --regrade ada/1
    prints "3 servers, 2 already graded"
    grade_class class --regrade ada
    prints "3 servers, 1 already graded"
    grade_class class --regrade ada/lab02 --regrade ben
    prints "3 servers, 1 already graded"
    grade_class class --regrade zoe
    [ "$status" -eq 2 ]
    prints "--regrade: there is no student 'zoe'"
    grade_class class --labs 1 --regrade ada/2
    [ "$status" -eq 2 ]
    prints "there is no lab '2'"
}

@test "overrides.csv: marked in the sheet, the report and the feedback, kept when graded again, gone with its line" {
    server class/ada 10
    server class/ben 20
    mkdir class/cleo
    grade_class class --labs 1
    printf 'student,lab,points,reason\nada,1,"80,5",was ill\ncleo,lab01,0,left\n' >results/overrides.csv
    for again in '' '--regrade ada'; do
        # shellcheck disable=SC2086 # an option and its argument
        grade_class class --labs 1 $again
        row_is ada "ada|80.5|80.5|lab01-blocking: changed to 80.5 points (graded: 10 points): was ill"
        row_is ben "ben|20|20|"
        row_is cleo "cleo|0|0|lab01-blocking: not handed in; changed to 0 points (graded: no points): left"
    done
    grep -q 'changed by the instructor: was ill' results/students/ada/feedback.md
    grep -q 'changed to 80.5 points' results/report.html
    [ "$(jq .score results/students/ada/lab01.json)" -eq 10 ]
    server class2/ada/lab02-fork 30
    grade_class class2 --labs 2
    row_is ada "ada|80.5|30|110.5|lab01-blocking: changed to 80.5 points (graded: 10 points): was ill"
    rm results/overrides.csv
    grade_class class --labs 1
    [[ "$(row ada)" == "ada|10|30|40|" ]]
}

@test "overrides.csv with a mistake: status 2 and the number of the line, before anything is graded" {
    server class/ada 10
    grade_class class --labs 1
    bad() {
        printf 'student,lab,points,reason\n%s\n%s\n' "ada,2,5,fine" "$1" >results/overrides.csv
        grade_class class --labs 1
        [ "$status" -eq 2 ]
        prints "overrides.csv, line 3: $2"
    }
    bad "zoe,1,5,x" "there is no student 'zoe'"
    bad "ada,9,5,x" "there is no lab '9'"
    bad "ada,1,many,x" "'many' is not a number"
    bad "ada,1,101,x" "'101' is not a number"
    bad "ada,1,-1,x" "'-1' is not a number"
    bad "ada,1,5," "there is no reason"
    bad "ada,1,80,5,was ill" "it has more cells than there are columns"
    bad $'ada,1,5,x\nada,1,6,x' "" || [[ "$output" == *"line 4: there is a line"* ]]
    printf 'name,lab\nada,1\n' >results/overrides.csv
    grade_class class --labs 1
    [ "$status" -eq 2 ]
    prints "line 1: the column student is missing"
}

@test "overrides.csv with many mistakes: all at once, each with its line, at most twenty; nothing has changed" {
    server class/ada 10
    server class/ben 20
    grade_class class --labs 1
    cp -r results before
    printf 'student,lab,points,reason\nzoe,9,many,\nada,1,5,x\nben,1,6,x\nada,1,101,y\n' >results/overrides.csv
    grade_class class --labs 1 --weights 1=x --regrade cleo
    [ "$status" -eq 2 ]
    for message in "2: there is no student 'zoe'" "2: there is no lab '9'" "2: 'many' is not" "2: there is no reason" \
        "5: '101' is not" "5: there is a line for this student and this lab already, line 3"; do
        prints "grade: overrides.csv, line $message"
    done
    prints "--weights: '1=x'"
    prints "--regrade: there is no student 'cleo'"
    [ "$(grep -c 'overrides.csv' <<<"$output")" -eq 6 ]
    rm results/overrides.csv
    diff -r before results
    { echo student,lab,points,reason && printf 'student%d,1,5,x\n' {1..25}; } >results/overrides.csv
    grade_class class --labs 1
    [ "$status" -eq 2 ]
    prints $'overrides.csv, line 21: there is no student \'student20\'\ngrade: and 5 more'
    [ "$(grep -c 'no student' <<<"$output")" -eq 20 ]
}

@test "--weights, and what is wrong with them" {
    server class/ada/lab01-blocking 50
    server class/ada/lab02-fork 20
    grade_class class --weights 1=10,2=30
    row_is ada "ada|50|20|11|"
    for weights in 1=10 1=x,2=1 9=1 1; do
        grade_class class --weights $weights
        [ "$status" -eq 2 ]
    done
}

@test "--late-per-day: days where the download records a time and --due is given; Canvas records none" {
    "$MAKE" blackboard class lab01-blocking 40
    grade_class class --labs 1 --due 1=2026-11-20 --late-per-day 10
    # 2026-11-23 09:30 is three days after the end of 2026-11-20, begun days counted.
    [[ "$(row "Zoë Late")" == *"|14|14|"*"late by 3 days, 10% deducted for each (graded: 20 points)"* ]] || { cat results/grades.csv && false; }
    [[ "$(row "Jürgen Groß")" == *"|45|45|" ]]
    [[ "$output" != *"there is no --due"* ]]
    grade_class class --labs 1 --late-per-day 10
    prints "--late-per-day: there is no --due for lab01-blocking, so nothing is deducted"
    rm -r class results
    "$MAKE" canvas class lab01-blocking
    grade_class class --labs 1 --late-per-day 10
    [[ "$(row "latezoë")" == *"|12|12|lab01-blocking: late; the download does not record by how many days"* ]]
    grade_class class --labs 1
    [[ "$(row "latezoë")" == *"|12|12|lab01-blocking: late" ]]
    rm -r class results
    "$MAKE" moodle class lab01-blocking
    grade_class class --labs 1 --late-per-day 10
    prints "this download does not record when"
    for wrong in '--late-per-day 101' '--late-per-day x' '--due 1=soon' '--due 9=2026-11-20' '--due 2026-11-20' \
        '--due 1=20261128' '--due 1=2026-W48-6' '--due 1=2026-11-28T18' '--due 1=2026-11-28T18:00+09:00' \
        '--due 1=2026-11-28T18:00Z' '--due 1=9999-12-31'; do
        # shellcheck disable=SC2086 # an option and its argument
        grade_class class --labs 1 $wrong
        [ "$status" -eq 2 ] || { echo "$wrong: $output" && false; }
    done
}

@test "an empty cell leaves the total empty: also where the grader failed" {
    server class/ada/lab01-blocking 1
    server class/ben/lab01-blocking ""
    server class/ben/lab02-fork 5
    grade_class class
    [ "$status" -eq 3 ]
    row_is ada "ada|1|||lab02-fork: not handed in"
    [[ "$(row ben)" == "ben||5||lab01-blocking: the grader failed"* ]]
}

# ---- gradebooks ----------------------------------------------------------------------------------

@test "Moodle: a worksheet by participant, a zip that can be uploaded back, moodle.csv by mail" {
    "$MAKE" moodle class lab01-blocking
    "$MAKE" roster . -
    grade_class class --labs 1 --roster students.csv
    python3 - <<'PY'
import csv, re, zipfile
rows = list(csv.DictReader(open("results/gradebooks/moodle-worksheet-lab01-blocking.csv", encoding="utf-8-sig", newline="")))
assert len(rows) == 12 and {"Identifier", "Grade", "Last modified (grade)"} <= rows[0].keys(), rows
assert [r["Grade"] for r in rows if r["Identifier"] == "Participant 1002"] == ["3"], rows
names = zipfile.ZipFile("results/gradebooks/moodle-feedback-lab01-blocking.zip").namelist()
assert len(names) == 12, names
for name in names:  # as Moodle's importer splits them
    part = name.split("/")[0].split("_", 4)
    assert part[1].isdigit() and part[2:4] == ["assignsubmission", "file"] and name.endswith("/feedback-lab01.md"), name
assert "김민준_1001_assignsubmission_file_/feedback-lab01.md" in names, names
by_mail = {r["Email address"]: r["lab01-blocking"] for r in csv.DictReader(open("results/gradebooks/moodle.csv", encoding="utf-8-sig"))}
assert by_mail["cobrien@example.edu"] == "4", by_mail
assert "ghopper@example.edu" not in by_mail, by_mail  # an empty cell would clear her points
PY
    "$MAKE" moodle-flat flat lab01-blocking
    rm -r results
    grade_class flat --labs 1
    python3 -c 'import zipfile
names = zipfile.ZipFile("results/gradebooks/moodle-feedback-lab01-blocking.zip").namelist()
assert "Ada Lovelace_1000_assignsubmission_file_feedback-lab01.md" in names, names'
}

@test "Canvas: students by ID, points possible, feedback by the numbers of user and file" {
    "$MAKE" canvas class lab01-blocking
    grade_class class --labs 1
    python3 - <<'PY'
import csv, re, zipfile
rows = list(csv.reader(open("results/gradebooks/canvas.csv", encoding="utf-8-sig", newline="")))
assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "lab01-blocking"], rows[0]
assert rows[1][0].strip() == "Points Possible" and rows[1][5] == "100"
assert ["503", "4"] in [[r[1], r[5]] for r in rows], rows
names = zipfile.ZipFile("results/gradebooks/canvas-feedback-lab01-blocking.zip").namelist()
assert len(names) == 12
for name in names:  # as Canvas finds them: the first two numbers between underscores
    numbers = [part for part in name.split("_") if part.isdigit()]
    assert 500 <= int(numbers[0]) < 512 and int(numbers[1]) > 70000, name
PY
}

@test "Canvas: its exported gradebook as the roster: each student by ID, also two of one name" {
    "$MAKE" canvas class lab01-blocking
    "$MAKE" canvas two lab02-fork 40
    rm two/김민준_502*
    python3 - <<'PY'
import csv
names = ["Lovelace, Ada", "김민준", "김민준", "O'Brien, Conor", "Ångström, Søren", "Groß, Jürgen", "Smith-Jones, Mary Ann", "서연, 박",
         "da Silva, José", "Evil, =cmd", "Łukasz, D'Arcy", "Late, Zoë", "Hopper, Grace", "Student, Test"]
with open("export.csv", "w", encoding="utf-8-sig", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Lab 1 (4711)"])
    rows.writerow(["    Points Possible", "", "", "", "", "100.00"])
    rows.writerows([name, 500 + i, 3001 + i, f"user{i}", "CS101-A", ""] for i, name in enumerate(names))
PY
    grade_class class --labs 1 --roster export.csv
    row_is "김민준 (3002)" "김민준 (3002)|3002||CS101-A|2|2|"
    row_is "김민준 (3003)" "김민준 (3003)|3003||CS101-A|3|3|"
    [ "$(grep -c '' results/grades.csv)" -eq 14 ] # with Grace Hopper, and without those who are nobody
    printf 'student,lab,points,reason\nuser2,1,55,was ill\n' >results/overrides.csv
    grade_class two --labs 2
    python3 - <<'PY'
import csv
rows = list(csv.reader(open("results/gradebooks/canvas.csv", encoding="utf-8-sig", newline="")))
assert ["김민준", "501", "3002", "user1", "CS101-A", "2", "41"] in rows, rows
assert ["김민준", "502", "3003", "user2", "CS101-A", "55", ""] in rows, rows
assert not any("Hopper" in row[0] for row in rows), rows  # an empty cell would clear her points
PY
}

@test "Canvas: its exported gradebook with other columns, and rows that are no students" {
    server class 1 lovelaceada_500_7001_server.c
    server class 2 kim_501_7002_server.c
    server class 3 kim_502_7003_server.c
    printf '%s\n' 'Student,ID,SIS User ID,SIS Login ID,Section,Lab 1 (4711)' ',,,,,Manual Posting' \
        '    Points Possible,,,,,100' '"Lovelace, Ada",500,3001,ada,A,' 'Kim,501,3002,kim1,A,' 'Kim,502,3003,kim2,A,' \
        'Test Student,599,,x,A,' >with-ids.csv
    printf '%s\n' 'Student,ID,SIS Login ID,Section,Lab 1 (4711)' ',,,,Manual Posting' '    Points Possible,,,,100' \
        '"Lovelace, Ada",500,ada,A,' 'Kim,501,kim1,A,' 'Kim,502,kim2,A,' '"Student, Test",599,x,A,' >without-ids.csv
    printf '%s\n' 'LastName,FirstName,ID,SIS User ID,SIS Login ID,Section,Lab 1 (4711)' ',,,,,,Manual Posting' \
        '    Points Possible,,,,,,100' 'Lovelace,Ada,500,3001,ada,A,' 'Kim,,501,3002,kim1,A,' 'Kim,,502,3003,kim2,A,' \
        'Student,Test,599,,x,A,' >two-names.csv
    for roster in with-ids:3001,3002,3003 without-ids:ada,kim1,kim2 two-names:3001,3002,3003; do
        rm -rf results
        IFS=, read -r ada kim1 kim2 <<<"${roster#*:}"
        grade_class class --labs 1 --roster "${roster%:*}.csv"
        [ "$status" -eq 0 ] || { echo "$output" && false; }
        row_is "Ada Lovelace" "Ada Lovelace|$ada||A|1|1|"
        row_is "Kim ($kim1)" "Kim ($kim1)|$kim1||A|2|2|"
        row_is "Kim ($kim2)" "Kim ($kim2)|$kim2||A|3|3|"
        [ "$(grep -c '' results/grades.csv)" -eq 4 ]
    done
}

@test "Moodle: the worksheet as the roster gives the maximum and the date of the last change" {
    "$MAKE" moodle class lab01-blocking 40
    server "class/Anna (Ann)_77_assignsubmission_file_" 9
    printf '%s\n' 'Identifier,Full name,Email address,Grade,Maximum grade,Last modified (grade)' \
        'Participant 1000,Ada Lovelace,a@x.edu,,20.00,"Sunday, 29 November 2026, 5:00 AM"' >worksheet.csv
    grade_class class --labs 1 --roster worksheet.csv
    python3 - <<'PY'
import csv
rows = list(csv.reader(open("results/gradebooks/moodle-worksheet-lab01-blocking.csv", encoding="utf-8-sig", newline="")))
assert rows[1] == ["Participant 1000", "Ada Lovelace", "a@x.edu", "8", "20", "Sunday, 29 November 2026, 5:00 AM"], rows
assert ["Participant 1001", "김민준", "", "41", "100", "-"] in rows, rows
assert ["Participant 77", "Anna (Ann)", "", "9", "100", "-"] in rows, rows  # this is her name
PY
}

@test "Blackboard: by user name, also in a week without a file; nobody whose user name is not known" {
    "$MAKE" blackboard class lab01-blocking
    "$MAKE" blackboard two lab02-fork 40
    "$MAKE" roster . -
    rm two/*mkim2* two/*cobrien*
    grade_class class --labs 1 --roster students.csv
    grade_class two --labs 2 --roster students.csv
    python3 - <<'PY'
import csv
rows = list(csv.reader(open("results/gradebooks/blackboard.csv", encoding="utf-8-sig", newline="")))
assert ["O'Brien", "Conor", "cobrien", "4", ""] in rows and ["김민준", "", "mkim2", "3", ""] in rows, rows
assert ["Łukasz", "D'Arcy", "dlukasz", "11", "50"] in rows and not any("Hopper" in row[0] for row in rows), rows
PY
    grade_class two --labs 2 --roster students.csv --regrade mkim1
    [ "$status" -eq 0 ]
    prints "10 servers, 9 already graded"
}

@test "an untouched starter: the sheet and the feedback say so" {
    mkdir -p class/ada class/ben
    cp "$COURSE/grading/starters/lab01-blocking.c" class/ada/server.c
    server class/ben 5
    [ -n "$(type -P sim_c)" ] || skip "similarity-tester is not installed"
    grade_class class --labs 1
    [[ "$(row ada)" == *"lab01-blocking: "*"the starter, unchanged" ]] || { cat results/grades.csv && false; }
    grep -q '^This is the starter, unchanged' results/students/ada/feedback.md
    ! grep -q 'the starter, unchanged' results/students/ben/feedback.md
}

@test "students called like our own files do not replace them" {
    for student in gradebooks overrides.csv grades.csv notes.txt =1+1; do
        server "class/$student" 3
    done
    mkdir names && mv class names/class && cd names
    server "class/Gradebooks_1_assignsubmission_file_" 4
    server "class/gradebooks_2_assignsubmission_file_" 5
    grade_class class --labs 1
    [ "$status" -eq 0 ]
    [ -f results/grades.csv ] && [ -d results/gradebooks ] && [ ! -e results/gradebooks/lab01.json ]
    [ "$(find results -name lab01.json | wc -l)" -eq 7 ]
}

@test "Excel: a BOM, Korean intact, no formulas in any CSV" {
    "$MAKE" canvas class lab01-blocking
    "$MAKE" roster . -
    sed -i '2s/.*/3001;Ada Lovelace;"=HYPERLINK(1)";@group\r/' students.csv
    grade_class class --labs 1 --roster students.csv
    for file in results/grades.csv results/gradebooks/*.csv; do
        [ "$(head -c 3 "$file" | od -An -tx1 | tr -d ' ')" = efbbbf ]
        python3 - "$file" <<'PY'
import csv, sys
text = open(sys.argv[1], encoding="utf-8-sig", newline="")
for row in csv.reader(text):
    for cell in row:
        assert not cell.lstrip().startswith(tuple("=+-@")) or cell == "-", (sys.argv[1], row)
PY
    done
    grep -q 'Conor O' results/grades.csv
    grep -q 박 results/gradebooks/canvas.csv
}
