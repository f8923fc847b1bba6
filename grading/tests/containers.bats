# A container: without ptrace(2), capabilities, namespaces or the /proc entries of others. Verdict and evidence
# are the same; what cannot be shown is said in one line.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    gcc -std=gnu17 -O2 -Wall -Wextra -o "$BATS_FILE_TMPDIR/without-ptrace" "$BATS_TEST_DIRNAME/without-ptrace.c"
    # A copy for an ordinary user, if this one is root.
    cd "$BATS_FILE_TMPDIR"
    (cd "$ROOT" && tar -c --exclude='run.*' grading/{.build,class,grade,harness,lab.mk,lib,starters} lab*) | tar -x
    export USER_COMMAND=
    if [ "$(id -u)" -eq 0 ]; then
        chmod 755 "$BATS_RUN_TMPDIR" .. .
        chown -R 54323 .
        USER_COMMAND="setpriv --reuid=54323 --regid=54323 --clear-groups --no-new-privs --bounding-set=-all"
    fi
}

setup() {
    cd "$BATS_FILE_TMPDIR"
    read -ra user <<<"$USER_COMMAND"
    "${user[@]}" true 2>/dev/null || skip "this machine has no other users"
}

# grade_in COMMAND... -- ARGUMENT... - grades as an ordinary user, in what the command makes of the machine
grade_in() {
    local command=()
    while [ "$1" != -- ]; do command+=("$1") && shift; done
    shift
    "${user[@]}" touch result.json
    run env -u GRADE_BUILD "${command[@]}" grading/grade --json result.json "$@"
    tail -n 12 <<<"$output"
}

full_marks() {
    [ "$status" -eq 0 ]
    jq -e '.[0] | .score == .max and all(.checks[]; .status == "passed")' result.json
}

# A spinning server, one with a wrong argument to select, one that does not reap its children: each with
# what its evidence must contain.
right_evidence() {
    local patch lab words
    while IFS='|' read -r patch check words; do
        lab=$(dirname "$patch")
        patch -s --fuzz=0 -o server.c "$ROOT/$lab/solution.c" <"$GRADING/mutants/$patch.patch"
        chmod 644 server.c
        grade_in "$@" -- --file server.c --check "$check" "$lab"
        [ "$status" -eq 0 ]
        jq -e --arg check "$check" --arg words "$words" 'any(.[0].checks[]; .name == $check and .status == "failed" and
            (.evidence | join("\n") | contains($words)))' result.json || { jq .[0].checks[-1].evidence result.json && false; }
    done <<'END'
lab04-select/highest-is-the-listener|echo_line|select ignores it, since nfds is 4
lab02-fork/never-reaps|no_zombies|(a zombie)
END
}

@test "no ptrace(2) and process_vm_readv(2)" {
    right_evidence "${user[@]}" ./without-ptrace
    sed 's/sent += (size_t)n;/sent += 0;/' "$ROOT/lab01-blocking/solution.c" >server.c
    grade_in "${user[@]}" ./without-ptrace -- --file server.c --check pieces 1
    jq -e '.[0].checks[-1] | .status == "failed" and any(.evidence[];
        . == "the source line of a running thread cannot be shown here: ptrace: Operation not permitted")' result.json
    patch -s --fuzz=0 -o server.c "$ROOT/lab08-coroutines/solution.c" \
        <"$GRADING/variants/lab08-coroutines/guard-by-madvise.patch"
    chmod 644 server.c
    grade_in "${user[@]}" ./without-ptrace -- --file server.c --check small_stacks 8
    full_marks
}

@test "no capabilities" {
    right_evidence "${user[@]}"
    grade_in "${user[@]}" -- --reference --check memory 3
    full_marks
}

@test "the /proc entries of other users are hidden (hidepid)" {
    [ "$(id -u)" -eq 0 ] && unshare -m mount -t proc -o hidepid=invisible proc /proc 2>/dev/null ||
        skip "this machine does not let us mount /proc"
    # shellcheck disable=SC2016 # expanded by that bash
    hidden=(unshare -m bash -c 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"' x "${user[@]}")
    run "${hidden[@]}" cat /proc/1/stat
    [ "$status" -ne 0 ]
    right_evidence "${hidden[@]}"
    grade_in "${hidden[@]}" -- --reference --check memory 3
    full_marks
}

@test "in a sandbox without capabilities, which allows no further namespaces" {
    inside=(bwrap --dev-bind / / --proc /proc --unshare-user --unshare-pid --disable-userns --cap-drop ALL)
    if [ "$(id -u)" -eq 0 ]; then inside=(setpriv --reuid=54323 --regid=54323 --clear-groups "${inside[@]}"); fi
    "${inside[@]}" true 2>/dev/null || skip "this machine allows no sandbox"
    right_evidence "${inside[@]}"
    grade_in "${inside[@]}" -- --reference --check memory 3
    full_marks
    # A class cannot be graded: it says why, and what to do.
    mkdir -p class/ada
    cp "$ROOT/lab01-blocking/solution.c" class/ada/server.c
    run env -u GRADE_BUILD "${inside[@]}" grading/grade --class class --results results --labs 1
    [ "$status" -eq 3 ]
    [[ "$output" == *"does not let bubblewrap create a sandbox"* ]] || { echo "$output" && false; }
}
