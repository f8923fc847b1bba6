# Tests the evidence that names lines of the student's source: where each thread is blocked, where a
# process crashed, where each coroutine is suspended.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    gcc -std=gnu17 -O2 -Wall -Wextra -o "$BATS_FILE_TMPDIR/without-ptrace" "$BATS_TEST_DIRNAME/without-ptrace.c"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# solution LAB [SED_COMMAND] - writes server.c: the lab's solution, changed
solution() {
    sed "${2:-}" "$GRADING/../$1/solution.c" >server.c
    [ -z "${2:-}" ] || ! cmp -s server.c "$GRADING/../$1/solution.c"
}

# mutant LAB NAME - writes server.c
mutant() {
    patch -s --fuzz=0 -o server.c "$GRADING/../$1/solution.c" <"$GRADING/mutants/$1/$2.patch"
}

# evidence_of CHECK LAB - grades server.c, which must fail that check, and sets output to its evidence
evidence_of() {
    run "$GRADING/grade" --file server.c --check "$1" --json r.json "$2"
    [ "$status" -eq 0 ]
    output=$(jq -r --arg check "$1" '.[0].checks[] | select(.name == $check and .status == "failed") | .evidence[]' r.json)
    printf '%s\n' "$output"
}

# place FUNCTION WORDS - "FUNCTION, server.c:N", where N is the first line with WORDS in that function
place() {
    local line
    line=$(awk -v name="$1" -v words="$2" '
        $0 ~ "^[a-z].*[ *]" name "\\(" && !/;$/ { inside = 1 }
        inside && index($0, words) { print NR; exit }
        /^}/ { inside = 0 }' server.c)
    [ -n "$line" ]
    echo "$1, server.c:$line"
}

