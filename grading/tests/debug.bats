# make debug, in the student edition: gdb with the labs' solutions, driven as by a person, through its standard input.
# Also what editors use: the tasks, the container, compile_commands.json.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    cd "$BATS_FILE_TMPDIR"
    "$GRADING/handout" edition >/dev/null
    for lab in edition/lab*/; do
        cp "$ROOT/$(basename "$lab")/solution.c" "$lab/server.c"
    done
}

setup() {
    cd "$BATS_FILE_TMPDIR/edition"
}

# However a test ends: the kernel kills what a gdb that is killed was debugging.
teardown() {
    exec 4>&- 5>&- 6>&-
    [ -z "${gdb:-}" ] || kill_gdb_below "$gdb"
    [ -z "${gdb:-}" ] || wait "$gdb" || true
}

# kill_gdb_below PID - kills the gdb among the descendants of a process
kill_gdb_below() {
    local child
    for child in $(pgrep -P "$1"); do
        kill_gdb_below "$child"
        [ "$(cat "/proc/$child/comm" 2>/dev/null)" != gdb ] || kill -KILL "$child"
    done
}

# has WORDS - the output of `run` has them
has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# debug LAB [VARIABLE=VALUE...] - starts make debug; $out is what gdb and the server print
debug() {
    local lab
    lab=$(echo "$1"*)
    out=$BATS_TEST_TMPDIR/out
    mkfifo "$BATS_TEST_TMPDIR/in"
    make -s -C "$lab" debug PORT=0 GDBFLAGS=-nx "${@:2}" <"$BATS_TEST_TMPDIR/in" >"$out" 2>&1 3>&- &
    gdb=$!
    exec 4>"$BATS_TEST_TMPDIR/in"
    read_so_far=0
}

# debug_in_terminal LAB - the same in a terminal
debug_in_terminal() {
    local lab
    lab=$(echo "$1"*)
    out=$BATS_TEST_TMPDIR/out
    mkfifo "$BATS_TEST_TMPDIR/in"
    TERM=dumb socat - "EXEC:make -s -C $lab debug PORT=0 GDBFLAGS=-nx,pty,setsid,ctty,stderr,echo=0" \
        <"$BATS_TEST_TMPDIR/in" >"$out" 2>&1 3>&- &
    gdb=$!
    exec 4>"$BATS_TEST_TMPDIR/in"
    read_so_far=0
}

# say COMMAND - types it in gdb
say() {
    echo "$1" >&4
}

# expect PATTERN - waits until it is printed, after what was expected before; sets $match to the whole match
expect() {
    local tries text
    for ((tries = 0; tries < 600; tries++)); do
        text=$(tail -c "+$((read_so_far + 1))" "$out" | tr '\n' '\t')
        if [[ $text =~ $1 ]]; then
            match=${BASH_REMATCH[0]}
            text=${text%%"$match"*}
            read_so_far=$((read_so_far + $(LC_ALL=C; echo "${#text}") + $(LC_ALL=C; echo "${#match}")))
            return
        fi
        sleep 0.05
    done
    printf 'no "%s" after byte %d of:\n' "$1" "$read_so_far"
    cat "$out"
    return 1
}

