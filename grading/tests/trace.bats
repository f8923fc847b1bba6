# grading/trace and make trace: the pictures, of right servers and of wrong ones.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# has WORDS - the output of `run` has them
has() {
    local text
    text=$(tr -s ' \n' ' ' <<<"$output") # sentences are wrapped
    [[ "$text" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# serve FILE CODE - a server for lab 1 that answers one byte at a time, and runs CODE when it has received 'b'
serve() {
    cat >"$1" <<END
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof a;
    int s = socket(AF_INET, SOCK_STREAM, 0), fd;
    bind(s, (struct sockaddr *)&a, n);
    listen(s, 5);
    getsockname(s, (struct sockaddr *)&a, &n);
    printf("listening on 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    while ((fd = accept(s, NULL, NULL)) != -1)
        for (char c; recv(fd, &c, 1, 0) == 1; send(fd, &c, 1, MSG_NOSIGNAL))
            if (c == 'h') { /* A has said hello */
                $2
            }
}
END
}

@test "lab 1: B waits for A, with the line where the server is" {
    run "$GRADING/trace" --reference 1
    [ "$status" -eq 0 ]
    line=$(grep -n 'recv(client' "$ROOT/lab01-blocking/solution.c" | head -n 1 | cut -d : -f 1)
    has " s, client B is in the backlog: the main thread is in recv (line $line), waiting for client A to send."
    has "waits for client A"
    has "After SIGINT the server ended: exit status 0."
    [ "$(LC_ALL=C.UTF-8 wc -L <<<"$output")" -le 80 ]
}

@test "labs 2 to 8: nobody waits for A" {
    local lab
    for lab in 2 3 4 5 6 7 8; do
        run "$GRADING/trace" --reference "$lab"
        [ "$status" -eq 0 ]
        [[ "$output" != *"waiting for client A"* ]] || { echo "lab $lab: $output" && false; }
        has "exit status 0."
    done
}

@test "one lane for each thread, process and coroutine" {
    run "$GRADING/trace" --reference 2
    for name in parent 'child 1' 'child 4'; do has " $name "; done
    run "$GRADING/trace" --reference 3
    for name in 'main thread' 'thread 1' 'thread 4'; do has " $name "; done
    run "$GRADING/trace" --reference 8
    for name in 'main thread' 'thread 1' 'thread 2' 'coroutine A' 'coroutine I'; do has " $name "; done
    [[ "$output" != *"thread 3"* ]]
}

@test "strace has the same calls, about the same clients" {
    command -v strace && strace -o /dev/null true || skip "strace is not allowed here"
    run "$GRADING/tests/compare-with-strace" lab01-blocking lab02-fork lab03-threads lab04-select lab05-epoll \
        lab06-reactor lab07-callbacks lab08-coroutines
    echo "$output"
    [ "$(grep -c '^ok' <<<"$output")" -eq 8 ]
}

@test "the recording, the page, the SVG and the trace for Perfetto" {
    run "$GRADING/trace" --reference --output out 8
    [ "$status" -eq 0 ]
    has "out/trace.html"
    jq -e '.version == 1 and .lab == "lab08-coroutines" and (.clients | length) == 9 and (.tasks | length) == 3
        and ([.calls[] | select(.stack != null)] | length) > 20 and .unrecorded_calls == 0' out/trace.json
    jq -e '[.traceEvents[] | select(.ph == "X")] | length > 20 and all(.dur > 0 and .ts >= 0)' out/trace.perfetto.json
    python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' out/trace.svg
    grep -q '<title id="title">lab08-coroutines: who waits for whom' out/trace.svg
    ! grep -oE '(src|href)="[^"#]*"|url\([^#)]*\)' out/trace.html || return 1
    ! grep -o 'https\?://[^"< ]*' out/trace.html | grep -v '^http://www.w3.org/2000/svg\\\?$'
}

@test "the page in a real browser, by keyboard and by mouse" {
    "$GRADING/trace" --reference --output out 1
    run "$GRADING/tests/step-through-trace.py" out/trace.html
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c '^ok' <<<"$output")" -eq 16 ]
    [[ "$output" != *"not ok"* ]]
}

@test "a page cannot be broken by what is in the server" {
    serve s.c '{ /* </script><script>document.title = "broken"</script> @DATA@ @TITLE@ */ }'
    "$GRADING/trace" --file s.c --output out 1
    python3 - out/trace.html <<'END'
import json, re, sys
page = open(sys.argv[1]).read()
assert page.count("</script>") == 2
data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
assert any("@DATA@" in line and "</script>" in line for line in data["recording"]["source"])
END
}

@test "a server that crashes: the picture up to then" {
    serve s.c '*(volatile int *)0 = 1;'
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    has "The server ended by itself: killed by SIGSEGV."
    has "waits for client A"
}

@test "a server that exits in the middle" {
    serve s.c 'fprintf(stderr, "I had enough\033[31m\n"); exit(3);'
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    has 'The server ended by itself: exit status 3. Its last line: "I had enough?[31m".'
}

@test "a server that hangs: in the call it is in" {
    serve s.c 'sleep(100);'
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    has "sleep"
    has "After SIGINT the server ended: killed by SIGINT."
}

@test "a server that spins: it runs, and ignores SIGINT" {
    # shellcheck disable=SC2016
    serve s.c 'signal(2, SIG_IGN); for (;;);'
    sed -i '1i #include <signal.h>' s.c
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    has "██"
    has "The server did not end within 5 seconds after SIGINT."
}

@test "a server that prints no port" {
    echo 'int main(void) { return 7; }' >s.c
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    has "The server ended by itself: exit status 7."
}

@test "what a check does to a wrong server" {
    patch -s -o s.c "$ROOT/lab02-fork/solution.c" <"$GRADING/mutants/lab02-fork/waits-for-the-first-byte.patch"
    run "$GRADING/trace" --file s.c --check silent_client 2
    [ "$status" -eq 0 ]
    has "lab02-fork, silent_client"
    # It is called the parent if there has been a child before the server was killed.
    has "client B is in the backlog: the main thread is in recv" || has "client B is in the backlog: the parent is in recv"
    has "silent_client failed: expected"
}

@test "a client that does not read its answer waits for itself" {
    "$GRADING/trace" --reference --check silent_client --output out 2 >/dev/null
    PYTHONPATH=$GRADING/timeline python3 - out/trace.json <<'END'
import json, re, sys
import lanes
client = next(lane for lane in lanes.all_lanes(json.load(open(sys.argv[1])))[0] if lane["name"] == "client A")
longest = max((s for s in client["segments"] if s["state"] == "waits"), key=lambda s: s["end"] - s["begin"])
expected = r"Client A does not read: child 1 is in send \(line \d+\), waiting for client A to receive."
assert longest["label"] == "itself" and re.fullmatch(expected, longest["sentence"]), longest
END
}

@test "a client that a server has accepted and forgotten" {
    patch -s -o s.c "$ROOT/lab03-threads/solution.c" <"$GRADING/mutants/lab03-threads/address-of-loop-variable.patch"
    run "$GRADING/trace" --file s.c --check own_argument 3
    [ "$status" -eq 0 ]
    has "has been accepted, and the server has called nothing for it since."
}

@test "what a check does to a right server: many clients, backends" {
    run "$GRADING/trace" --reference --check crowd 3
    [ "$status" -eq 0 ]
    has "84 more clients"
    has "crowd passed."
    run "$GRADING/trace" --reference --check workers_share 6
    [ "$status" -eq 0 ]
    has "milliseconds"
}

@test "a thousand clients with three requests each: it takes seconds to find out who waits for whom" {
    run "$GRADING/trace" --reference --check thousand_in_flight 7
    [ "$status" -eq 0 ]
    has "Not drawn: 984 more clients."
    has "waits for user backend"
    has "thousand_in_flight passed."
}

@test "labs 7 and 8: for which backend a search waits, and what a suspended coroutine is in" {
    run "$GRADING/trace" --reference --check backend_hangs 8
    [ "$status" -eq 0 ]
    has "waits for the user backend, which the server has asked for it."
    has "waits for user backend"
    has "recv: user backend━"
    [[ "$output" != *"close:"* && "$output" != *"free worker"* ]]
    "$GRADING/trace" --reference --output out 7 >/dev/null
    PYTHONPATH=$GRADING/timeline python3 - out/trace.json <<'END'
import json, sys
import lanes
recording = json.load(open(sys.argv[1]))
recording["requests"] = []  # as if the backends had read nothing: the server's calls say it too
client = next(lane for lane in lanes.all_lanes(recording)[0] if lane["name"] == "client E")
whom = {s["for"] for s in client["segments"] if s["state"] == "waits"}
assert whom >= {"the user backend", "the query backend", "the stock backend"}, whom
END
}

@test "what a coroutine waits for when it closes its descriptor next" {
    PYTHONPATH=$GRADING/timeline python3 - <<'END'
from lanes import describe, waited_for
def call(function, on, result=1, error=None, size=None):
    return {"function": function, "on": on, "result": result, "error": error, "size": size, "lines": []}
user, b = "the user backend", "client B"
for last, following, expected in (
        (call("send", user, 9, size=9), call("close", user), "recv: the user backend"),
        (call("send", user, 9, size=9), call("send", b), "recv: the user backend"),
        (call("recv", user, -1, "EAGAIN"), call("close", user), "recv: the user backend"),
        (call("connect", user, -1, "EINPROGRESS"), call("close", user), "connect: the user backend"),
        (call("recv", b, -1, "EAGAIN"), call("close", b), "recv: client B"),
        (call("send", b, 9, size=9), call("close", b), "recv: client B"),
        (call("send", b, 4, size=9), call("close", b), "send: client B"),
        (call("send", b, 9, size=9), None, "recv: client B"),
        (call("close", user), call("send", b), "send: client B"),
        (None, call("close", b), "recv: client B")):
    assert describe(waited_for(last, following, b)) == expected, (last, following, expected)
END
}

@test "a server that spins until the recording is full: it says what is repeated, and stays small" {
    sed 's|^            client->broken = errno != EAGAIN;|&\n            static int i;\n            while (i++ < 100000)\n                send(client->fd, "", 0, MSG_NOSIGNAL);|' \
        "$ROOT/lab05-epoll/solution.c" >s.c
    run "$GRADING/trace" --file s.c --check slow_reader --output out 5
    [ "$status" -eq 0 ]
    has "slow_reader passed." # the memory of the recording is not the server's
    has "╎the recording is full"
    has "The main thread spins: send on client"
    has "The recording is full: 65,536 calls in"
    jq -e '[.calls[] | .times // 0] | max > 60000' out/trace.json
    [ "$(cat out/* | wc -c)" -lt 4000000 ]
}

@test "a loop that makes the same call again and again is one thing" {
    serve s.c 'for (int i = 0; i < 3000; i++) poll(NULL, 0, 0); pause();'
    run "$GRADING/trace" --file s.c --output out 1
    [ "$status" -eq 0 ]
    has "The main thread spins: poll (line "
    jq -e '[.calls[] | select(.function == "poll")] | length > 0 and any(.[]; .times == 3000)' out/trace.json
    serve s.c 'for (;; poll(NULL, 0, 0)) for (volatile int i = 0; i < 100000; i++);'
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 0 ]
    [[ "$output" =~ " × "[0-9,]+" █" ]]
}

@test "a client whose bytes lie unread" {
    patch -s -o s.c "$ROOT/lab05-epoll/solution.c" <"$GRADING/mutants/lab05-epoll/edge-without-draining.patch"
    run "$GRADING/trace" --file s.c --check big_message 5
    [ "$status" -eq 0 ]
    has "bytes that it has sent are unread, and the main thread is in epoll_wait (line "
    has "waiting for a new event."
}

@test "the legend has the signs that occur, in three lines" {
    PYTHONPATH=$GRADING/timeline python3 - <<'END'
import draw_terminal
every = draw_terminal.legend({(kind, sign) for kind in ("client", "task") for sign in "├┄─><░┐┤xA┝━┌█·╎"})
assert len(every.strip().split("\n")) == 3 and all(len(line) <= 80 for line in every.split("\n")), every
assert "┐" not in draw_terminal.legend({("client", "├")})
END
    run "$GRADING/trace" --reference 3
    [ "$status" -eq 0 ]
    local sign
    for sign in ├ ─ ┄ ░ ┐ ┤ ┝ ━ ┌ █ · ╎; do # some occur only if the machine is busy
        grep -qF $sign <<<"${output%%seconds*}" || continue
        grep -qF $sign <<<"${output##*seconds}" || { echo "no $sign in the legend: $output" && false; }
    done
    # A client connects with one sign, and a thread enters a call with a different one.
    [ -z "$(grep -E '^(main thread|thread)' <<<"$output" | grep -F ├)" ]
}

@test "a check whose server runs under a tool is not drawn, and says so" {
    run "$GRADING/trace" --reference --check no_data_race 3
    [ "$status" -eq 3 ]
    has "where its calls are not recorded"
}

@test "make trace, in a lab" {
    "$GRADING/handout" edition 1 >/dev/null
    cp "$ROOT/lab01-blocking/solution.c" edition/lab01-blocking/server.c
    run make -s -C edition/lab01-blocking trace
    [ "$status" -eq 0 ]
    has "waits for client A"
    [ -s edition/lab01-blocking/trace.html ]
    run make -s -C edition/lab01-blocking trace CHECK=silent_client
    [ "$status" -ne 0 ] # lab 1 has no such check
    has "silent_client"
    make -s -C edition/lab01-blocking clean
    [ ! -e edition/lab01-blocking/trace.html ]
}

@test "a server that does not compile" {
    echo 'int main(void) { return x; }' >s.c
    run "$GRADING/trace" --file s.c 1
    [ "$status" -eq 1 ]
    has "error: 'x' undeclared" || has "error: ‘x’ undeclared"
    has "trace: the server does not compile"
}

@test "a locale without UTF-8, and a source with bytes of CP949" {
    # 한글 in CP949, in a line with a warning
    { cat "$ROOT/lab01-blocking/solution.c" && printf 'static int unused; /* \xc7\xd1\xb1\xdb */\n'; } >s.c
    local c_locale=(env LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0)
    run "${c_locale[@]}" "$GRADING/trace" --file s.c --output out 1
    [ "$status" -eq 0 ]
    has "waits for client A"
    jq -e '.source[-1] | startswith("static int unused; /* ")' out/trace.json
    grep -q "waits for client A" out/trace.html
    echo '#error' >>s.c
    run "${c_locale[@]}" "$GRADING/trace" --file s.c 1
    [ "$status" -eq 1 ]
    has "trace: the server does not compile"
}

@test "TMPDIR with a space or a colon, without executable bits, and a check" {
    mkdir -p course/grading "t m:p"
    tar -c -C "$ROOT" --exclude='run.*' grading/{.build,grade,harness,lab.mk,lib,starters,timeline,trace} lab01-blocking | tar -xC course
    chmod a-x course/grading/{grade,trace}
    export TMPDIR="$PWD/t m:p"
    run env -u GRADE_BUILD bash course/grading/trace --reference 1
    [ "$status" -eq 0 ]
    has "waits for client A"
    run env -u GRADE_BUILD bash course/grading/trace --reference --check echo_line --output out 1
    [ "$status" -eq 0 ]
    has "echo_line passed."
    jq -e '.calls | length > 5' out/trace.json
}

@test "a recorder that cannot be loaded: an error instead of a picture without the server" {
    # An empty library: as if the dynamic linker had ignored the recorder.
    mkdir bin
    cat >bin/gcc <<END
#!/bin/bash
[[ "\$*" == *record_calls.c* ]] || exec $(type -P gcc) "\$@"
while [ "\$1" != -o ]; do shift; done
exec $(type -P gcc) -shared -x c -o "\$2" /dev/null
END
    chmod +x bin/gcc
    for check in "" "--check echo_line"; do
        # shellcheck disable=SC2086 # words
        PATH=$PWD/bin:$PATH run "$GRADING/trace" --reference $check 1
        [ "$status" -eq 3 ]
        has "trace: nothing was recorded"
    done
}

@test "invalid arguments" {
    for arguments in "" 99 "1 2" "--check" "--file nothing.c 1" "--all --reference 1" "--columns x 1" "--unknown 1"; do
        # shellcheck disable=SC2086
        run "$GRADING/trace" $arguments
        [ "$status" -eq 2 ] || { echo "$arguments: status $status, $output" && false; }
    done
}

@test "nothing is left behind" {
    export TMPDIR=$BATS_TEST_TMPDIR/tmp
    mkdir tmp
    "$GRADING/trace" --reference 2 >/dev/null
    [ -z "$(ls tmp)" ]
}
