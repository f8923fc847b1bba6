# Downloads of learning platforms, which file counts, the roster. Everything is what instructors use, except that
# a stand-in grades: it reads the points from the server.c.
# shellcheck shell=bash

load downloads/common.bash

# ---- recognized by its names ---------------------------------------------------------------------

@test "a dozen students of each format: recognized, each with the right name and the right server" {
    for format in moodle moodle-flat canvas blackboard gradescope github plain; do
        "$MAKE" "$format" "$format" lab01-blocking
        touch "$format/.DS_Store" "$format/Thumbs.db" "$format/grades-2025.xlsx" "$format/notes.txt"
        mkdir -p "$format/__MACOSX"
        rm -rf results
        grade_class "$format" --labs 1
        [ "$status" -eq 0 ] || { echo "$output" && false; }
        prints ": 12 students, 1 lab"
        case $format in
        moodle*) prints "Moodle download" && two="김민준 (1001)" ;;
        canvas) prints "Canvas download" && two="김민준 (501)" ;;
        blackboard) prints "Blackboard download" && two="김민준 (mkim1)" ;;
        gradescope) prints "Gradescope download" && two="김민준 (3002)" ;;
        github) prints "GitHub download" && two=mkim1 ;;
        plain) prints "Plain directory" && two=mkim1 ;;
        esac
        prints 'Not students: '
        prints 'grades-2025.xlsx'
        [[ "$(row "$two")" == *"|2|2|"* ]] || { cat results/grades.csv && false; }
        [ "$(awk -F, 'NR > 1 { print }' results/grades.csv | wc -l)" -eq 12 ]
        # Each of the scores 1 to 12 once, but for whoever handed in more than once.
        [ "$(jq '[.[].labs[0].score] | sort | .[:11] == [range(1; 12)]' results/.class/class-results.json)" = true ]
    done
}

@test "--from forces a format; a wrong one, or one that fits nothing, is an error" {
    server "Ada Lovelace_12345_assignsubmission_file_" 5
    mkdir class && mv Ada* class
    grade_class class --labs 1
    prints "Moodle download: 1 student, 1 lab"
    row_is "Ada Lovelace" "Ada Lovelace|5|5|"
    rm -r results
    grade_class class --labs 1 --from plain
    prints "Plain directory: 1 student, 1 lab"
    row_is "Ada Lovelace_12345_assignsubmission_file_" "Ada Lovelace_12345_assignsubmission_file_|5|5|"
    grade_class class --labs 1 --from canvas
    [ "$status" -eq 2 ]
    prints "--from canvas: nothing in"
    grade_class class --labs 1 --from sakai
    [ "$status" -eq 2 ]
    prints "--from must be moodle, canvas"
}

@test "collected by hand from several systems: each name is read" {
    server class/ben/lab01-blocking 1
    server class/cleo 2
    server "class/Ada Lovelace_12345_assignsubmission_file_" 3
    server "class/Lab 1_ghopper_attempt_2026-02-11-10-00-00" 4
    server "class/Lab 1_ghopper_attempt_2026-02-12-10-00-00" 5
    server class/turingalan_LATE_1236_567892 6
    server class/dan 7
    server class/eve_2_3 8
    grade_class class --labs 1
    row_is "Ada Lovelace" "Ada Lovelace||||3|3|"
    [[ "$(row ghopper)" == *"|5|5|lab01-blocking: attempt 2 of 2"* ]]
    [[ "$(row turingalan)" == *"|6|6|lab01-blocking: late"* ]]
    row_is eve_2_3 "eve_2_3||||8|8|"
}

@test "a file's name cannot pretend to be another student" {
    mkdir class
    server class 9 "Eve_1_assignsubmission_file_Ada Lovelace_12345_assignsubmission_file_server.c"
    server class 3 "Ada Lovelace_12345_assignsubmission_file_server.c"
    server class 4 "Bob_12346_assignsubmission_file_server.c"
    grade_class class --labs 1
    row_is "Ada Lovelace" "Ada Lovelace|3|3|"
    [[ "$(row Eve)" == "Eve|||"* ]]
}

