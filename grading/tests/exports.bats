# Results for other systems: Gradescope, Classroom 50, JUnit XML, and a workflow that grades each push.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export EXPORTS=$GRADING/exports LAB=lab01-blocking
    export SOLUTION=$GRADING/../$LAB/solution.c STARTER=$GRADING/starters/$LAB.c
    cd "$BATS_FILE_TMPDIR"
    # A starter with failed and skipped checks, whose output is hard to quote.
    sed 's|^int main.*|&\n{\n    puts("<b>\&\\"\\x1b]]>\\xff");|; ' "$STARTER" | sed '/puts("<b>/{n;d}' >odd.c
    "$GRADING/grade" --file odd.c --json odd.json "$LAB" >/dev/null
    echo 'int main(' >broken.c
    "$GRADING/grade" --file broken.c --json broken.json "$LAB" >/dev/null
    jq '.[0] | .verdict = "error" | .score = null | .fault = "no room"' odd.json >error.json
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# autograder SERVER - unpacks the zip as Gradescope does when it builds the image, and runs it on that server
autograder() {
    rm -rf autograder/{submission,results,result.json}
    mkdir -p autograder/source autograder/submission autograder/results
    if [ ! -e autograder/run_autograder ]; then
        [ -e gradescope.zip ] || "$EXPORTS/bundle-autograder" gradescope "$LAB" gradescope.zip
        python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' gradescope.zip autograder/source
        find autograder/source -type f -exec chmod +x {} +
        (cd autograder && env -u GRADE_BUILD "AUTOGRADER=$PWD" source/setup.sh) >stdout 2>&1
        cp autograder/source/run_autograder autograder/run_autograder
    fi
    [ -z "$1" ] || cp "$1" autograder/submission/server.c
    # There, nothing is built but by setup.sh.
    (cd autograder && env -u GRADE_BUILD "AUTOGRADER=$PWD" ./run_autograder) >stdout 2>&1
}

@test "Gradescope: the zip has setup.sh and run_autograder at its root, and no solution" {
    "$EXPORTS/bundle-autograder" gradescope "$LAB" gradescope.zip
    python3 -c 'import sys, zipfile
names = zipfile.ZipFile(sys.argv[1]).namelist()
assert "setup.sh" in names and "run_autograder" in names, names
assert not [n for n in names if "solution" in n or "mutants" in n or "starters" in n], names' gradescope.zip
}

@test "Gradescope: in its directory layout, a reference has full marks" {
    autograder "$SOLUTION"
    jq -e '.score == 100 and (.tests | length) > 10 and all(.tests[]; .score == .max_score and .status == "passed" and .name and .output)
        and ([.tests[].max_score] | add) == 100' autograder/results/results.json
}

