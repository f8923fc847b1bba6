# Tests grading/bench/bench: its messages and exit statuses, not the costs that it measures.
# shellcheck shell=bats

setup() {
    BENCH=$BATS_TEST_DIRNAME/../bench/bench
    LAB05=$BATS_TEST_DIRNAME/../../lab05-epoll/solution.c
    cd "$BATS_TEST_TMPDIR"
    export TMPDIR=$BATS_TEST_TMPDIR # in the command line of every process that bench starts
}

has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# running PROGRAM - prints the command line files of processes that run it
running() {
    grep -lsE "$TMPDIR/tmp\.[^/]*/$1" /proc/[0-9]*/cmdline || true
}

nothing_left() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ -n "$(running '')" ] || return 0
        sleep 0.05
    done
    running ''
    return 1
}

@test "invalid arguments: a message and exit status 2" {
    while IFS='|' read -r arguments words; do
        read -ra list <<<"$arguments"
        run "$BENCH" "${list[@]}"
        [ "$status" -eq 2 ]
        has "$words"
        has "--help"
    done <<'END'
--fast|unknown option --fast
lab99|'lab99' is not a server, a lab or a file
libfoo|'libfoo' is not a server, a lab or a file
bare bare|two servers are named bare
x=nothing.c|cannot read nothing.c
x=/etc/passwd|neither a C file nor a program
a:b=/bin/true|'a:b' is not a server name
--json /nowhere/r.json|cannot write /nowhere/r.json
--base libuv lab05 bare|the base 'libuv' is not one of the servers: lab05-epoll bare
--scenario 0|a scenario is ACTIVE or ACTIVE/ALL
--scenario 10/5|a scenario is ACTIVE or ACTIVE/ALL
--scenario many|a scenario is ACTIVE or ACTIVE/ALL
--rounds 1.5|--rounds requires a number
--rounds|--rounds requires a value
END
}

@test "--switch prints the cost of a context switch and its ratio" {
    [ "$(uname -m)" = x86_64 ] || skip "the assembly loop exists only for x86-64"
    run "$BENCH" --switch
    [ "$status" -eq 0 ]
    [[ "$output" =~ ^a\ switch:\ [0-9.]+\ ns.*ratio\ [0-9.]+ ]]
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
}

@test "the server in the style of libtask is measured" {
    run "$BENCH" --quick --scenario 10 ucontext bare
    [ "$status" -eq 0 ]
    has "  ucontext "
}

@test "a short run measures all servers in all scenarios, and leaves no process behind" {
    run "$BENCH" --quick --json r.json
    [ "$status" -eq 0 ]
    has "100 busy"
    nothing_left
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
    jq -e '.base == "bare"
        and [.scenarios[].asked] == ["1/1", "100/100", "1000/1000", "100/10000"]
        and all(.scenarios[];
            .rounds == 1 and .active >= 1 and .active <= .connections
            and [.servers[].name] == ["lab05-epoll", "bare", "libev", "libevent", "libuv"]
            and all(.servers[]; .microseconds > 0 and .low > 0 and .low <= .ratio
                and .ratio <= .high and .high < 1000)
            and .servers[1].ratio == 1)' r.json
}

@test "too few descriptors for a scenario: it uses as many as it can, and says so" {
    ulimit -n 200
    run "$BENCH" --quick --json r.json --scenario 50/1000 bare lab05
    [ "$status" -eq 0 ]
    has "136 connections to each server, not 1000"
    jq -e '.scenarios[0] | .active == 50 and .connections == 136 and .asked == "50/1000"' r.json
}

@test "a server that echoes wrongly, exits or has children: its name, exit status 1, no JSON" {
    sed 's/client->end += (size_t)n;/client->end += (size_t)n, client->buffer[5]++;/' "$LAB05" >wrong.c
    sed 's/accept_clients();/abort();/' "$LAB05" >ends.c
    for server in 'wrong.c|wrong sent back different bytes than it was sent' \
        'ends.c|ends ' 'lab02|lab02-fork serves in child processes'; do
        run "$BENCH" --quick --json r.json --scenario 1 bare "${server%%|*}"
        [ "$status" -eq 1 ]
        has "load: ${server#*|}"
        [ ! -e r.json ]
        nothing_left
    done
}

# stopped_by SIGNAL - sends bench the signal while it measures
stopped_by() {
    local bench tries
    # Bash makes background jobs ignore SIGINT.
    env --default-signal=INT "$BENCH" --json r.json --rounds 100000 --scenario 1 bare >screen 2>&1 &
    bench=$!
    for ((tries = 0; tries < 400; tries++)); do
        [ -z "$(running load)" ] || break
        sleep 0.05
    done
    [ -n "$(running load)" ]
    kill "-$1" "$bench"
    status=0
    wait "$bench" || status=$?
    nothing_left
    [ ! -e r.json ]
}

@test "SIGINT, SIGTERM and SIGKILL while it measures leave no process and no JSON" {
    stopped_by INT
    [ "$status" -eq 130 ]
    stopped_by TERM
    [ "$status" -eq 143 ]
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
    stopped_by KILL
    [ "$status" -eq 137 ]
}