@test "Moodle in group mode: the group before the name does not hide the student" {
    server "class/B-Ada Lovelace_1_assignsubmission_file_" 5
    printf 'id,name,group\n1,Ada Lovelace,B\n' >roster.csv
    grade_class class --labs 1 --roster roster.csv
    row_is "Ada Lovelace" "Ada Lovelace|1||B|5|5|"
}

@test "a zip instead of a directory: what to do" {
    touch class.zip
    grade_class class.zip
    [ "$status" -eq 2 ]
    prints "Unpack it"
}

@test "a repository for each student and lab; an assignment that the school numbers otherwise" {
    for repository in lab01-blocking-ada lab02-fork-ada lab1-mary-jane Lab02-mary-jane; do
        mkdir -p "class/org/$repository/.git"
    done
    server class/org/lab01-blocking-ada 1
    server class/org/lab02-fork-ada/lab02-fork 2
    server class/org/lab1-mary-jane 3
    server class/org/Lab02-mary-jane 4
    grade_class class
    row_is ada "ada|1|2|3|"
    row_is mary-jane "mary-jane|3|4|7|"
    grade_class class --labs 1
    row_is ada "ada|1|2|3|"
    rm -r class results
    server class 5 "Lab 7_ada_attempt_2026-02-11-10-00-00_server.c"
    grade_class class --labs 1
    row_is ada "ada|ada|||5|5|"
}

@test "a lab named by mistake: its column goes when it is not named again" {
    server class/ada/lab01-blocking 1
    grade_class class --labs 1,2
    row_is ada "ada|1|||lab02-fork: not handed in"
    grade_class class --labs 1
    row_is ada "ada|1|1|"
}

@test "a Gradescope group: each member has the submission; a name that is not in the metadata stays" {
    mkdir class
    server class/submission_1 5
    server class/submission_2 6
    printf '%s\n' --- submission_1: '  :submitters:' '  - :name: Ada' "    :sid: '1'" '    :email: a@x.edu' '  - :name: Ben' \
        "    :sid: '2'" '    :email: b@x.edu' '  :created_at: 2026-11-20 10:00:00.000000000 Z' >class/submission_metadata.yml
    grade_class class --labs 1
    row_is Ada "Ada|1|a@x.edu||5|5|"
    row_is Ben "Ben|2|b@x.edu||5|5|"
    row_is submission_2 "submission_2||||6|6|"
}

# ---- which file ----------------------------------------------------------------------------------

@test "the exact name wins, otherwise the only plausible one, otherwise the note lists what is there" {
    server class/exact/lab01-blocking 1
    server class/exact/lab01-blocking 50 "server (1).c"
    server "class/exact/lab01-blocking copy" 50
    server class/exact/lab01-old 50
    server class/capital/lab01-blocking 2 Server.c
    server class/browser/lab01-blocking 3 "server (1).c"
    server class/canvas/lab01-blocking 4 server-1.c
    server "class/space/Lab 1" 5
    server "class/copy/lab01-blocking copy" 6
    server class/upper/LAB01-Blocking 7
    server class/two/lab01-blocking 50 "server (1).c"
    server class/two/lab01-blocking 50 "server (2).c"
    server class/other/lab01-blocking 50 main.c
    server class/other/lab02-fork 50
    mkdir -p class/other/lab01-blocking && echo x >class/other/lab01-blocking/notes.pdf
    grade_class class --labs 1
    row_is exact "exact|1|1|"
    row_is capital 'capital|2|2|lab01-blocking: graded "lab01-blocking/Server.c"'
    row_is browser 'browser|3|3|lab01-blocking: graded "lab01-blocking/server (1).c"'
    row_is canvas 'canvas|4|4|lab01-blocking: graded "lab01-blocking/server-1.c"'
    row_is space 'space|5|5|lab01-blocking: graded "Lab 1/server.c"'
    row_is copy 'copy|6|6|lab01-blocking: graded "lab01-blocking copy/server.c"'
    [[ "$(row upper)" == "upper|7|7|"* ]]
    row_is two 'two|||lab01-blocking: 2 server.c files for this lab: rename all but one (lab01-blocking/server (1).c, lab01-blocking/server (2).c)'
    row_is other 'other|||lab01-blocking: not handed in; there is lab01-blocking/main.c, lab01-blocking/notes.pdf'
}

