# Sourced by grade: compiles a server, and if that fails, finds out whose fault it is.
# shellcheck shell=bash
# shellcheck disable=SC2154 # run, grading and compile are variables of grade

compile_seconds=60 # a reference takes one

# compile_once DIRECTORY TARGET - compiles DIRECTORY/server.c; the output of the compiler and the linker goes to
# DIRECTORY/TARGET.log. What make itself prints names our files, and is there only if there is nothing else.
# Returns the exit status of timeout.
compile_once() {
    local log=$1/$2.log status=0 compiler=gcc
    [ "$2" != server ] || compiler=${GRADE_CC:-gcc}
    rm -f "${1:?}/$2"
    "${compile[@]}" timeout -k 1 "$compile_seconds" make -s -C "$1" -f "$grading/lab.mk" CC="2>&1 $compiler" SOURCE=server.c "$2" \
        >"$log" 2>"$1/make.log" </dev/null || status=$?
    if [ "$status" -eq 0 ] && [ ! -x "$1/$2" ]; then
        status=1
        [ ! -e "$1/$2" ] || echo "$1/$2 cannot be executed: is that file system mounted with noexec?" >>"$log"
    fi
    truncate -s '<30000' "$log" # the list of errors may be endless
    [ "$status" -lt 124 ] || echo "The compiler did not finish within a minute." >>"$log"
    [ "$status" -eq 0 ] || [ -s "$log" ] || cp "$1/make.log" "$log"
    [ "$status" -eq 0 ] || rm -f "${1:?}/$2"
    return "$status"
}

# processes_killed - how many the kernel has killed because the machine ran out of memory
processes_killed() {
    sed -n 's/^oom_kill //p' /proc/vmstat 2>/dev/null || true
}

# compile_control TARGET - compiles a correct program under the same conditions; prints what fails
compile_control() {
    local started=$SECONDS
    mkdir -p "$run/control"
    {
        echo '#include <pthread.h>'
        echo '#include <stdio.h>'
        echo 'static char room[1 << 20] = {1};' # as a large server
        echo 'int main(void) { return puts(room) == EOF; }'
    } >"$run/control/server.c" || true
    compile_once "$run/control" "$1" || {
        echo "this machine cannot compile a correct program: $(tail -n 5 "$run/control/$1.log")"
        return
    }
    [ $((SECONDS - started)) -lt $((compile_seconds / 10)) ] || echo "this machine takes too long to compile a correct program"
}

# compile_server TARGET - compiles $run/server.c. Returns 0 if it has compiled, 1 if the server is at fault,
# 3 if the machine is; then $compile_fault is the reason.
compile_server() {
    local started=$SECONDS killed took
    compile_fault=
    killed=$(processes_killed)
    ! compile_once "$run" "$1" || return 0
    took=$((SECONDS - started))
    # A server that uses up the compiler's time or memory does so each time. If something else happened
    # (the compiler or its sandbox was killed), all is well the second time, or the control fails as well.
    compile_fault=$(compile_control "$1" 2>&1)
    if [ -z "$compile_fault" ] && [ "$took" -lt $((compile_seconds / 3)) ]; then
        ! compile_once "$run" "$1" || return 0
    fi
    [ "$(processes_killed)" = "$killed" ] ||
        compile_fault="this machine ran out of memory while the compiler was running, and the kernel killed processes"
    [ -z "$compile_fault" ] || return 3
    return 1
}
