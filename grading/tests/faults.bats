# `make run FAULTS=...`: Ctrl-C stops the server, whatever the fault; a list that is wrong is refused.
# shellcheck shell=bats

setup_file() {
    export ROOT=$BATS_TEST_DIRNAME/../..
    export INTERRUPT=$BATS_TEST_DIRNAME/interrupt-with-faults
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# wrong_list FAULTS WORDS - refused, for this reason, with a list of all faults
wrong_list() {
    run make -C "$ROOT/lab01-blocking" run SOURCE=solution.c PORT=0 FAULTS="$1"
    [ "$status" -ne 0 ]
    [[ "$output" == *"FAULTS: $2"* ]] || { echo "$output" && false; }
    for fault in short_send=N small_buffers never_drained=N; do
        grep -qx "  $fault" <<<"$output"
    done
}

@test "a fault that does not exist is refused" {
    wrong_list short_sends=7 "there is no fault 'short_sends'"
    wrong_list small_buffers,never_drain=1 "there is no fault 'never_drain'"
}

@test "a value that is missing, too small, or not a number is refused" {
    wrong_list never_drained "'never_drained' needs a number"
    wrong_list short_send= "'short_send=' needs a number"
    wrong_list eintr=1 "'eintr=1' needs a number, at least eintr=2"
    wrong_list "eintr=2 short_send=7" "'eintr=2 short_send=7' needs a number"
    wrong_list small_buffers=1 "small_buffers has no value"
}

@test "the list of faults is that of faults.h" {
    run make -C "$ROOT/lab01-blocking" run SOURCE=solution.c PORT=0 FAULTS=no
    diff <(sed -n 's/^  //p' <<<"$output" | sort) <(sed '/\*\//q' "$ROOT/grading/harness/drive/faults.h" |
        grep -oP '^ \*   \K([a-z_]+(=N)?(, )?)+(?= |$)' | sed 's/, /\n/' | sort)
}

@test "Ctrl-C stops the reference of lab 3 with every fault" {
    "$INTERRUPT" "$ROOT/lab03-threads/solution.c" lab03
}

@test "Ctrl-C stops the reference of lab 6 with every fault" {
    "$INTERRUPT" "$ROOT/lab06-reactor/solution.c" lab06
}

@test "Ctrl-C stops every reference with a client that never stops sending" {
    for solution in "$ROOT"/lab*/solution.c; do
        "$INTERRUPT" "$solution" "$(basename "$(dirname "$solution")")" never_drained=1
    done
}

@test "Ctrl-C stops a server that drains such a client for ever" {
    for patch in "$ROOT"/grading/mutants/lab05-epoll/drains-one-client-for-ever.patch \
        "$ROOT"/grading/mutants/lab0[67]*/drains-one-client-forever.patch \
        "$ROOT"/grading/mutants/lab08-coroutines/never-yields.patch; do
        lab=$(basename "$(dirname "$patch")")
        patch -s --fuzz=0 -o server.c "$ROOT/$lab/solution.c" <"$patch"
        "$INTERRUPT" server.c "$lab" never_drained=1
    done
}
