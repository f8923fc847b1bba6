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

# autograder SERVER - unpacks the zip as Gradescope does, and runs it on that server
autograder() {
    rm -rf autograder
    mkdir -p autograder/source autograder/submission autograder/results
    python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])' gradescope.zip autograder/source
    cp autograder/source/run_autograder autograder/run_autograder
    chmod +x autograder/run_autograder autograder/source/setup.sh
    find autograder/source -type f -exec chmod +x {} +
    [ -z "$1" ] || cp "$1" autograder/submission/server.c
    (cd autograder && AUTOGRADER=$PWD source/setup.sh && AUTOGRADER=$PWD ./run_autograder) >stdout 2>&1
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

@test "Gradescope: a failure of the grader does not count as a failed test" {
    "$EXPORTS/convert-results" gradescope error.json | jq -e '.tests == [] and .extra_data.error and (.output | contains("the score does not count"))'
}

@test "Classroom 50: the bundle's autograder.py writes result.json as the contract requires" {
    "$EXPORTS/bundle-autograder" classroom50 "$LAB" c50
    [ -z "$(find c50 -name 'solution*')" ]
    mkdir checkout
    cp "$STARTER" checkout/server.c
    echo '{"score": 100}' >checkout/result.json
    (cd checkout && CLASSROOM=net ASSIGNMENT=one SUBMISSION_TAG=submit/2026-06-01T14-32-05Z-a1b2c3d \
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
    [ "$status" -ne 0 ]
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
