# Tests grading/grade and make: their messages, exit statuses, and what they leave behind.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export BUILD=${GRADE_BUILD:-$GRADING/.build}
    BUILD=$(cd "$BUILD" && pwd)
    export SOLUTION=$GRADING/../lab01-blocking/solution.c
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

grade() {
    "$GRADING/grade" "$@"
}

# has WORDS - the output of `run` has them, possibly on several lines
has() {
    [[ $(tr -s ' \n' ' ' <<<"$output") == *"$(tr -s ' ' <<<"$1")"* ]] ||
        { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# result FILTER - applies the jq filter to the one lab in r.json
result() {
    jq -er ".[0] | $1" r.json
}

# left_behind PREFIX - prints the processes with an argument that begins with it, such as a grader's work directory
left_behind() {
    local file
    # The pattern is no argument of grep's, which would find itself.
    { grep -lsFf - /proc/[0-9]*/cmdline <<<"$1" || true; } | while read -r file; do
        echo "$file: $(tr '\0' ' ' 2>/dev/null <"$file")"
    done
}

nothing_left_of() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ -n "$(left_behind "$1")" ] || return 0
        sleep 0.05
    done
    left_behind "$1"
    return 1
}

# without COMMAND... - prints a PATH with all commands except these
without() {
    local bin=$BATS_TEST_TMPDIR/bin directory name
    mkdir -p "$bin"
    for directory in /usr/local/bin /usr/bin /bin /usr/sbin /sbin; do
        find "$directory/" -mindepth 1 -maxdepth 1 -exec ln -sf -t "$bin" {} +
    done
    for name in "$@"; do
        rm -f "$bin/$name"
    done
    echo "$bin"
}

# ---- arguments -----------------------------------------------------------------------------

@test "--help prints the usage" {
    run grade --help
    [ "$status" -eq 0 ]
    has "usage: grading/grade"
}

@test "an unknown option: exit status 2" {
    run grade --fast
    [ "$status" -eq 2 ]
    has "unknown option --fast"
}

@test "an unknown lab: exit status 2, and a list of the labs" {
    for lab in lab99 99 0 blocking lab1 ../lab01-blocking ''; do
        run grade "$lab"
        [ "$status" -eq 2 ]
        has "there is no lab '$lab'. The labs: lab01-blocking"
    done
}

@test "a lab may be named in three ways" {
    for lab in lab01-blocking lab01 1 01; do
        run grade --reference --check usage --json r.json "$lab"
        [ "$status" -eq 0 ]
        [ "$(result .lab)" = lab01-blocking ]
    done
}

@test "a file that does not exist: exit status 2" {
    run grade --file nothing.c lab01
    [ "$status" -eq 2 ]
    has "cannot read nothing.c"
}

@test "--file without a lab, or with --reference: exit status 2" {
    run grade --file "$SOLUTION"
    [ "$status" -eq 2 ]
    has "--file requires one LAB"
    run grade --reference --file "$SOLUTION" lab01
    [ "$status" -eq 2 ]
}

@test "--json with a file that cannot be written: exit status 2, before anything is graded" {
    for place in /nowhere/r.json .; do
        run grade --reference --json "$place" lab01
        [ "$status" -eq 2 ]
        has "cannot write $place"
    done
}

@test "an unknown check: exit status 2, and a list of the checks" {
    run grade --reference --check hafl_close lab01
    [ "$status" -eq 2 ]
    has "has no check 'hafl_close'. Its checks: usage echo_line"
}

@test "no server.c: exit status 2, and how to restore it" {
    cp -a "$GRADING/.." course
    rm course/lab01-blocking/server.c
    run course/grading/grade lab01
    [ "$status" -eq 2 ]
    has "make reset"
}

@test "--check runs only the check" {
    run grade --reference --check no_leaked_descriptors --json r.json lab01
    [ "$status" -eq 0 ]
    result '[.checks[].name] == ["no_leaked_descriptors"] and .score == .max'
    [[ "$output" != *"start there"* ]]
}