@test "archives, also in directories: zip, tar, tar.gz, tar.xz, tar.bz2, 7z, rar; a broken one is listed" {
    server files/lab01-blocking 8
    mkdir class class/in-directory class/broken-in-directory class/unpacked
    for extension in tar tar.gz tar.xz tar.bz2; do
        tar -C files -caf "class/a-$extension.$extension" lab01-blocking
    done
    (cd files && python3 -c 'import zipfile; zipfile.ZipFile("../class/in-directory/lab.zip", "w").write("lab01-blocking/server.c")')
    cp class/in-directory/lab.zip class/unpacked/
    server class/unpacked/lab01-blocking 9
    echo x >class/broken-in-directory/lab.zip
    printf 'Rar!' >class/rar.rar
    expected=(a-tar a-tar.gz a-tar.xz a-tar.bz2 in-directory)
    if [ -n "$(type -P bsdtar)" ]; then
        (cd files && bsdtar --format 7zip -cf ../class/seven.7z lab01-blocking)
        # Nothing in Debian writes RAR. One file, not compressed: technote of RAR 4.
        python3 - files/lab01-blocking/server.c class/four.rar <<'PY'
import struct, sys, zlib
def header(kind, flags, fields):
    rest = struct.pack("<BHH", kind, flags, 7 + len(fields)) + fields
    return struct.pack("<H", zlib.crc32(rest) & 0xffff) + rest
name, data = b"lab01-blocking/server.c", open(sys.argv[1], "rb").read()
file = struct.pack("<IIBIIBBHI", len(data), len(data), 3, zlib.crc32(data), 0x5b7a0000, 20, 0x30, len(name), 0o100644)
open(sys.argv[2], "wb").write(b"Rar!\x1a\7\0" + header(0x73, 0, bytes(6)) + header(0x74, 0x8000, file + name)
                              + data + header(0x7b, 0x4000, b""))
PY
        expected+=(seven four)
    fi
    grade_class class --labs 1
    for student in "${expected[@]}"; do
        row_is "$student" "$student|8|8|"
    done
    row_is unpacked "unpacked|9|9|"
    [[ "$(row rar)" == "rar|||"*rar* ]]
    [[ "$(row broken-in-directory)" == "broken-in-directory|||lab.zip: not a zip file"* ]]
}

@test "many slow archives in one directory: its time is limited, and the other students have theirs" {
    server class/ada 1
    mkdir class/eve
    python3 - <<'PY'
import gzip
with gzip.open("class/eve/0.tar.gz", "wb", 9) as file:  # a tar whose members never end, within the size limit
    block = bytearray(512)
    block[:1] = b"x"; block[124:136] = b"00000000000\0"; block[156:157] = b"0"; block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    file.write(bytes(block) * 19999)
PY
    for ((i = 1; i < 20; i++)); do cp class/eve/0.tar.gz class/eve/$i.tar.gz; done
    sed -i 's/^MAX_SECONDS = .*/MAX_SECONDS = 2/' "$COURSE/grading/class/read-submissions.py"
    grade_class class --labs 1
    cp "$GRADING/class/read-submissions.py" "$COURSE/grading/class/"
    row_is ada "ada|1|1|"
    [[ "$(row eve)" == "eve|||reading it took more than 2 seconds" ]] || { cat results/grades.csv && false; }
}

@test "the latest attempt counts, and the output says so; --attempt best" {
    "$MAKE" blackboard class lab01-blocking
    grade_class class --labs 1
    prints "2 students handed in more than once: the latest attempt counts"
    [[ "$(row "Ada Lovelace")" == *"|1|1|lab01-blocking: attempt 2 of 2, 2026-11-20 10:00:00" ]]
    [[ "$(row "Zoë Late")" == *"|20|20|lab01-blocking: attempt 2 of 2, 2026-11-23 09:30:00" ]]
    grade_class class --labs 1 --attempt best
    prints "the best attempt counts"
    [[ "$(row "Ada Lovelace")" == *"|70|70|lab01-blocking: attempt 1 of 2, 2026-11-12 10:00:00" ]]
    [[ "$(row "Zoë Late")" == *"|20|20|"* ]]
    [ "$(jq .score results/students/Ada%20Lovelace/lab01.json)" -eq 70 ]
    grade_class class --labs 1 --attempt worst
    [ "$status" -eq 2 ]
}

