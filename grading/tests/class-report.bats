# report.html, in a real Chromium.
# shellcheck shell=bats

@test "report.html works in Chromium, with the mouse and by keyboard" {
    export GRADING=$BATS_TEST_DIRNAME/..
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    cd "$BATS_TEST_TMPDIR"
    local starter=$GRADING/starters/lab01-blocking.c options=()
    [ -z "$(sandbox_problem)" ] || options=(--no-sandbox) # these servers are our own
    for student in "Ada" "<script>alert(1)</script>" "=SUM(A1)" ben cleo dan; do
        mkdir -p "class/${student//\//}/lab01-blocking" "class/${student//\//}/lab02-fork"
        cp "$starter" "class/${student//\//}/lab01-blocking/server.c"
    done
    cp "$GRADING/../lab01-blocking/solution.c" class/ben/lab01-blocking/server.c
    cp "$GRADING/starters/lab02-fork.c" class/cleo/lab02-fork/server.c
    sed 's|^int main.*|&\n{\n    puts("<img src=x onerror=alert(1)>");|; ' "$starter" | sed '/puts("<img/{n;d}' >class/dan/lab01-blocking/server.c
    # A long name, and a server that is that of ben.
    local long="Wolfeschlegelsteinhausenbergerdorff-Papadimitrakopoulos, Maximilian Alexander Ferdinand"
    mkdir -p "class/$long/lab01-blocking"
    cp class/ben/lab01-blocking/server.c "class/$long/lab01-blocking/server.c"
    echo 'int main(<b>' >class/Ada/lab01-blocking/server.c
    echo letter >class/letter.docx
    mkdir results
    printf 'student,lab,points,reason\nAda,1,35,was ill\ndan,1,62.5,showed it\n' >results/overrides.csv
    "$GRADING/grade" --class class --results results --labs 1,2 "${options[@]}" >log 2>&1 || { cat log && false; }
    run "$GRADING/tests/click-through-report.py" results
    [ "$status" -eq 0 ] && [[ "$output" != *"not ok"* ]] || { echo "$output" && false; }
    [ "$(grep -c '^ok' <<<"$output")" -gt 35 ]
}