@test "when the check of --check fails, those that it needs are run, and the first that fails is named" {
    run grade --file "$GRADING/starters/lab01-blocking.c" --check no_leaked_descriptors --json r.json lab01
    [ "$status" -eq 0 ]
    has "first     echo_line fails too: start there"
    result '(.checks | length) == 1 and .checks[0].needs == "echo_line"'

    # It fails, and nothing that it needs does.
    sed 's/sent += (size_t)n;/sent = size;/' "$SOLUTION" >server.c
    run grade --file server.c --check short_sends --json r.json lab01
    [ "$status" -eq 0 ]
    result '.checks[0].status == "failed" and (.checks[0] | has("needs") | not)'
    [[ "$output" != *"start there"* ]]
}

# ---- the results ---------------------------------------------------------------------------

@test "--brief leaves out the checks that take long, unless --check names them" {
    echo 'int main(void) { return 0; }' >server.c
    run grade --file server.c --brief --json r.json lab01
    [ "$status" -eq 0 ]
    jq -e '[.[0].checks[].name] | index("usage") != null and index("memory") == null' r.json
    run grade --file server.c --brief --check memory --json r.json lab01
    [ "$status" -eq 0 ]
    jq -e '[.[0].checks[].name] | index("usage") != null and index("memory") != null' r.json
}

@test "--brief=K/N: the parts are what --brief runs, and each check is in one of them" {
    echo 'int main(void) { return 0; }' >server.c
    grade --file server.c --brief --json r.json lab01
    jq -r '.[0].checks[].name' r.json | sort >all
    for part in 1/3 2/3 3/3; do
        grade --file server.c --brief=$part --json r.json lab01 >screen
        jq -r '.[0].checks[].name' r.json
    done | sort >parts
    diff all parts
    for part in 0/3 4/3 x; do
        run grade --file server.c --brief=$part lab01
        [ "$status" -eq 2 ]
        [[ "$output" == *"--brief=$part is not a part such as 2/3"* ]]
    done
}

@test "the JSON has the fields that other programs read" {
    run grade --file "$GRADING/starters/lab01-blocking.c" --json r.json lab01
    [ "$status" -eq 0 ]
    result '.lab == "lab01-blocking" and .max == 100 and .verdict == "graded"
        and (.score | type) == "number" and .score == ([.checks[].score] | add)
        and all(.checks[]; (.name and .title and (.points >= 0)
            and (.status | IN("passed", "failed", "skipped"))))
        and (.checks[] | select(.name == "echo_line")
            | .status == "failed" and .expected and .received and .hint and .by_hand
            and (.evidence | length) > 0 and (.seconds | type) == "number"
            and (.cpu_seconds | type) == "number")
        and (.checks[] | select(.name == "pieces") | .status == "skipped" and .needs == "echo_line")'
}

@test "in a fresh clone it prints where to begin" {
    cp -a "$GRADING/.." course
    cp course/grading/starters/lab01-blocking.c course/lab01-blocking/server.c
    run course/grading/grade
    [ "$status" -eq 0 ]
    has "Where to begin"
    has "lab01-blocking/README.md"
    echo '/* begun */' >>course/lab01-blocking/server.c
    run course/grading/grade
    [ "$status" -eq 0 ]
    [[ "$output" != *"Where to begin"* ]]
}

@test "plain text into a pipe; progress and colours on a terminal; no colours with NO_COLOR" {
    escape=$'\e['
    run grade --reference --check usage lab01
    [[ "$output" != *"$escape"* ]]
    [[ "$output" != *$'\r'* ]]
    export TERM=xterm
    run script -qec "'$GRADING/grade' --reference --check usage lab01" /dev/null
    [ "$status" -eq 0 ]
    has "0 of 1  usage"
    has "${escape}32m"
    NO_COLOR=1 run script -qec "'$GRADING/grade' --reference --check usage lab01" /dev/null
    [[ "$output" != *"${escape}32m"* ]]
    # A line that is replaced must not be longer than the terminal is wide.
    run script -qec "stty cols 21; '$GRADING/grade' --reference --check usage lab01" /dev/null
    has $'lab01-blocking  0 of\r'
    for TERM in dumb ''; do
        run script -qec "'$GRADING/grade' --reference --check usage lab01" /dev/null
        [ "$status" -eq 0 ]
        [[ "$output" != *"$escape"* ]]
    done
}