@test "--attempt best: an attempt that cannot be graded does not hide the earlier one" {
    mkdir class
    server class 7 "Lab 1_ada_attempt_2026-11-12-10-00-00_server.c"
    for number in 1 2; do
        server class 8 "Lab 1_ada_attempt_2026-11-13-10-00-00_server ($number).c"
    done
    server class 3 "Lab 1_ben_attempt_2026-11-12-10-00-00_server.c"
    grade_class class --labs 1
    [[ "$(row ada)" == "ada|"*"|||lab01-blocking: 2 server.c files"* ]] || { cat results/grades.csv && false; }
    grade_class class --labs 1 --attempt best
    [[ "$(row ada)" == "ada|"*"|7|7|lab01-blocking: attempt 1 of 2, 2026-11-12 10:00:00" ]] || { cat results/grades.csv && false; }
}

@test "server.c far below: found, or the note lists it" {
    server class/ada/1/2/3/4/5/6/7/lab01-blocking 5
    server class/ben/1/2/3/4/5/6/7/lab01-blocking 6
    far=$(printf '%s/' {1..30})
    server "class/cleo/$far" 7
    mkdir class/dan
    (cd class && python3 - "$far" <<'PY'
import sys, zipfile
zipfile.ZipFile("dan.zip", "w").write("cleo/" + sys.argv[1] + "server.c")
PY
        tar -czf ben.tar.gz ben && rm -r ben dan)
    grade_class class --labs 1
    row_is ada "ada|5|5|"
    row_is ben "ben|6|6|"
    for student in cleo dan; do
        [[ "$(row $student)" == *"lab01-blocking: not handed in; there is "*"1/2/3/4/5/6/7/8/9/10/"* ]] || { cat results/grades.csv && false; }
    done
}

@test "without --labs: those that somebody has handed in; only server.c needs --labs" {
    server class/ada/lab01-blocking 1
    server class/ben/lab02-fork 2
    grade_class class
    prints "2 students, 2 labs"
    row_is ada "ada|1|||lab02-fork: not handed in"
    rm -r class results
    server class/ada 1
    grade_class class
    [ "$status" -eq 2 ]
    prints "name the lab: --labs 1"
}

# ---- the roster ----------------------------------------------------------------------------------

@test "--roster: names and ids, and who is absent, for each format; semicolons and a BOM" {
    "$MAKE" roster . -
    for format in moodle canvas blackboard gradescope github plain; do
        "$MAKE" "$format" "$format" lab01-blocking
        rm -rf results
        grade_class "$format" --labs 1 --roster students.csv
        [ "$status" -eq 0 ]
        prints 'Absent in all labs: '
        prints 'Grace Hopper'
        row_is "Grace Hopper" "Grace Hopper|3013|ghopper@example.edu|A|||nothing handed in"
        row_is "Conor O'Brien" "Conor O'Brien|3004|cobrien@example.edu|B|4|4|"
        row_is "Søren Ångström" "Søren Ångström|3005|sangstroem@example.edu|A|5|5|"
        row_is "박 서연" "박 서연|3008|spark@example.edu|B|8|8|"
        [[ "$(row "'=cmd Evil")" == "'=cmd Evil|3010|"*"|10|10|" ]]
        grep -q 'Grace Hopper' results/report.html
        grep -q '3004' results/report.html
        case $format in
        moodle | canvas) # only a name, which two on the roster have
            [ "$(grep -c 'several students on the roster have this name' results/grades.csv)" -eq 2 ]
            [[ "$(row "김민준 (3002)")" == *"|||lab01-blocking: compare with 김민준 ("* ]]
            [[ "$output" != *'Absent in all labs: "김'* ]]
            prints $'lab01: not handed in by 1 of 13: Grace Hopper\n'
            ;;
        *) [[ "$(row "김민준 (3002)")" == "김민준 (3002)|3002|"*"|2|2|" ]] ;;
        esac
    done
}

