# What grading/bench/bench says and how it ends. Never what a server costs.
# shellcheck shell=bats

setup() {
    BENCH=$BATS_TEST_DIRNAME/../bench/bench
    LAB05=$BATS_TEST_DIRNAME/../../lab05-epoll/solution.c
    cd "$BATS_TEST_TMPDIR"
    export TMPDIR=$BATS_TEST_TMPDIR # all that bench starts has this path in its command line
}

has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# running WHAT - where the processes are found that do
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

@test "wrong arguments: what is wrong, and exit status 2" {
    while IFS='|' read -r arguments words; do
        read -ra list <<<"$arguments"
        run "$BENCH" "${list[@]}"
        [ "$status" -eq 2 ]
        has "$words"
        has "--help"
    done <<'END'
--fast|what is --fast?
lab99|there is no server 'lab99'
libfoo|there is no server 'libfoo'
bare bare|two servers are named bare
x=nothing.c|there is no file nothing.c
x=/etc/passwd|neither a C file nor a program
a:b=/bin/true|no name for a server
--json /nowhere/r.json|cannot write /nowhere/r.json
--base libuv lab05 bare|the base 'libuv' is none of the servers: lab05-epoll bare
--scenario 0|a scenario is ACTIVE or ACTIVE/ALL
--scenario 10/5|a scenario is ACTIVE or ACTIVE/ALL
--scenario many|a scenario is ACTIVE or ACTIVE/ALL
--rounds 1.5|--rounds wants a number
--rounds|--rounds wants a word
END
}

@test "--switch: what a switch costs, as a ratio" {
    [ "$(uname -m)" = x86_64 ] || skip "the bare loop is written for x86-64"
    run "$BENCH" --switch
    [ "$status" -eq 0 ]
    [[ "$output" =~ ^a\ switch:\ [0-9.]+\ ns.*ratio\ [0-9.]+ ]]
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
}

@test "a server with coroutines, in the manner of libtask, echoes as well" {
    run "$BENCH" --quick --scenario 10 task bare
    [ "$status" -eq 0 ]
    has "  task "
}

@test "a short run: all servers, all scenarios, a ratio for each, no process left" {
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

@test "too few descriptors for a scenario: as many as can be, and it says so" {
    ulimit -n 200
    run "$BENCH" --quick --json r.json --scenario 50/1000 bare lab05
    [ "$status" -eq 0 ]
    has "136 connections to each server, not 1000"
    jq -e '.scenarios[0] | .active == 50 and .connections == 136 and .asked == "50/1000"' r.json
}

@test "a server that echoes wrongly, ends or has children: named, exit status 1, no JSON" {
    sed 's/client->end += (size_t)n;/client->end += (size_t)n, client->buffer[5]++;/' "$LAB05" >wrong.c

    sed 's/accept_clients();/abort();/' "$LAB05" >ends.c
    for server in 'wrong.c|wrong sent back other bytes than it was sent' \
        'ends.c|ends ' 'lab02|lab02-fork serves in child processes'; do
        run "$BENCH" --quick --json r.json --scenario 1 bare "${server%%|*}"
        [ "$status" -eq 1 ]
        has "load: ${server#*|}"
        [ ! -e r.json ]
        nothing_left
    done
}

# stopped_by SIGNAL - bench gets it while it measures
stopped_by() {
    local bench tries
    # What bash starts in the background would ignore SIGINT.
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

@test "SIGINT, SIGTERM and SIGKILL while it measures: no process left, no JSON" {
    stopped_by INT
    [ "$status" -eq 130 ]
    stopped_by TERM
    [ "$status" -eq 143 ]
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
    stopped_by KILL
    [ "$status" -eq 137 ]
}