@test "a failure is reported with all its parts, on at most 80 columns except for commands" {
    sed 's/sent += (size_t)n;/sent = size;/' "$SOLUTION" >server.c
    run grade --file server.c --check short_sends lab01
    [ "$status" -eq 0 ]
    for words in 'asked     ./server 0 is started with faults injected: short_send=7' \
        'expected  3840 bytes back to client A; around byte 8:' \
        'received  only the first 7 bytes: "0000000"' \
        'evidence  thread 1 of 1: in recv(client A), which has' ' 3840 bytes and ' \
        'hint      send() returns how many bytes it took' \
        'by hand   make run FAULTS=short_send=7' 'make hint CHECK=short_sends'; do
        has "$words"
    done
    ! sed '/^    by hand/,/^    more/d' <<<"$output" | grep '.\{81\}'
}

@test "skipped checks are one entry, and what passed checks observed comes before the failures" {
    cat >r.json <<'END'
[{"lab": "lab04-select", "score": 8, "max": 30, "verdict": "graded", "checks": [
  {"name": "one", "title": "answers", "points": 4, "score": 4, "status": "passed",
   "evidence": ["4.2 KiB of memory"]},
  {"name": "two", "title": "answers  twice", "points": 4, "score": 0, "status": "failed",
   "asked": ["client A sends \"a  b\""], "expected": "x", "received": "y", "evidence": ["z"],
   "hint": "h", "by_hand": "make run"},
  {"name": "three", "title": "t", "points": 6, "score": 0, "status": "skipped", "needs": "two"},
  {"name": "four", "title": "t", "points": 6, "score": 0, "status": "skipped", "needs": "three"},
  {"name": "five", "title": "answers", "points": 4, "score": 4, "status": "passed", "evidence": []}]}]
END
    run jq -r -f "$GRADING/lib/print-results.jq" --argjson colour false --argjson untouched '[]' r.json
    diff - <(echo "$output") <<'END'
lab04-select
  passed    4/4  one                   answers
      4.2 KiB of memory
  FAILED    0/4  two                   answers  twice
  passed    4/4  five                  answers
  skipped  0/12  2 checks, because two did not pass: three, four

two: a correct server answers  twice
    asked     client A sends "a  b"
    expected  x
    received  y
    evidence  z
    hint      h
    by hand   make run
    more      make hint CHECK=two

lab04-select          8/30   2 passed, 1 failed, 2 skipped
END
}

# crashes_with FLAGS - grades a server that crashes when it has created a file with these flags of open(2)
crashes_with() {
    sed -e '1i #include <fcntl.h>' \
        -e "/serve_client(int client)$/,/^{/s@^{@&\n    if (open(\"$PWD/crashed\", $1, 0600) != -1)\n        abort();@" \
        "$SOLUTION" >server.c
    run env GRADE_JOBS=1 "$GRADING/grade" --file server.c --json r.json lab01
    [ "$status" -eq 0 ]
    result '[.checks[] | select(.status == "failed") | .name] == ["echo_line"]'
}

@test "a crash that does not happen again is a failure, and does not hide what the other checks find" {
    crashes_with 'O_CREAT | O_EXCL'
    has "the server does not always crash: when the check was run again, it passed"
    result 'all(.checks[]; .status != "skipped")'
    crashes_with O_CREAT
    [[ "$output" != *"run again"* ]]
    result '[.checks[] | select(.status == "skipped")] | length > 10'
}

@test "checks that were started early are skipped all the same, and leave nothing behind" {
    patch -s -o server.c "$GRADING/../lab02-fork/solution.c" <"$GRADING/mutants/lab02-fork/parent-keeps-the-client.patch"
    for jobs in 1 8; do
        run env GRADE_JOBS=$jobs "$GRADING/grade" --file server.c --json r.json lab02
        [ "$status" -eq 0 ]
        result '.checks[] | [.name, .status, .needs // "", has("seconds"), has("asked")] | join(" ")' >"results.$jobs"
        nothing_left_of "$BUILD/run."
    done
    grep -q skipped results.1
    diff results.1 results.8
}