@test "Canvas: what a student typed is a note about that student; anonymous names; what only looks like Canvas" {
    server class 1 lovelaceada_501_7001_server.c
    server class 2 anon_7Hq2k_7004_server.c
    server class 3 anon_LATE_7Hq2m_7005_server.c
    server class 50 lovelaceada_501_text.html
    server class 50 benben_503_text.html
    server class 50 benben_503_link.html
    grade_class class --labs 1
    prints "Canvas download: 4 students, 1 lab"
    row_is lovelaceada "lovelaceada|1|1|"
    row_is anon_7Hq2k "anon_7Hq2k|2|2|"
    row_is anon_7Hq2m "anon_7Hq2m|3|3|lab01-blocking: late"
    row_is benben "benben|||lab01-blocking: not handed in; there is link.html, text.html"
    grep -q lovelaceada results/gradebooks/canvas.csv
    ! grep -q anon results/gradebooks/canvas.csv || return 1 # Canvas does not tell who it is
    for names in "team_1_2026001 team_1_2026002" "team_1_2026001 team_2_2026002" "a_1_2026001 b_1_2026002"; do
        rm -r class results
        for name in $names; do server "class/$name" 4; done
        grade_class class --labs 1
        prints "Plain directory: 2 students, 1 lab"
    done
    rm -r class results
    mkdir class
    (cd class && python3 -c 'import zipfile; zipfile.ZipFile("lab_1_20261001_kim.zip", "w").writestr("server.c", "// score 4")')
    grade_class class --labs 1
    row_is lab_1_20261001_kim "lab_1_20261001_kim|4|4|"
    rm -r class results
    server class 5 benben_503_7001_server.c
    grade_class class --labs 1
    row_is benben "benben|5|5|"
}

@test "Canvas: a user's number that is somebody else's id" {
    server class 1 lovelaceada_501_7001_server.c
    server class 2 benben_3001_7002_server.c
    server class 3 nobody_3004_7003_server.c
    printf 'id,name\n3001,Ada Lovelace\n501,Ben Ben\n3003,Cleo\n3004,Dan\n' >roster.csv
    grade_class class --labs 1 --roster roster.csv
    row_is "Ada Lovelace" "Ada Lovelace|3001|||1|1|"
    row_is "Ben Ben" "Ben Ben|501|||2|2|"
    row_is Dan "Dan|3004|||3|3|" # whose name in Canvas is another
    printf 'id,name\n501,Kim\n502,Kim\n' >roster.csv
    rm -r class results
    server class 1 kim_501_7001_server.c
    server class 2 kim_502_7002_server.c
    grade_class class --labs 1 --roster roster.csv
    row_is "Kim (502)" "Kim (502)|502|||2|2|"
}

@test "Moodle's grading worksheet as the roster tells two of the same name apart" {
    "$MAKE" moodle class lab01-blocking
    printf '%s\n' 'Identifier,"Full name","Email address",Grade' 'Participant 1001,김민준,one@x.edu,' \
        'Participant 1002,김민준,two@x.edu,' >worksheet.csv
    grade_class class --labs 1 --roster worksheet.csv
    [ "$(row "김민준 (one@x.edu)")" = "김민준 (one@x.edu)||one@x.edu||2|2|" ]
    [ "$(row "김민준 (two@x.edu)")" = "김민준 (two@x.edu)||two@x.edu||3|3|" ]
}

@test "a roster that cannot be used: status 2, and the line" {
    server class/ada 1
    printf 'a,b\n1,2\n' >roster.csv
    grade_class class --labs 1 --roster roster.csv
    [ "$status" -eq 2 ]
    prints "line 1: there is no column of names or ids"
    # All mistakes at once, and those of the options as well.
    printf 'id,name,mail\n1,Ada\n1,Ben\n,,c@x.edu\n2,Dan\n1,Eve\n' >roster.csv
    grade_class class --labs 1 --roster roster.csv --due 1=soon
    [ "$status" -eq 2 ]
    prints "line 3: the id 1 is also on line 2"
    prints "line 4: there is neither a name nor an id"
    prints "line 6: the id 1 is also on line 2"
    prints "--due: 'soon' is not a date"
    [ "$(grep -c '' <<<"$output")" -eq 4 ] || { echo "$output" && false; }
    printf 'id,name\n1,Ad\xe9\n' >roster.csv
    grade_class class --labs 1 --roster roster.csv
    [ "$status" -eq 2 ]
    prints "not UTF-8"
    grade_class class --labs 1 --roster nowhere.csv
    [ "$status" -eq 2 ]
}