# run_server - types run; sets $port and $pid
run_server() {
    say run
    expect 'listening on 127\.0\.0\.1:[0-9]+'
    port=${match##*:}
    pid=$(make -s -C lab01-blocking pid PORT="$port")
}

# stop_server WORDS - SIGTERM, as from kill; the server prints the words and exits normally
stop_server() {
    kill -TERM "$pid"
    expect "$1"
    expect 'Inferior 1 .process [0-9]+. exited normally'
    say quit
    wait "$gdb"
    gdb=
    [ ! -e "/proc/$pid" ]
}

# echo_on FD WORDS - the server sends them back on this connection
echo_on() {
    local line
    echo "$2" >&"$1"
    read -r -t 30 line <&"$1"
    [ "$line" = "$2" ]
}

connect_5() { exec 5<>"/dev/tcp/127.0.0.1/$port"; }
connect_6() { exec 6<>"/dev/tcp/127.0.0.1/$port"; }

# wait_until_idle - until all threads are in epoll_wait or epoll_pwait: an echo arrives before its coroutine waits again
wait_until_idle() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        cut -d ' ' -f 1 "/proc/$pid"/task/*/syscall | grep -qvxE '232|281|22' || return 0
        sleep 0.05
    done
    return 1
}

# interrupt - as Ctrl-C does
interrupt() {
    kill -INT "$pid"
    expect 'received signal SIGINT'
}

@test "lab 1: stops in serve_client, and serves the client when it continues" {
    debug lab01
    run_server
    connect_5
    expect 'Breakpoint [0-9]+, serve_client \(client=[0-9]+\) at server.c:[0-9]+'
    say bt
    expect '#0  serve_client [^#]*#1 [^#]* main [^#]* server.c:[0-9]+'
    say 'print served'
    expect '\$1 = '
    say continue
    echo_on 5 hello
    exec 5>&-
    stop_server 'served 1 connections, 6 bytes'
}

@test "lab 2: stops in the child; when it has ended, the parent continues" {
    debug lab02
    run_server
    connect_5
    expect 'Breakpoint [0-9.]+, serve_client'
    say 'info inferiors'
    expect '  1 +process [0-9]+.*\* 2 +process [0-9]+'
    say bt
    expect '#0  serve_client [^#]*#1 [^#]* main [^#]* server.c:[0-9]+'
    say continue
    echo_on 5 hello
    exec 5>&-
    expect 'Inferior 2 .process [0-9]+. exited normally'
    expect 'Switching to inferior 1'
    say continue
    connect_6
    expect 'Breakpoint [0-9.]+, serve_client'
    say continue
    echo_on 6 again
    exec 6>&-
    expect 'Inferior 3 .process [0-9]+. exited normally'
    say continue
    stop_server 'served 2 connections, 12 bytes'
}

@test "lab 3: stops in the client's thread" {
    debug lab03
    run_server
    connect_5
    expect 'Thread [2-9] [^\t]* hit Breakpoint [0-9]+, serve_client'
    say 'info threads'
    expect '  1 +Thread.*\* [2-9] .* serve_client'
    say continue
    echo_on 5 hello
    connect_6
    expect 'Thread [3-9] [^\t]* hit Breakpoint [0-9]+, serve_client'
    say delete
    say continue
    echo_on 6 again
    exec 5>&- 6>&-
    stop_server 'served 2 connections, 12 bytes'
}

# finish_hello - without breakpoints, the client on descriptor 5 gets its "hello" back; the server ends
finish_hello() {
    say delete
    say continue
    read -r -t 30 line <&5
    [ "$line" = hello ]
    exec 5>&-
    stop_server 'served 1 connections, 6 bytes'
}

@test "labs 4 to 7: stop in serve_client, and serve the client when they continue" {
    for lab in lab04 lab05 lab06 lab07; do
        rm -f "$BATS_TEST_TMPDIR/in"
        debug "$lab"
        run_server
        [[ $lab < lab06 ]] || [ "$(tr '\0' ' ' <"/proc/$pid/cmdline" | cut -d ' ' -f 2-4)" = "0 9001 9002" ]
        connect_5
        echo hello >&5
        expect 'Breakpoint [0-9]+, serve_client'
        finish_hello
    done
}

@test "Ctrl-C in a terminal interrupts lab 2's server once, not each child for itself" {
    debug_in_terminal lab02
    say 'delete 2'
    run_server
    connect_5
    echo_on 5 hello
    connect_6
    echo_on 6 hello
    printf '\003' >&4
    expect 'received signal SIGINT'
    say 'info inferiors'
    expect '1 +process.*2 +process.*3 +process'
    say continue
    echo_on 5 again
    echo_on 6 again
    [ "$(grep -c 'received signal SIGINT' "$out")" = 1 ]
    printf '\003' >&4
    expect 'received signal SIGINT'
    say kill
    expect 'y or n'
    say y
    expect 'killed'
    [ ! -e "/proc/$pid" ]
}

# peer_ports - the ports of the clients that are connected to $port
peer_ports() {
    ss -Htn state established "dport = :$port" | awk '{ sub(/.*:/, "", $3); print $3 }'
}

# state FILE - has gdb write everything that a command could have changed: registers, and the server's variables
state() {
    say "set logging file $1.registers"
    say 'set logging overwrite on'
    say 'set logging enabled on'
    say 'thread apply all info registers'
    say 'set logging enabled off'
    say "dump binary memory $1.workers &workers[0] &workers[2]"
    say 'echo state: done\n'
    expect 'state: done'
}

@test "lab 8: coroutines lists all of them, with client and call stack, and changes nothing" {
    debug lab08
    run_server
    connect_5
    expect 'Breakpoint [0-9]+, serve_client'
    say coroutines
    expect 'Coroutine 1 \(worker [12], client [0-9]+ = 127\.0\.0\.1:[0-9]+\), running in thread [23]:.#0  serve_client'
    say delete
    say continue
    echo_on 5 hello
    connect_6
    echo_on 6 again
    wait_until_idle
    interrupt
    state "$BATS_TEST_TMPDIR/before"
    say coroutines
    say 'echo coroutines: done\n'
    expect 'Coroutine 1 .*Coroutine 2 .*coroutines: done'
    listed=$(tr '\t' '\n' <<<"$match")
    state "$BATS_TEST_TMPDIR/after"
    cmp "$BATS_TEST_TMPDIR"/{before,after}.registers
    cmp "$BATS_TEST_TMPDIR"/{before,after}.workers
    echo "$listed"
    [ "$(grep -c '^Coroutine' <<<"$listed")" = 2 ]
    [ "$(peer_ports | wc -l)" = 2 ]
    for peer in $(peer_ports); do
        grep -qE "^Coroutine [12] \(worker [12], client [0-9]+ = 127\.0\.0\.1:$peer\), suspended:" <<<"$listed"
    done
    for pattern in '#0 .* suspend \(' '#1 .* wait_until \(' '#2 .* recv_lines \(client=' '#3 .* serve_client \(client=' \
        '#4 .* coroutine_main \('; do
        # A long line of gdb's has its end on the next one.
        [ "$(tr '\n' ' ' <<<"$listed" | grep -oE "$pattern[^#]*server.c:[0-9]+" | wc -l)" -gt 0 ]
        [ "$(grep -cE "$pattern" <<<"$listed")" = 2 ]
    done
    say continue
    echo_on 5 once-more
    echo_on 6 once-more
    exec 5>&- 6>&-
    stop_server 'served 2 connections, 32 bytes'
}

# line_of TEXT FUNCTION - its line in that function of lab 8
line_of() {
    awk -v text="$1" -v name="$2" '
        index($0, name "(") && /^[a-z]/ && !/;$/ { inside = 1 }
        inside && index($0, text) { print NR; exit }' lab08-coroutines/server.c
}

@test "lab 8: the lines are where each coroutine waits, with and without optimizations" {
    for level in -O0 -O2; do
        rm -f "$BATS_TEST_TMPDIR/in"
        gcc -std=gnu17 -pthread -g "$level" -o lab08-coroutines/server-debug lab08-coroutines/server.c
        debug lab08 -o server-debug
        run_server
        connect_5
        expect 'Breakpoint [0-9]+, (serve_client|coroutine_main)'
        say delete
        say continue
        echo_on 5 hello
        wait_until_idle
        interrupt
        say coroutines
        expect "recv_lines [^#]*server.c:$(line_of 'wait_until(&descriptor->readable' recv_lines)"
        expect "serve_client [^#]*server.c:$(line_of recv_lines serve_client)"
        expect "coroutine_main [^#]*server.c:$(line_of serve_client coroutine_main)"
        say continue
        echo_on 5 again
        exec 5>&-
        stop_server 'served 1 connections, 12 bytes'
    done
}

@test "lab 8: a coroutine that has not started, and one that is ready" {
    debug lab08
    say 'break resume'
    run_server
    connect_5
    expect 'Breakpoint [0-9]+, resume'
    say coroutines
    expect 'Coroutine 1 [^#]*, suspended:.\(it has not started; it will begin in coroutine_main\)'
    say 'break wake if descriptor->waiting'
    say 'delete 2'
    say continue
    echo hello >&5
    expect 'Breakpoint [0-9]+, wake'
    say finish
    expect 'Run till exit'
    say coroutines
    expect 'Coroutine 1 [^#]*, ready:.#0 .* suspend'
    finish_hello
}

# one_clear_line PATTERN - what coroutines answers, and what gdb then does
one_clear_line() {
    say coroutines
    expect "$1"
    say 'info threads'
    expect '\* [123] '
}

@test "coroutines: one clear line when there are none, or when they are not those of the starter" {
    debug lab01
    say coroutines
    expect 'The server is not running\.'
    run_server
    interrupt
    one_clear_line 'The coroutines of this server cannot be listed: it has no function switch_context\.'
    say continue
    stop_server 'served 0 connections'

    cp -r lab08-coroutines lab88-renamed
    sed -i 's/\bstack_pointer\b/saved_at/g' lab88-renamed/server.c
    rm "$BATS_TEST_TMPDIR/in"
    debug lab88
    run_server
    interrupt
    say coroutines
    expect 'There are no coroutines\.'
    say delete
    say continue
    connect_5
    echo_on 5 hello
    interrupt
    one_clear_line 'cannot be listed: its struct coroutine has no member stack_pointer\.'
    say continue
    exec 5>&-
    stop_server 'served 1 connections, 6 bytes'
    rm -r lab88-renamed
}

@test "SIGPIPE stops a server that it would kill, and not one that ignores it" {
    debug lab01
    run_server
    kill -PIPE "$pid"
    expect 'Catchpoint [0-9]+ \(signal SIGPIPE\)'
    say bt
    expect '#[0-9]+ [^#]* main [^#]* server.c:'
    say 'signal 0'
    stop_server 'served 0 connections'

    mkdir lab77-ignores
    cp lab01-blocking/Makefile lab77-ignores
    sed '/^int main/,/^{/s/^{/{ signal(SIGPIPE, SIG_IGN);/' lab01-blocking/server.c >lab77-ignores/server.c
    rm "$BATS_TEST_TMPDIR/in"
    debug lab77
    say 'delete 2'
    run_server
    kill -PIPE "$pid"
    connect_5
    echo_on 5 hello
    exec 5>&-
    stop_server 'served 1 connections, 6 bytes'
    rm -r lab77-ignores
    run cat "$out"
    [[ "$output" != *SIGPIPE* ]]
}

@test "FAULTS, as with make run" {
    debug lab01 FAULTS=short_send=1
    say 'delete 2'
    run_server
    grep -q faults.so "/proc/$pid/maps"
    connect_5
    echo_on 5 hello
    exec 5>&-
    stop_server 'served 1 connections, 6 bytes'
}

# command_named NAME - the rest of the input becomes a program of that name, the first in PATH
command_named() {
    mkdir -p "$BATS_TEST_TMPDIR/bin"
    cat >"$BATS_TEST_TMPDIR/bin/$1"
    chmod +x "$BATS_TEST_TMPDIR/bin/$1"
}

@test "no gdb, or one without Python (gdb-minimal): the name of the package" {
    printf '#!/bin/sh\necho "Scripting in the \\"Python\\" language is not supported in this copy of GDB." >&2\n' | command_named gdb
    command_named apt-get </dev/null
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run make -C lab01-blocking debug
    [ "$status" -ne 0 ]
    has "These Debian packages are missing: gdb"
    # what a shell does for a command that is not there
    printf '#!/bin/sh\nexit 127\n' | command_named gdb
    PATH=$BATS_TEST_TMPDIR/bin:$PATH run make -C lab01-blocking debug
    [ "$status" -ne 0 ]
    has "These Debian packages are missing: gdb"
}

@test "make clean removes what make debug has built, and git ignores it" {
    make -s -C lab01-blocking server-debug
    [ -x lab01-blocking/server-debug ]
    make -s -C lab01-blocking clean
    [ ! -e lab01-blocking/server-debug ]
    grep -qx '/lab\*/server-debug' .gitignore
    run make -C lab08-coroutines help
    has "make debug"
    has "coroutines"
}