@test "100 points in one lab: what to do next" {
    cp -a "$GRADING/.." course
    cp course/lab01-blocking/solution.c course/lab01-blocking/server.c
    run course/grading/grade lab01
    [ "$status" -eq 0 ]
    has "100/100"
    has "Lab 1 is finished. Next: 1. compare it with the reference: diff -u course/lab01-blocking/server.c"
    has "cd course/lab02-fork, and read README.md"
    run course/grading/grade --reference lab01
    [[ "$output" != *"Next: "* ]]
    run course/grading/grade --check usage lab01
    [[ "$output" != *"Next: "* ]]
}

# ---- programs that are not servers -----------------------------------------------------------

@test "one that does not compile: verdict does-not-compile, the compiler's messages, exit status 0" {
    echo 'int main(void) { return whatever; }' >server.c
    run grade --file server.c --json r.json lab01
    [ "$status" -eq 0 ]
    has "does not compile"
    has "'whatever' undeclared" || has "‘whatever’ undeclared"
    [ "$(result .verdict)" = does-not-compile ]
    [ "$(result .score)" = 0 ]
}

@test "two labs whose servers are read-only: each is graded with its own" {
    local user=() lab
    # Root may write to what is read-only.
    [ "$(id -u)" -ne 0 ] || user=(setpriv --inh-caps=-all --bounding-set=-all)
    mkdir -p course/grading build
    cp -r "$GRADING"/{grade,lab.mk,lib} course/grading
    for lab in lab01-blocking lab02-fork; do
        mkdir course/$lab
        touch course/$lab/test.c
        echo "#error ${lab%-*}" >course/$lab/server.c
        chmod 444 course/$lab/server.c
    done
    GRADE_IS_BUILT=yes GRADE_BUILD=$PWD/build run "${user[@]}" course/grading/grade --json r.json 1 2
    echo "$output"
    [ "$status" -eq 0 ]
    jq -e 'map(.compiler | match("#error (lab..)").captures[0].string) == ["lab01", "lab02"]' r.json
}

@test "one with warnings is graded, and the warnings are shown" {
    sed 's/^int main.*/&\n{\n    int unused;/; ' "$SOLUTION" | sed '/int unused;/{n;d}' >server.c
    run grade --file server.c --check usage --json r.json lab01
    [ "$status" -eq 0 ]
    has "unused variable"
    [ "$(result .score)" = 6 ]
}

@test "one that never prints its address" {
    printf '#include <unistd.h>\nint main(void) { for (;;) pause(); }\n' >server.c
    run grade --file server.c --json r.json lab01
    [ "$status" -eq 0 ]
    has 'received  nothing; '
    has 'for 2 seconds'
    has 'evidence  thread 1 of 1: in pause'
    [ "$(result .score)" = 0 ]
}

@test "one that spins and never prints its address" {
    printf 'int main(void) { for (volatile int i = 0;; i++) ; }\n' >server.c
    run grade --file server.c --check echo_line --json r.json lab01
    [ "$status" -eq 0 ]
    has 'running, not waiting in any system call'
    [ "$(result .score)" = 0 ]
}

@test "one that prints a wrong line, spins, and ends while it is looked at: nothing waits for it to stop" {
    cat >server.c <<'END'
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    signal(SIGCONT, _exit); /* which follows each look */
    puts("hello");
    fflush(stdout);
    for (;;)
        ;
}
END
    # Each nap of the grader is a voluntary context switch.
    python3 - "$GRADING/grade" --file server.c --check echo_line --json r.json lab01 <<'END' >switches
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_nvcsw)
END
    jq -e '.[0].checks[] | select(.name == "echo_line") | .status == "failed" and (.received | contains("hello"))
        and any(.evidence[]; startswith("the server has ended: exit status"))' r.json
    cat switches
    [ "$(cat switches)" -lt 4000 ]
}

@test "one that prints in an endless loop" {
    printf '#include <stdio.h>\nint main(void) { for (;;) puts("spam"); }\n' >server.c
    run grade --file server.c --json r.json lab01
    [ "$status" -eq 0 ]
    has 'spam'
    [ "$(result .score)" = 0 ]
    printf '#include <stdio.h>\nint main(void) { for (;;) fputs("spam", stderr); }\n' >server.c
    run grade --file server.c --check echo_line --json r.json lab01
    [ "$status" -eq 0 ]
    has 'little output'
}

