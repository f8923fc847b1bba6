# Tests grading/bench/bench and grading/chart: messages, exit statuses and files, not what they measure.
# shellcheck shell=bats

load invalid-arguments

setup() {
    BENCH=$BATS_TEST_DIRNAME/../bench/bench
    CHART=$BATS_TEST_DIRNAME/../chart
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
    refuses "$BENCH" "--help" <<'END'
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
    for server in 'wrong.c|wrong corrupted a byte: byte 6 of an answer is different' \
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

# ---- the load generators -----------------------------------------------------------------------

@test "both load generators detect each mistake, and name it" {
    local flags=(-std=gnu17 -O2 -pthread) mistake words server port
    gcc "${flags[@]}" -o load "$BATS_TEST_DIRNAME/../bench/load-generator.c"
    gcc "${flags[@]}" -o slices "$BATS_TEST_DIRNAME/../bench/slices.c"
    gcc "${flags[@]}" -o misbehaving "$BATS_TEST_DIRNAME/misbehaving-server.c"
    while IFS='|' read -r mistake words; do
        exec {out}< <(exec ./misbehaving "$mistake" 0)
        server=$!
        read -r -u "$out" port
        port=${port##*:}
        run ./load -r 1 -t 1 -c 2/2 "it:$server:$port"
        [ "$status" -eq "$([ "$mistake" = none ] && echo 0 || echo 1)" ]
        has "$words"
        run ./slices "$port" 1 '' <<<"connect 2 10
pids $server
slice 2 0.01 0
slice 2 0.01 0
check"
        [ "$status" -eq "$([ "$mistake" = none ] && echo 0 || echo 1)" ]
        [ "$mistake" = none ] || has "wrong $words"
        kill "$server"
        exec {out}<&-
    done <<'END'
none|
drop|dropped 1 byte
drop-end|dropped 1 of the 64 bytes of an answer
duplicate|sent an answer twice
reorder|sent the bytes of an answer in a different order
swap|sent an answer to a different client
corrupt|corrupted a byte: byte 31 of an answer is different
early|answered early: it sent bytes that it had not been sent
close|closed a connection
END
}

@test "a search that is answered without asking the backends, or with an error, is detected" {
    gcc -std=gnu17 -O2 -pthread -o slices "$BATS_TEST_DIRNAME/../bench/slices.c"
    cp "$BATS_TEST_DIRNAME/../../lab07-callbacks/solution.c" lab07.c
    gcc -std=gnu17 -O2 -pthread -o lab07 lab07.c
    exec {out}< <(exec ./lab07 0)
    local server=$! port
    read -r -u "$out" port
    run ./slices "${port##*:}" 5 'user query stock' <<<'connect 1 10'
    kill "$server"
    [ "$status" -eq 1 ]
    has 'wrong answered "error: no backends"'
}

# ---- chart -------------------------------------------------------------------------------------

# small ARGUMENT... - a run with very few points
small() {
    run "$CHART" --connections 1,10 --idle 0,10 --rates 1000,2000 --in-flight 1,4 --seconds 0.02 --rounds 2 \
        --timeout 10 --output out "$@"
}

charts_are_complete() {
    python3 - "$@" <<'END'
import csv, pathlib, sys, xml.dom.minidom
charts = ["cpu-per-request", "requests-per-second", "idle-clients", "latency", "threads"] + sys.argv[1].split()
servers = sys.argv[2].split()
searching = [name for name in servers if "lab06" <= name < "lab09" or name == "go"]
rows = list(csv.DictReader(open("out/chart.csv")))
assert rows
for row in rows:
    assert None not in row and None not in row.values(), row
    for column in ("load", "server", "asked", "clients", "busy", "slices", "requests", "requests_per_second",
                   "requests_per_second_low", "requests_per_second_high", "kib_per_client", "processes", "threads"):
        assert row[column] != "", (column, row)
    if row["requests"] != "0":
        assert float(row["cpu_us_low"]) <= float(row["cpu_us"]) <= float(row["cpu_us_high"]), row
assert sorted({row["server"] for row in rows}) == sorted(servers), {row["server"] for row in rows}
assert {path.stem for path in pathlib.Path("out").glob("*.svg")} == set(charts)
for chart in charts:
    document = xml.dom.minidom.parse(f"out/{chart}.svg")
    text = " ".join(node.firstChild.data for tag in ("text", "tspan") for node in document.getElementsByTagName(tag)
                    if node.firstChild is not None and node.firstChild.nodeType == node.TEXT_NODE)
    shown = [row["server"] for row in rows if row["load"] == {"searches": "searches", "latency": "rate",
             "idle-clients": "idle"}.get(chart, "connections")
             and row["requests"] != "0" and (chart != "latency" or float(row["p50_us"]) > 0)]
    for server in set(shown):
        assert server in text, (chart, server)
    sentence = document.getElementsByTagName("desc")[0].firstChild.data
    assert " Servers: " in sentence and sentence.split(" Servers: ")[0].endswith("."), sentence
    assert "var(--ink)" in document.toxml() and "prefers-color-scheme: dark" in document.toxml()
END
}

@test "chart: invalid arguments: a message and exit status 2" {
    refuses "$CHART" "grading/chart --help" <<'END'
--fast|unrecognized arguments: --fast
lab99|'lab99' is not a lab, nor one of bare, libev, libuv, libevent, go
--connections 0|--connections: invalid
--idle 1,x|--idle: invalid
--rates 0|--rates: invalid
--seconds 0|--seconds: invalid
--output /nowhere/charts|cannot write to /nowhere/charts
bare bare|the same server twice
END
}

@test "chart: every row and every chart is complete, a peer that is missing is left out, and no process is left" {
    local peers="bare libev libuv libevent"
    small --idle 0 --rates 1000 --in-flight 2 --rounds 1
    [ "$status" -eq 0 ]
    if command -v go >/dev/null; then
        peers+=" go"
    else
        has "chart: go is not installed, and is left out"
    fi
    has "lab01-blocking stops at 1 client: client 2 gets no answer while the others are connected"
    charts_are_complete searches "lab01-blocking lab02-fork lab03-threads lab04-select lab05-epoll lab06-reactor \
        lab07-callbacks lab08-coroutines $peers"
    nothing_left
    [ -z "$(ls -d "$TMPDIR"/tmp.* 2>/dev/null)" ]
    # The same file once more.
    run "$CHART" --draw out/chart.csv --output again
    [ "$status" -eq 0 ]
    diff -r -x chart.csv out again
}

@test "chart: more processes than allowed, FD_SETSIZE, and a wrong server" {
    small --connections 10,40,1040 --idle 0 --rates 1000 --tasks 30 --seconds 0.01 --rounds 1 lab02 lab03 lab04
    [ "$status" -eq 0 ]
    has "lab02-fork stops at 30 clients: this run allows 30 processes or threads (--tasks)"
    has "lab04-select stops at 1,0"
    has "(FD_SETSIZE)"
    grep -q '^connections,lab04-select,1040,10.*FD_SETSIZE' out/chart.csv
}

@test "chart --mine: beside the references, without starters and what does not work" {
    local root=$BATS_TEST_DIRNAME/../.. copy=$PWD/copy lab
    mkdir -p "$copy/grading"
    cp -r "$root"/lab0* "$copy/"
    for lab in bench lib chart starters; do
        cp -r "$root/grading/$lab" "$copy/grading/"
    done
    cp "$copy/lab05-epoll/solution.c" "$copy/lab05-epoll/server.c"
    sed 's/client->end += (size_t)n;/client->end += (size_t)n, client->buffer[5]++;/' \
        "$copy/lab05-epoll/solution.c" >"$copy/lab04-select/server.c"
    echo 'int main(void) { return oops; }' >"$copy/lab03-threads/server.c"
    cp "$copy/grading/starters/lab02-fork.c" "$copy/lab02-fork/server.c"
    CHART=$copy/grading/chart small --mine lab02 lab03 lab04 lab05
    [ "$status" -eq 0 ]
    has "lab02-fork/server.c is still the starter, and is left out"
    has "my-lab03-threads does not compile, and is left out from here on"
    has "my-lab04-select corrupted a byte: byte 6 of an answer is different, and is left out from here on"
    charts_are_complete "" "lab02-fork lab03-threads lab04-select lab05-epoll my-lab05-epoll"
    nothing_left
}

# Both load generators have reported several slices: a line of more than 20 bytes for each.
measured() {
    local files written
    mapfile -t files < <(running slices)
    written=$(for file in ${files[@]+"${files[@]}"}; do
        awk '$1 == "wchar:" && $2 > 300' "${file%/cmdline}/io" 2>/dev/null || true
    done | wc -l)
    [ "$written" -eq 2 ]
}

@test "chart: Ctrl-C keeps what has been measured, and draws it" {
    local chart tries
    # A point that never ends, after one that does. Bash makes background jobs ignore SIGINT.
    env --default-signal=INT "$CHART" --connections 1,10 --idle 0 --rates 1000 --seconds 0.02 --rounds 60000 \
        --output out lab05 bare >screen 2>&1 &
    chart=$!
    for ((tries = 0; tries < 1200; tries++)); do
        ! measured || break
        sleep 0.05
    done
    kill -INT "$chart"
    status=0
    wait "$chart" || status=$?
    [ "$status" -eq 130 ]
    grep -q 'interrupted: what has been measured is drawn' screen
    grep -q '^connections,' out/chart.csv
    [ -s out/cpu-per-request.svg ]
    nothing_left
}