@test "Gradescope: what setup.sh has built is not built again for each submission" {
    echo 'int main(void) { return 0; }' >quick.c
    autograder quick.c
    mkdir -p recording
    # shellcheck disable=SC2016 # expanded by that script
    printf '#!/bin/sh\necho "$*" >>%q\nexec %q "$@"\n' "$PWD/compiled" "$(type -P gcc)" >recording/gcc
    chmod 755 recording recording/gcc
    PATH=$PWD/recording:$PATH autograder quick.c
    jq -e '.score == 0' autograder/results/results.json
    grep -q 'memory-watcher' compiled
    ! grep -q 'core/' compiled || return 1
    # Unless it is out of date.
    local build=autograder/source/grader/grading/.build
    cp -a "$build" up-to-date
    touch -d 2001-01-01 "$build"/core/*.o
    PATH=$PWD/recording:$PATH autograder quick.c
    grep -q 'core/' compiled
    rm -r "$build" && mv up-to-date "$build"
}

@test "Gradescope: reports a starter's failures; a missing server.c, or one that does not compile, scores 0" {
    autograder "$STARTER"
    jq -e '.score < 20 and ([.tests[] | select(.status == "failed")] | length) > 5
        and (.tests[] | select(.name == "echo_line") | .output | contains("hint: "))' autograder/results/results.json
    autograder broken.c
    jq -e '.score == 0 and (.output | contains("does not compile"))' autograder/results/results.json
    autograder ''
    jq -e '.score == 0 and (.output | contains("There is no server.c"))' autograder/results/results.json
}

@test "Gradescope: a server that writes its own results gains nothing" {
    sed "s|^    listener = listen_on(port);|    FILE *f = fopen(\"$PWD/autograder/results/results.json\", \"w\");\n    if (f) { fputs(\"{\\\\\"score\\\\\": 100}\", f); fclose(f); }\n    return 0;|" \
        "$SOLUTION" >writer.c
    autograder writer.c
    jq -e '.score < 20 and .tests' autograder/results/results.json
}

# without_sandbox COMMAND... - runs it where bwrap does not work, with a secret in the environment
without_sandbox() {
    # In a directory that the user nobody can read: as root, the sandbox is tried as nobody.
    bin=$(mktemp -d /tmp/bin.XXXXXX)
    printf '#!/bin/sh\nexit 1\n' >"$bin/bwrap"
    chmod 755 "$bin" "$bin/bwrap"
    local status=0
    PATH=$bin:$PATH SECRET_TOKEN=planted "$@" || status=$?
    rm -r "$bin"
    return $status
}

# The server of lab 1 with this attack inserted.
attacks_with() {
    # shellcheck source=grading/tests/hostile/submissions.bash
    . "$GRADING/tests/hostile/submissions.bash"
    insert_attack "$1"
}

# A server that kills the grader, which works without a sandbox only.
kills_the_grader() {
    sed 's/^    listener = listen_on(port);/&\n    kill(getppid(), SIGKILL);/' "$SOLUTION"
}

# classroom50 SERVER - runs its autograder on that server
classroom50() {
    [ -d c50 ] || "$EXPORTS/bundle-autograder" classroom50 "$LAB" c50
    mkdir -p checkout
    cp "$1" checkout/server.c
    (cd checkout && CLASSROOM=net ASSIGNMENT=one ../c50/autograder.py) >stdout 2>&1
}

@test "the grader fails: status 3 and the reason, and neither Gradescope nor Classroom 50 gets a result" {
    kills_the_grader >killer.c
    run without_sandbox autograder killer.c
    [ "$status" -eq 3 ]
    [ ! -e autograder/results/results.json ] && [ -z "$(ls -A autograder/results)" ] && [ ! -e autograder/result.json ]
    grep -q 'the grader failed, so there is no result: ' stdout
    mkdir -p checkout
    echo '{"score": 100}' >checkout/result.json
    run without_sandbox classroom50 killer.c
    [ "$status" -eq 3 ]
    [ "$(ls checkout)" = server.c ]
    grep -q 'the grader failed, so there is no result: ' stdout
    for format in gradescope classroom50; do
        "$EXPORTS/convert-results" $format error.json >converted 2>reason && return 1
        [ ! -s converted ]
        grep -q 'no room' reason
    done
}

@test "a file without a result: an error with a reason in every format, never empty output with status 0" {
    for content in '' ' ' '[]' '{}' null '[null]' '{"lab": "lab01-blocking"' '{"lab": "a", "verdict": "graded", "checks": []}' \
        '{"lab": "a", "verdict": "missing", "score": null, "max": 100, "checks": []}' '[] []'; do
        printf '%s' "$content" >nothing.json
        for format in gradescope classroom50 junit; do
            status=0
            "$EXPORTS/convert-results" $format nothing.json >converted 2>reason || status=$?
            [ $status -eq 3 ] && [ -s reason ] && [ ! -s converted ] || { echo "$format: $content: $status" && return 1; }
        done
    done
    run "$EXPORTS/convert-results" gradescope nowhere.json
    [ "$status" -eq 3 ]
    run "$EXPORTS/convert-results" moodle odd.json
    [ "$status" -eq 2 ]
}

@test "without a sandbox, both results contain \"sandbox\": false; with one, neither does" {
    # shellcheck source=grading/class/sandbox.bash
    . "$GRADING/class/sandbox.bash"
    echo 'int main(void) { return 0; }' >quick.c
    without_sandbox autograder quick.c
    jq -e '.extra_data.sandbox == false and .score == 0' autograder/results/results.json
    without_sandbox classroom50 quick.c
    jq -e '.sandbox == false' checkout/result.json
    [ -z "$(sandbox_problem)" ] || return 0
    autograder quick.c
    jq -e '.extra_data.sandbox == true' autograder/results/results.json
    classroom50 quick.c
    jq -e 'has("sandbox") | not' checkout/result.json
}

@test "no secret of the environment reaches the server or the compiler, with or without a sandbox, or in plain grade" {
    attacks_with "$GRADING/tests/hostile/tells-its-environment.c" >tells.c
    for file in tells.c "$GRADING/tests/hostile/at-compile-time/includes-its-environment.c"; do
        without_sandbox autograder "$file"
        ! grep -q planted autograder/results/results.json || return 1
        [ $file != tells.c ] || grep -q 'no secret' autograder/results/results.json
        SECRET_TOKEN=planted "$GRADING/grade" --file "$file" --json tells.json "$LAB" >screen
        ! grep -q planted tells.json screen || return 1
        [ $file != tells.c ] || grep -q 'no secret' tells.json
    done
}

@test "a full disk: status 3, no result, nothing left behind" {
    unshare --mount true 2>/dev/null || skip "this machine does not let us mount a small disk"
    autograder ''
    cp "$STARTER" autograder/submission/server.c
    rm autograder/results/results.json
    echo 'int main(void) { return 0; }' >quick.c
    classroom50 quick.c
    mkdir -p tmp
    for pages in 1 20 200; do
        # shellcheck disable=SC2016 # expanded by that shell
        run unshare --mount bash -c 'mount -t tmpfs -o "size=$1k" tmpfs tmp && status=0
            TMPDIR=$PWD/tmp AUTOGRADER=$PWD/autograder env -u GRADE_BUILD autograder/run_autograder || status=$?
            ls -A tmp >left; exit $status' x $((4 * pages))
        [ "$status" -eq 3 ]
        [ ! -s left ] && [ ! -e autograder/results/results.json ]
        # shellcheck disable=SC2016
        run unshare --mount bash -c 'mount -t tmpfs -o "size=$1k" tmpfs tmp && status=0
            (cd checkout && TMPDIR=$PWD/../tmp ../c50/autograder.py) || status=$?
            ls -A tmp >left; exit $status' x $((4 * pages))
        [ "$status" -eq 3 ]
        [ ! -s left ] && [ ! -e checkout/result.json ]
    done
    run bash -c '"$1" junit odd.json >/dev/full' x "$EXPORTS/convert-results"
    [ "$status" -eq 3 ]
}

@test "Classroom 50: a student has committed result.json as a directory, a link or a pipe" {
    echo 'int main(void) { return 0; }' >quick.c
    for kind in directory link pipe; do
        rm -rf checkout
        mkdir checkout
        case $kind in
        directory) mkdir -p checkout/result.json/a/b ;;
        link) ln -s ../untouched checkout/result.json && echo mine >untouched ;;
        pipe) mkfifo checkout/result.json ;;
        esac
        classroom50 quick.c
        [ ! -L checkout/result.json ] && jq -e '.score == 0' checkout/result.json
        [ $kind != link ] || [ "$(cat untouched)" = mine ]
    done
}

@test "Classroom 50: the bundle's autograder.py writes result.json as the contract requires" {
    rm -rf c50 checkout
    "$EXPORTS/bundle-autograder" classroom50 "$LAB" c50
    [ -z "$(find c50 -name 'solution*')" ]
    mkdir checkout
    cp "$STARTER" checkout/server.c
    echo '{"score": 100}' >checkout/result.json
    # As on a runner: nothing is built there.
    (cd checkout && env -u GRADE_BUILD CLASSROOM=net ASSIGNMENT=one SUBMISSION_TAG=submit/2026-06-01T14-32-05Z-a1b2c3d \
        COMMIT_URL=https://127.0.0.1/c RELEASE_URL=https://127.0.0.1/r REVIEW_URL= ../c50/autograder.py)
    python3 - checkout/result.json <<'END'
import json, re, sys
r = json.load(open(sys.argv[1]))
assert r["schema"] == "classroom50/result/v1"
assert (r["classroom"], r["assignment"]) == ("net", "one")
assert r["submission"].startswith("submit/")
assert all(isinstance(r[f], str) and r[f] for f in ("commit", "release", "review", "datetime"))
assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r["datetime"])
whole = lambda n: isinstance(n, int) and not isinstance(n, bool) and n >= 0
assert whole(r["score"]) and r["max-score"] == 100 and r["score"] < 20
for t in r["tests"]:
    assert isinstance(t["test-name"], str) and isinstance(t["passed"], bool)
    assert whole(t["score"]) and whole(t["max-score"]) and t["score"] <= t["max-score"]
assert sum(t["score"] for t in r["tests"]) == r["score"]
assert sum(t["max-score"] for t in r["tests"]) == r["max-score"]
END
}

@test "Classroom 50: if the grader failed, there is no result" {
    run "$EXPORTS/convert-results" classroom50 error.json
    [ "$status" -eq 3 ]
}

@test "JUnit: well-formed whatever a server prints, with the correct numbers" {
    jq -s 'add' odd.json broken.json >both.json
    "$EXPORTS/convert-results" junit both.json >junit.xml
    python3 - junit.xml odd.json <<'END'
import json, sys
import xml.etree.ElementTree as tree
suites = tree.parse(sys.argv[1]).getroot().findall("testsuite")
checks = json.load(open(sys.argv[2]))[0]["checks"]
count = lambda status: sum(c["status"] == status for c in checks)
assert len(suites) == 2
assert [int(suites[0].get(n)) for n in ("tests", "failures", "skipped", "errors")] == [len(checks), count("failed"), count("skipped"), 0]
assert len(suites[0].findall("testcase/failure")) == count("failed")
assert "<b>" in tree.tostring(suites[0], encoding="unicode").replace("&lt;", "<").replace("&gt;", ">")
assert suites[1].get("failures") == "1"
END
}

@test "GitHub Actions: the command that the workflow runs on each push" {
    python3 -c 'import sys
text = open(sys.argv[1]).read()
assert "grading/exports/grade-on-push results" in text and "permissions:\n  contents: read" in text' "$EXPORTS/github-actions/grade.yml"
    mkdir checkout2
    tar -C "$GRADING/.." --exclude=.build --exclude=.git -c . | tar -C checkout2 -x
    find checkout2 -maxdepth 1 -name 'lab*' -not -name 'lab0[12]*' -exec rm -r {} +
    cp checkout2/lab01-blocking/solution.c checkout2/lab01-blocking/server.c
    (cd checkout2 && grading/exports/grade-on-push results >/dev/null)
    jq -e '.[0].score == 100 and length == 2' checkout2/results/results.json
    grep -q '100 of 100 points' checkout2/results/summary.md
    python3 -c 'import sys, xml.etree.ElementTree as tree; assert len(tree.parse(sys.argv[1]).getroot()) == 2' checkout2/results/junit.xml
}