@test "one that ignores SIGTERM loses the points of stop and of the checks that need it, and is killed" {
    sed -E 's/\.sa_handler = ([a-z_]+)/.sa_handler = stopping ? \1 : SIG_IGN/' "$SOLUTION" >server.c
    run grade --file server.c --json r.json lab01
    [ "$status" -eq 0 ]
    has 'expected  the server ends after SIGTERM'
    [ "$(result '[.checks[] | select(.status == "failed") | .name] | join(" ")')" = stop ]
    [ "$(result '.checks[] | select(.name == "memory") | .status')" = skipped ]
    nothing_left_of "$BUILD/run."
}

@test "one that leaves children behind: they are killed" {
    sed 's/^    listener = listen_on(port);/&\n    if (fork() == 0) { setsid(); for (;;) pause(); }/' \
        "$SOLUTION" >server.c
    run grade --file server.c --check stop --json r.json lab01
    [ "$status" -eq 0 ]
    nothing_left_of "$BUILD/run."
}

@test "one that kills the check, its parent: an error, no score" {
    sed 's/^    listener = listen_on(port);/&\n    kill(getppid(), SIGKILL);/' "$SOLUTION" >server.c
    run grade --file server.c --check echo_line --json r.json lab01
    [ "$status" -eq 3 ]
    [ "$(jq -r '.[0].score' r.json)" = null ]
    nothing_left_of "$BUILD/run."
}

@test "one that signals all processes: no other process receives the signal" {
    sed 's/^    listener = listen_on(port);/&\n    if (kill(-1, SIGTERM) == 0)\n        die("kill");/' \
        "$SOLUTION" >server.c
    run grade --file server.c --check echo_line --json r.json lab01
    [ "$status" -eq 0 ]
    [ "$(result .score)" = 14 ]
}

@test "misspelt FAULTS are rejected" {
    gcc -std=gnu17 -o server "$SOLUTION"
    LD_PRELOAD=$BUILD/faults.so FAULTS=short_sends=7 run ./server 0
    [ "$status" -eq 2 ]
    has "there is no fault 'short_sends'"
}

# ---- failures of the machine ---------------------------------------------------------------

@test "a missing tool that cannot be installed: the name of its package, exit status 3" {
    bin=$(without valgrind apt-get)
    printf '#!/bin/sh\necho "E: no network"; exit 100\n' >"$bin/apt-get"
    chmod +x "$bin/apt-get"
    CI=true PATH=$bin run grade --reference lab01
    [ "$status" -eq 3 ]
    has "Debian packages are missing: valgrind"
    has "could not be installed"
}

@test "not a Debian system: what is missing, exit status 3" {
    bin=$(without nc nc.openbsd apt-get)
    PATH=$bin run grade --reference lab01
    [ "$status" -eq 3 ]
    has "Debian packages are missing: netcat-openbsd"
    has "There is no apt-get here"
}

@test "it cannot ask, without a terminal: the command to type, exit status 3" {
    bin=$(without nc nc.openbsd id)
    printf '#!/bin/sh\necho 1000\n' >"$bin/id"
    chmod +x "$bin/id"
    CI='' PATH=$bin run grade --reference lab01 </dev/null
    [ "$status" -eq 3 ]
    has "Install them with: sudo apt-get install -y netcat-openbsd"
}

@test "valgrind disappears: memory is an error, the lab has no score, exit status 3" {
    bin=$(without valgrind)
    gcc -std=gnu17 -o server "$SOLUTION"
    PATH=$bin run "$BUILD/lab01-blocking-test" --lab lab01 --server "$PWD/server" \
        --faults "$BUILD/faults.so" --json one.json
    [ "$status" -eq 3 ]
    jq -e '.verdict == "error" and .score == null' one.json
    jq -e '[.checks[] | select(.status != "passed")]
        | length == 1 and .[0].name == "memory" and .[0].status == "error" and .[0].score == null
        and (.[0].received | contains("cannot run valgrind"))' one.json
}