# ---- editors -------------------------------------------------------------------------------------

# in_lab TEXT - with the directory of lab 1 instead of VS Code's variable
in_lab() {
    echo "${1//'${fileDirname}'/$PWD/lab01-blocking}"
}

@test "the editor files are valid JSON, and each lab has them" {
    for file in .vscode/*.json .devcontainer/*.json; do
        jq empty "$file"
    done
    for lab in lab*/; do
        cmp .vscode/tasks.json "$lab/.vscode/tasks.json"
    done
    [ -e "$ROOT/lab01-blocking/.vscode/launch.json" ]
}

@test "VS Code's tasks are make targets, and its debugger uses one of them" {
    for target in $(jq -r '.tasks[] | .args[0] // "server"' .vscode/tasks.json); do
        make -n -C lab08-coroutines "$target" >/dev/null
    done
    for task in $(jq -r '.configurations[].preLaunchTask | @base64' .vscode/launch.json); do
        jq -e --arg task "$(base64 -d <<<"$task")" '.tasks[] | select(.label == $task)' .vscode/tasks.json
    done
}

@test "what VS Code tells gdb: it stops in serve_client, when the program is loaded before or after" {
    make -s -C lab01-blocking server-debug
    program=$(in_lab "$(jq -r '.configurations[0].program' .vscode/launch.json)")
    setup=$(in_lab "$(jq -r '.configurations[0].setupCommands[].text' .vscode/launch.json)")
    printf '%s\n' "-file-exec-and-symbols $program" "$setup" -break-list -gdb-exit >first
    printf '%s\n' "$setup" "-file-exec-and-symbols $program" -break-list -gdb-exit >last
    for order in first last; do
        run gdb -nx -q --interpreter=mi <"$order"
        has 'func="serve_client"'
    done
}