has_line() {
    grep -qF -- "$1" <<<"$output" || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

has_no() {
    ! grep -qE -- "$1" <<<"$output" || { printf '"%s" is in:\n%s\n' "$1" "$output" && false; }
}

@test "each thread's line, and its caller's" {
    mutant lab03-threads main-joins-each-thread
    evidence_of thread_per_client lab03-threads
    has_line "thread 1 of 2: in futex: waits for thread 2 to end (pthread_join): $(place main pthread_join)"
    has_line "thread 2 of 2: in recv(client A), which has sent 6 bytes and received 6: $(place serve_client recv\(), called from $(place client_thread serve_client)"
}

@test "threads that wait at the same line share one entry" {
    solution lab06-reactor 's/pthread_cond_signal(&job_available);/(void)0;/'
    evidence_of fixed_threads lab06-reactor
    has_line "threads 2 to 5 of 5, each: in futex (a lock, a condition variable or a join): $(place worker_main pthread_cond_wait)"
}

@test "each process's line" {
    mutant lab02-fork lock-held-while-sending
    evidence_of silent_client lab02-fork
    has_line "process 1 of 4: in accept(the listening socket): $(place main accept\()"
    has_line "$(place send_all send\(), called from $(place serve_client send_all), called from"
    has_line "process 4 of 4: in futex (a lock, a condition variable or a join): serve_client, server.c:"
}

@test "the line of a thread that runs" {
    solution lab01-blocking 's/sent += (size_t)n;/sent += 0;/'
    evidence_of pieces lab01-blocking
    has_line "thread 1 of 1: running, not waiting in any system call: send_all, server.c:"
    has_line ", called from $(place serve_client send_all), called from $(place main serve_client\()"
}

@test "without ptrace(2) the line of a thread that runs is missing, and nothing else" {
    solution lab01-blocking 's/sent += (size_t)n;/sent += 0;/'
    run "$BATS_FILE_TMPDIR/without-ptrace" "$GRADING/grade" --file server.c --check pieces --json r.json lab01
    [ "$status" -eq 0 ]
    output=$(jq -r '.[0] | .verdict, .checks[-1].evidence[]' r.json)
    has_line "graded"
    has_line "thread 1 of 1: running, not waiting in any system call"
    has_no 'server\.c:'
}

@test "where a signal killed the server" {
    solution lab01-blocking 's/^    size_t sent = 0;/    *(volatile char *)(sizeof(int) - 4) = 0;\n&/'
    evidence_of echo_line lab01-blocking
    has_line "the server has ended: killed by SIGSEGV in $(place send_all volatile), called from $(place serve_client send_all), called from $(place main serve_client\()"
}

@test "where the C library aborted the server" {
    solution lab01-blocking 's/^    size_t sent = 0;/    free((char *)data + 8);\n&/'
    evidence_of echo_line lab01-blocking
    has_line "the server has ended: killed by SIGABRT in $(place send_all free\()"
    has_line 'standard error: "free(): invalid pointer'
}

@test "a call through a null pointer" {
    solution lab01-blocking 's/^    size_t sent = 0;/    ((void (*volatile *)(void))\&(void *){0})[0]();\n&/'
    evidence_of echo_line lab01-blocking
    has_line "the server has ended: killed by SIGSEGV in $(place send_all volatile)"
}

@test "a stack overflow in a thread whose signals are all blocked" {
    solution lab03-threads 's/^    size_t sent = 0;/    volatile char large[64 << 20];\n    large[0] = *data;\n&/'
    evidence_of echo_line lab03-threads
    has_line "the server has ended: killed by SIGSEGV in $(place send_all 'large[0]')"
}

@test "a crash in a child process, which the server survives" {
    solution lab02-fork 's/^    size_t sent = 0;/    abort();\n&/'
    evidence_of echo_line lab02-fork
    has_line "thread 1 of 1: in accept(the listening socket): $(place main accept\()"
    has_line "a child process of the server was killed by SIGABRT in $(place send_all abort\(), called from $(place serve_client send_all)"
}

@test "a handler of the server's own is left alone" {
    solution lab01-blocking 's/^    listener = listen_on(port);/    sigaction(SIGSEGV, \&(struct sigaction){.sa_handler = _exit}, NULL);\n&/
        s/^    size_t sent = 0;/    *(volatile char *)(sizeof(int) - 4) = 0;\n&/'
    evidence_of echo_line lab01-blocking
    has_no 'killed by'
    has_no 'server\.c:'
}

@test "where each coroutine is suspended" {
    mutant lab08-coroutines not-resumed-when-writable
    evidence_of short_sends lab08-coroutines
    has_line "threads 2 to 3 of 3, each: in epoll_wait(an epoll instance): $(place worker_main epoll_wait)"
    has_line "a coroutine (client A): suspended in $(place suspend switch_context), called from $(place wait_until suspend), called from $(place co_send wait_until), called from $(place send_all co_send), called from $(place serve_client send_all), called from $(place coroutine_main serve_client)"
}

@test "where coroutines of ucontext(3) are suspended" {
    patch -s --fuzz=0 -o server.c "$GRADING/../lab08-coroutines/solution.c" <"$GRADING/variants/lab08-coroutines/ucontext.patch"
    sed -i 's/^    wake(descriptor);/    if (event->events != EPOLLOUT)\n    &/' server.c
    evidence_of short_sends lab08-coroutines
    has_line "suspended in $(place suspend swapcontext), called from $(place wait_until suspend), called from $(place co_send wait_until)"
}

@test "the lines of a server that clang has built" {
    export GRADE_CC=clang
    mutant lab03-threads main-joins-each-thread
    evidence_of thread_per_client lab03-threads
    has_line "thread 1 of 2: in futex: waits for thread 2 to end (pthread_join): $(place main pthread_join)"
    has_line "$(place serve_client recv\(), called from $(place client_thread serve_client)"
    mutant lab08-coroutines not-resumed-when-writable
    evidence_of short_sends lab08-coroutines
    has_line "a coroutine (client A): suspended in $(place suspend switch_context), called from $(place wait_until suspend)"
}

@test "lab 8's reference, built by clang, has full marks" {
    GRADE_CC=clang run "$GRADING/grade" --strict --reference 8
    [ "$status" -eq 0 ] || { echo "$output" && false; }
}