@test "nc disappears: an error, not a zero" {
    bin=$(without nc)
    gcc -std=gnu17 -o server "$SOLUTION"
    PATH=$bin run "$BUILD/lab01-blocking-test" --lab lab01 --server "$PWD/server" \
        --faults "$BUILD/faults.so" --json one.json --check echo_line
    [ "$status" -eq 3 ]
    jq -e '.score == null and (.checks[0].received | contains("nc cannot be run"))' one.json
}

# run_isolated NAMESPACE COMMAND... - runs the command in a new namespace, as root or not
run_isolated() {
    local root=()
    [ "$(id -u)" = 0 ] || root=(--map-root-user)
    unshare "${root[@]}" "$1" true 2>/dev/null || skip "this machine does not allow namespaces"
    run unshare "${root[@]}" "$@"
}

@test "no free port: an error, not a zero" {
    run_isolated --net "$GRADING/grade" --reference --json r.json lab01
    [ "$status" -eq 3 ]
    has "no port available on 127.0.0.1"
    jq -e '.[0] | .verdict == "error" and .score == null' r.json
}

@test "an empty /proc: an error, not a zero" {
    run_isolated --mount bash -c 'mount -t tmpfs none /proc && exec "$@"' - \
        "$GRADING/grade" --reference --json r.json lab01
    [ "$status" -eq 3 ]
    has "cannot read /proc/PID/syscall"
    jq -e '.[0] | .verdict == "error" and .score == null' r.json
}

# ---- killed --------------------------------------------------------------------------------

# kill_at SECONDS SIGNAL grade|runner - starts grade, sends the signal to it or to its child after so
# many seconds, and tests what is left. It must work at any moment; these are samples.
kill_at() {
    local grade runner
    rm -f r.json
    # Bash makes background jobs ignore SIGINT.
    env --default-signal=INT "$GRADING/grade" --reference --json r.json lab01 >screen 2>&1 &
    grade=$!
    sleep "$1"
    case $3 in
    grade) kill "-$2" "$grade" || true ;;
    runner)
        runner=$(ps -o pid= --ppid "$grade" | head -n 1)
        [ -z "$runner" ] || kill "-$2" "$runner" || true
        ;;
    esac
    wait "$grade" || true
    nothing_left_of "$BUILD/run.$grade/"
    [ "$2" = KILL ] || [ ! -e "$BUILD/run.$grade" ]
    [ ! -e r.json ] || jq -e 'length == 1' r.json
}

@test "SIGINT and SIGTERM to grade, at any moment: no process left, no half-written JSON" {
    for moment in 0.05 0.3 0.6 0.9 1.2 1.5 1.8 2.2 2.6 3; do
        kill_at $moment INT grade
        kill_at $moment TERM grade
    done
}

@test "SIGKILL to grade, at any moment: no process left, no half-written JSON" {
    for moment in 0.05 0.2 0.5 0.8 1.1 1.4 1.7 2 2.4 2.8; do
        kill_at $moment KILL grade
    done
}

@test "SIGKILL to the child of grade, at any moment: no process left, no half-written JSON" {
    for moment in 0.3 0.6 0.9 1.2 1.6 2; do
        kill_at $moment KILL runner
    done
}

@test "SIGTERM to selftest: it ends, and with it what it has started" {
    "$GRADING/selftest" mutants lab01 >screen 2>&1 3>&- &
    selftest=$!
    until [ -n "$(left_behind "$BUILD/run.")" ]; do
        kill -0 $selftest
        sleep 0.1
    done
    kill -TERM $selftest
    status=0
    wait $selftest || status=$?
    [ $status -eq 143 ]
    nothing_left_of "$BUILD/run."
    ! grep ' passed, ' screen
}

# ---- make, in a lab's directory ------------------------------------------------------------

