# Tests that a server is waited for as long as anything may wake it.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export BUILD=${GRADE_BUILD:-$GRADING/.build}
    BUILD=$(cd "$BUILD" && pwd)
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# grade_server WAKER - what echo_line reports of the server that it wakes
grade_server() {
    gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -pthread "-DWAKER=\"$1\"" -o server "$GRADING/tests/late-answers.c"
    "$BUILD/lab05-epoll-test" --lab lab05 --server ./server --faults "$BUILD/faults.so" \
        --json one.json --check echo_line
    jq -r '.checks[] | select(.name == "echo_line") | .status, .received' one.json
}

@test "a server that answers late, woken by a timer, a child or a thread, passes" {
    for waker in alarm timer timerfd child thread; do
        run grade_server "$waker"
        echo "$waker: $output"
        [ "${lines[0]}" = passed ]
    done
}

@test "a server that nothing will wake fails without two seconds of waiting" {
    run grade_server nothing
    echo "$output"
    [ "${lines[0]}" = failed ]
    [[ "$output" == *"the server had been asleep, and nothing would have woken it"* ]]
}