@test "make compile_commands.json: each file of the lab, as it is compiled, even if it does not compile" {
    cp -r lab01-blocking lab99-broken
    echo 'nonsense' >>lab99-broken/server.c
    # a proxy for everything must not be used for bear's own connections
    http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 run make -C lab99-broken compile_commands.json
    [ "$status" -eq 0 ]
    jq -e 'map(.file | split("/") | last) | sort == ["server.c", "test.c"]' lab99-broken/compile_commands.json
    jq -e '.[] | select(.file | endswith("server.c")) | .arguments | index("-std=gnu17")' lab99-broken/compile_commands.json
    jq -e '.[] | select(.file | endswith("test.c")) | .arguments | index("-I../grading/harness")' lab99-broken/compile_commands.json
    rm -r lab99-broken
}

@test "the container has all packages that the commands need" {
    # shellcheck source=grading/lib/install-packages.bash
    needed=$(. "$GRADING/lib/install-packages.bash" && printf '%s\n' "${grading_needs[@]%%:*}")
    needed+=$'\n'$(grep -oE 'need "?[a-z-]+:' "$GRADING/lab.mk" | sed -E 's/^need "?//; s/://')
    needed+=$'\n'$(grep -oE 'apt-get install [a-z-]+' "$GRADING/lab.mk" | sed 's/.* //')
    [ "$(wc -l <<<"$needed")" -ge 17 ]
    # the words between "apt-get install -y" and the next command
    sed -e ':a' -e '/\\$/N; s/\\\n//; ta' .devcontainer/Dockerfile | sed -n 's/.*apt-get install -y//p' |
        tr -s ' ' '\n' | sed '/^$/d' | sort >installed
    for package in $needed; do
        grep -qx "$package" installed || { echo "the Dockerfile lacks $package" && false; }
    done
    for package in $(cat installed); do
        grep -qx "$package" <<<"$needed" ||
            [[ " ca-certificates git less man-db manpages-dev openssh-client sudo " == *" $package "* ]] ||
            { echo "no command needs $package" && false; }
    done
    jq -e '.runArgs | index("--cap-add=SYS_PTRACE") and index("seccomp=unconfined")' .devcontainer/devcontainer.json
}