@test "make builds, tests, prints hints, and resets after asking" {
    cp -a "$GRADING/.." course
    cd course/lab01-blocking
    cp "$SOLUTION" server.c
    run make
    [ "$status" -eq 0 ]
    [ -x server ]
    run make test CHECK=usage
    [ "$status" -eq 0 ]
    has "6/6   1 passed"
    run make test CHECK=usage SOURCE=../grading/starters/lab01-blocking.c
    has "0/6   1 failed"
    run make hint CHECK=half_close HINTS=en
    has "A connection has two directions"
    has "LEVEL=2"
    run make hint CHECK=nonsense
    has "Choose a check"
    run make diff
    has "first lab"
    run make help
    has "make watch"
    run make pid PORT=0 # not just any server
    [ "$status" -ne 0 ]
    has "the server's port"
    run make reset <<<n
    has "Nothing changed"
    cmp server.c "$SOLUTION"
    run make reset <<<y
    cmp server.c ../grading/starters/lab01-blocking.c
    cmp server.c.~1~ "$SOLUTION"
}

@test "make test SOURCE=copy.c, with a PORT: the commands that it prints have both" {
    cp -a "$GRADING/.." course
    cd course/lab01-blocking
    patch -s -o 'my copy.c' "$SOLUTION" <"$GRADING/mutants/lab01-blocking/strlen-of-received-data.patch"
    cp 'my copy.c' copy.c
    PORT=9300 run make test CHECK=all_bytes SOURCE=copy.c
    has "make run SOURCE=copy.c "
    has "nc -N 127.0.0.1 9300"
    has "make trace CHECK=all_bytes SOURCE=copy.c "
    has "make hint CHECK=all_bytes"
    run env -u PORT make test CHECK=all_bytes SOURCE='my copy.c'
    has "make trace CHECK=all_bytes SOURCE='my copy.c' "
    has "nc -N 127.0.0.1 9000"
    cp copy.c server.c
    run make test CHECK=all_bytes
    [[ "$output" != *SOURCE* ]]
    cd ../lab02-fork
    run make diff SOURCE=none.c
    [ "$status" -ne 0 ]
    has "There is no lab01-blocking/none.c to compare with."
}

# hint [NAME=VALUE...] - the first hint for $check, with no more than these variables to choose its language
hint() {
    run env -u LC_ALL -u LC_MESSAGES -u LANG -u HINTS "$@" make hint "CHECK=$check"
    [ "$status" -eq 0 ]
}

@test "make hint: in Korean with HINTS=ko and in a Korean locale, otherwise in English" {
    cp -a "$GRADING/.." course
    cd course/lab02-fork
    local check korean english locale
    for check in usage burst; do
        korean='부모가 정지되어' english='children exited'
        [ "$check" = burst ] || korean='이미 처리한다' english='already handles' # lab 1's
        run make hint "CHECK=$check" HINTS=ko
        has "$korean"
        has "make hint CHECK=$check LEVEL=2 HINTS=ko"
        for locale in HINTS=ko LANG=ko_KR.UTF-8 LANG=ko LC_MESSAGES=ko_KR LC_ALL=ko_KR.UTF-8 'LC_ALL= LANG=ko_KR.UTF-8' \
            'LANG=C LC_MESSAGES=ko_KR.UTF-8' 'LANG=C LC_MESSAGES=C LC_ALL=ko_KR.UTF-8'; do
            # shellcheck disable=SC2086 # one variable or several
            hint $locale
            has "$korean"
            [[ "$output" == *"CHECK=$check LEVEL=2" ]]
        done
        for locale in '' LANG=C.UTF-8 LANG=kok_IN LC_ALL=en_US.UTF-8 'LANG=ko_KR.UTF-8 LC_MESSAGES=C' \
            'LANG=ko_KR.UTF-8 LC_ALL=C' 'LANG=ko_KR.UTF-8 HINTS=en' HINTS=fr; do
            # shellcheck disable=SC2086
            hint $locale
            has "$english"
        done
        LANG=ko_KR.UTF-8 run make hint "CHECK=$check" HINTS=en
        has "$english"
    done
    run make hint CHECK=nonsense HINTS=ko
    has "Choose a check"
    run make hint CHECK=usage LEVEL=9 HINTS=ko
    has "usage has hints up to LEVEL=3."
    run make help
    has "HINTS=ko"
    # where there are no Korean ones
    rm hints.ko.md
    check=burst hint HINTS=ko
    has "children exited"
    check=usage hint HINTS=ko
    has "이미 처리한다"
    rm ../lab01-blocking/hints.ko.md
    check=usage hint HINTS=ko
    has "already handles"
}
