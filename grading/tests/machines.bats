# Machines that are not ours: other programs under a known name, paths with spaces, a build directory of a
# different machine, low limits.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    export SOLUTION=$ROOT/lab01-blocking/solution.c
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# has WORDS - the output of `run` has them
has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# command_named NAME - the rest of the input becomes a program of that name, the first in PATH
command_named() {
    mkdir -p bin
    cat >"bin/$1"
    chmod +x "bin/$1"
}

# copy_course DIR - with one lab, solved, and what has been built
copy_course() {
    mkdir -p "$1/grading"
    (cd "$ROOT" && tar -c --exclude='grading/.build/run.*' grading/{.build,backend,grade,harness,lab.mk,lib,starters} lab01-blocking) | tar -xC "$1"
    cp "$SOLUTION" "$1/lab01-blocking/server.c"
}

@test "nc is a different netcat, and the right one has a different name: it is used" {
    command_named nc <<'END'
#!/bin/sh
echo "nc: invalid option -- N" >&2
exit 1
END
    PATH=$PWD/bin:$PATH run "$GRADING/grade" --reference --check echo_line 1
    [ "$status" -eq 0 ]
    has " 1 passed"
}

@test "no nc that works: the name of the package, exit status 3" {
    printf '#!/bin/sh\nexit 1\n' | tee >(command_named nc) | command_named nc.openbsd
    command_named apt-get </dev/null
    PATH=$PWD/bin:$PATH run "$GRADING/grade" --reference --check echo_line 1
    [ "$status" -eq 3 ]
    has "netcat-openbsd"
}

@test "parallel is that of moreutils: GNU parallel is found, or installed" {
    command_named parallel <<'END'
#!/bin/sh
echo "parallel: invalid option -- '-'" >&2
exit 1
END
    mkdir -p class/ada
    echo 'int main(void) { return 0; }' >class/ada/server.c
    PATH=$PWD/bin:$PATH run "$GRADING/grade" --class class --results results --labs 1 --no-sandbox
    [ "$status" -eq 0 ]
    grep -q '^"ada",0,0,' results/grades.csv
}

@test "a bubblewrap that has neither --disable-userns nor --size" {
    # shellcheck source=grading/class/sandbox.bash
    [ -z "$(. "$GRADING/class/sandbox.bash" && sandbox_problem)" ] || skip "this machine allows no sandbox"
    command_named bwrap <<END
#!/bin/bash
for word; do
    case \$word in --disable-userns | --size) echo "bwrap: Unknown option \$word" >&2 && exit 1 ;; esac
done
exec $(type -P bwrap) "\$@"
END
    mkdir -p class/ada
    cp "$SOLUTION" class/ada/server.c
    chmod 755 "$BATS_RUN_TMPDIR" .. .
    PATH=$PWD/bin:$PATH run "$GRADING/grade" --class class --results results --labs 1
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    grep -q '^"ada",100,100,' results/grades.csv
}

@test "CDPATH is exported" {
    mkdir -p elsewhere/grading
    cd "$ROOT"
    CDPATH=$BATS_TEST_TMPDIR/elsewhere:. run grading/grade --reference --check usage 1
    [ "$status" -eq 0 ]
    has " 1 passed"
    CDPATH=$BATS_TEST_TMPDIR/elsewhere:. run grading/handout "$BATS_TEST_TMPDIR/handout"
    [ "$status" -eq 0 ]
    [ -e "$BATS_TEST_TMPDIR/handout/lab01-blocking/server.c" ]
}

@test "HOME is not set" {
    run env -u HOME "$GRADING/grade" --reference --check usage 1
    [ "$status" -eq 0 ]
    mkdir -p class/ada
    echo 'int main(void) { return 0; }' >class/ada/server.c
    run env -u HOME "$GRADING/grade" --class class --results results --labs 1 --no-sandbox
    [ "$status" -eq 0 ]
    grep -q '^"ada",0,0,' results/grades.csv
}

@test "a ~/.valgrindrc costs no points" {
    mkdir home
    echo "-q --track-fds=no" >home/.valgrindrc
    HOME=$PWD/home run "$GRADING/grade" --reference --check memory 1
    [ "$status" -eq 0 ]
    has " 1 passed"
    HOME=$PWD/home run "$GRADING/grade" --reference --check no_data_race 3
    [ "$status" -eq 0 ]
    has " 1 passed"
}

@test "a course in a directory whose name has spaces and special characters" {
    course="OneDrive - O'Neill & Söhne: 100% \$HOME \"x\" #1"
    copy_course "$course"
    cd "$course/lab01-blocking"
    run env -u GRADE_BUILD make test CHECK=echo_line
    [ "$status" -eq 0 ]
    has " 1 passed"
    # with FAULTS, and so with the preloaded library
    run env -u GRADE_BUILD make test CHECK=interrupted_calls
    [ "$status" -eq 0 ]
    run make hint CHECK=stop
    [ "$status" -eq 0 ]
    has "CHECK=stop LEVEL=2"
    FAULTS=short_send=3 env -u GRADE_BUILD make run PORT=9471 >out 2>&1 3>&- &
    pid=$!
    until (exec 3<>/dev/tcp/127.0.0.1/9471) 2>/dev/null; do kill -0 $pid; done
    kill "$(make -s pid PORT=9471)"
    wait $pid
    run cat out
    has "listening"
}

@test "--class and --results with spaces and special characters, and TMPDIR too" {
    base="My Univ: Ü & \"x\" 'y' 100% \$HOME"
    mkdir -p "$base/class/ada" "$base/tmp"
    cp "$SOLUTION" "$base/class/ada/server.c"
    options=()
    # shellcheck source=grading/class/sandbox.bash
    [ -z "$(. "$GRADING/class/sandbox.bash" && sandbox_problem)" ] || options=(--no-sandbox)
    chmod 755 "$BATS_RUN_TMPDIR" .. . "$base" "$base/tmp"
    TMPDIR="$PWD/$base/tmp" run "$GRADING/grade" --class "$base/class" --results "$base/results" --labs 1 "${options[@]}"
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    grep -q '^"ada",100,100,' "$base/results/grades.csv"
}

@test "a build directory from a different machine is built again" {
    copy_course course
    cd course/lab01-blocking
    for program in ../grading/.build/*-test; do
        printf '\xb7\x00' | dd of="$program" bs=1 seek=18 conv=notrunc status=none # another architecture
    done
    run env -u GRADE_BUILD make test CHECK=usage
    [ "$status" -eq 0 ]
    has " 1 passed"
}

@test "a build directory of a different compiler is built again" {
    copy_course course
    echo "an older one" >course/grading/.build/built-with
    touch course/grading/.build/old
    mkdir course/grading/.build/run.{99999999,notes}
    cd course/lab01-blocking
    run env -u GRADE_BUILD make test CHECK=usage
    [ "$status" -eq 0 ]
    [ ! -e ../grading/.build/old ]
    [ ! -e ../grading/.build/run.99999999 ] # of a grader that was killed
    [ -d ../grading/.build/run.notes ]
}

@test "GRADE_BUILD is a directory with other files: a message, exit status 3, and nothing is deleted" {
    mkdir -p mine/run.notes mine/run.99999999
    echo text >mine/thesis.tex
    for directory in mine mine/run.notes; do
        [ "$directory" = mine ] || echo text >$directory/text
        before=$(find mine | sort)
        GRADE_BUILD=$PWD/$directory run "$GRADING/grade" --reference --check usage 1
        [ "$status" -eq 3 ]
        has "The directory $PWD/$directory is no build directory, and "
        has "set GRADE_BUILD to an empty one"
        run bash "$GRADING/lib/build-harness" "$directory"
        [ "$status" -eq 1 ]
        has "is no build directory"
        [ "$(find mine | sort)" = "$before" ]
    done
}

@test "a build directory of a different user: a message, exit status 3" {
    local user=()
    # Root may write to what is read-only.
    [ "$(id -u)" -ne 0 ] || user=(setpriv --inh-caps=-all --bounding-set=-all)
    mkdir build
    chmod 555 build
    GRADE_BUILD=$PWD/build run "${user[@]}" "$GRADING/grade" --reference --check usage 1
    [ "$status" -eq 3 ]
    has "cannot write to $PWD/build (was it made by sudo?)"
}

@test "a build directory on a file system without executables: the fault says so" {
    [ "$(id -u)" = 0 ] && unshare -m true || skip "not tested: only root can mount a file system"
    mkdir build
    cat >grade-without-executables <<END
mount -t tmpfs -o noexec tmpfs build && GRADE_IS_BUILT=yes GRADE_BUILD=$PWD/build "$GRADING/grade" --reference 1
END
    run unshare -m bash grade-without-executables
    [ "$status" -eq 3 ]
    [[ $(tr -s ' \n' ' ' <<<"$output") == *"mounted with noexec?"* ]] || { echo "$output" && false; }
}

@test "a half-written build directory of the course may be used" {
    mkdir -p course/grading/{.build,harness,lib}
    cp "$GRADING/lib/build-harness" course/grading/lib
    touch course/grading/.build/old
    bash course/grading/lib/build-harness --may-use course/grading/.build
}

@test "no executable bits, as after a zip" {
    copy_course course
    chmod -R a-x,a+X course/grading/{grade,backend,lib}
    find course -name '*.bash' -o -name grade -o -name backend -o -name build-harness | xargs chmod a-x
    cd course/lab01-blocking
    run env -u GRADE_BUILD make test CHECK=usage
    [ "$status" -eq 0 ]
    has " 1 passed"
}

@test "a checkout with core.autocrlf=true" {
    git -C "$ROOT" rev-parse 2>/dev/null || skip "this is no git checkout"
    git clone -q -c core.autocrlf=true "$ROOT" clone
    ! grep -lrI $'\r$' clone --exclude-dir=.git | grep -m 3 . || return 1
}

@test "make test: exit status 0 with full marks; otherwise not" {
    copy_course course
    cd course/lab01-blocking
    env -u GRADE_BUILD make test CHECK=usage
    cp ../grading/starters/lab01-blocking.c server.c
    run env -u GRADE_BUILD make test CHECK=echo_line
    [ "$status" -ne 0 ]
    has "Error 1"
    echo 'int main(void) { return x; }' >server.c
    run env -u GRADE_BUILD make test
    [ "$status" -ne 0 ]
    has "Error 1"
    printf '#!/bin/sh\nexit 1\n' | command_named jq
    PATH=$PWD/bin:$PATH run env -u GRADE_BUILD make test CHECK=usage
    has "Error 3"
}

@test "make test in a copy of a lab's directory grades the copy" {
    copy_course course
    cp -r course/lab01-blocking course/lab01-again
    echo "#error the copy" >course/lab01-again/server.c
    cd course/lab01-again
    run env -u GRADE_BUILD GRADE_IS_BUILT=yes make test
    [ "$status" -ne 0 ]
    has "#error the copy"
    [ ! -e .progress ] && [ ! -e ../lab01-blocking/.progress ]
    echo "#error the original" >../lab01-blocking/server.c
    cd ../lab01-blocking
    run env -u GRADE_BUILD GRADE_IS_BUILT=yes make test
    [ "$status" -ne 0 ]
    has "#error the original"
    has "best score"
}

@test "make test CC=clang: that compiler builds the server" {
    command -v clang >/dev/null || skip "clang is not installed"
    copy_course course
    cd course/lab01-blocking
    printf '#ifndef __clang__\n#error not clang\n#endif\n' | cat - "$SOLUTION" >server.c
    run env -u GRADE_BUILD make test CC=clang CHECK=usage
    [ "$status" -eq 0 ]
    has " 1 passed"
}

@test "make run on a taken port says how to choose a different one; make -n runs nothing" {
    copy_course course
    cd course/lab01-blocking
    make -s clean # other tests may have built a server in the course
    run make -n run FAULTS=eintr=2
    [ "$status" -eq 0 ]
    [ ! -e server ]
    make
    ./server 9472 >/dev/null 3>&- &
    pid=$!
    until (exec 3<>/dev/tcp/127.0.0.1/9472) 2>/dev/null; do kill -0 $pid; done
    run make run PORT=9472
    kill $pid
    [ "$status" -ne 0 ]
    has "make run PORT=9572"
}

@test "backends listen on an IPv4 socket: socat 1.8.0.0 otherwise tries IPv6 first, and fails" {
    printf '#!/bin/sh\necho "$1"\n' | command_named socat
    PATH=$PWD/bin:$PATH run "$GRADING/backend" user 9477
    has "TCP4-LISTEN:9477,bind=127.0.0.1"
}

@test "backends on taken ports: a message and a status" {
    socat TCP4-LISTEN:9474,bind=127.0.0.1,reuseaddr,fork /dev/null 3>&- &
    pid=$!
    until (exec 3<>/dev/tcp/127.0.0.1/9474) 2>/dev/null; do kill -0 $pid; done
    cd "$ROOT/lab06-reactor"
    run timeout 60 make backends BACKENDS="9473 9474 9475"
    kill $pid
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    has "port 9474 is in use"
}

@test "three backends that are started at once on a fresh machine install their package once" {
    mkdir bin
    ln -s /usr/bin/* /usr/sbin/* bin/ 2>/dev/null || true
    rm -f bin/{socat,apt-get,sudo}
    printf '#!/bin/sh\nexec "$@"\n' | command_named sudo
    command_named apt-get <<END
#!/bin/bash
mkdir "$PWD/lock" || { echo "E: Could not get lock /var/lib/dpkg/lock-frontend" >&2 && exit 100; }
echo "\$*" >>"$PWD/log"
[[ " \$* " != *" install "* ]] || ln -s "$(type -P socat)" "$PWD/bin/socat" || exit
for i in {1..20}; do /bin/true; done # others have time to find the lock
rmdir "$PWD/lock"
END
    pids=()
    for i in 1 2 3; do
        PATH=$PWD/bin CI=1 timeout 60 bash "$GRADING/backend" user $((9480 + i)) >out.$i 2>&1 3>&- &
        pids+=($!)
    done
    for i in 1 2 3; do
        until (exec 3<>/dev/tcp/127.0.0.1/$((9480 + i))) 2>/dev/null; do
            kill -0 "${pids[i - 1]}" || { cat out.$i && break; }
        done
    done
    kill "${pids[@]}"
    [ "$(grep -c install log)" -eq 1 ]
    cat out.*
    [ "$(cat out.* | grep -c 'backend listens')" -eq 3 ]
}

@test "apt-get update fails: the packages are installed all the same, or else both reasons are printed" {
    mkdir bin tmp
    ln -s /usr/bin/* /usr/sbin/* bin/ 2>/dev/null || true
    rm -f bin/{socat,apt-get,sudo}
    printf '#!/bin/sh\nexec "$@"\n' | command_named sudo
    command_named apt-get <<END
#!/bin/bash
[[ " \$* " == *" install "* ]] || { echo "E: The repository 'x' does not have a Release file." >&2 && exit 100; }
[ -e "$PWD/found" ] || { echo "E: Unable to locate package \${!#}" >&2 && exit 100; }
ln -s "$(type -P true)" "$PWD/bin/socat"
END
    # shellcheck disable=SC2016 # expanded by that bash
    install=(bash -c '. "$0/lib/install-packages.bash"; need socat:socat; echo "it is there"' "$GRADING")
    PATH=$PWD/bin CI=1 TMPDIR=$PWD/tmp run "${install[@]}"
    [ "$status" -eq 3 ]
    has "does not have a Release file"
    has "Unable to locate package socat"
    has "could not be installed: socat"
    touch found
    PATH=$PWD/bin CI=1 TMPDIR=$PWD/tmp run "${install[@]}"
    [ "$status" -eq 0 ]
    has "it is there"
    [ -z "$(ls tmp)" ]
}

@test "gdb that prints warnings has Python all the same" {
    printf '#!/bin/sh\necho "warning: no debuginfod" >&2\necho yes\n' | command_named gdb
    # shellcheck disable=SC2016 # expanded by that bash
    PATH=$PWD/bin:$PATH bash -c '. "$0/lib/install-packages.bash"; has "gdb with Python"' "$GRADING"
}

@test "a course on NFS, whose files cannot be locked by those who only read them: packages are installed" {
    command_named flock <<'END'
#!/bin/sh
[ ! -f /proc/$PPID/fd/$1 ] || { echo "flock: $1: Bad file descriptor" >&2 && exit 65; }
END
    printf '#!/bin/sh\nln -sf "%s" "%s/bin/socat-of-this-test"\n' "$(type -P true)" "$PWD" | command_named apt-get
    printf '#!/bin/sh\nexec "$@"\n' | command_named sudo
    # shellcheck disable=SC2016 # expanded by that bash
    PATH=$PWD/bin:$PATH CI=1 bash -ec '. "$0/lib/install-packages.bash"; need socat:socat-of-this-test' "$GRADING"
}

@test "make -n of every target runs nothing" {
    copy_course course
    cd course/lab01-blocking
    rm server.c
    tree() { find .. -printf '%p %s %T@\n' | sort; }
    before=$(tree)
    for target in server run pid backends test hint diff watch reset clean help; do
        run make -n $target FAULTS=eintr=2 CHECK=usage PORT=9476
        [ "$status" -eq 0 ]
    done
    [ "$(tree)" = "$before" ]
}

@test "the machine is too busy for a mutant or a variant: no result, and noted for later" {
    mkdir -p course/grading/tests course/lab01-blocking course/grading/{mutants,variants}/lab01-blocking
    cp "$GRADING"/tests/grade-{mutant,variant,later.bash} course/grading/tests
    printf '#!/bin/sh\necho "The machine was too busy, so there is no score."\nexit 3\n' >course/grading/grade
    chmod +x course/grading/grade
    echo 'int main(void) { return 0; }' >course/lab01-blocking/solution.c
    cd course
    printf '%s\n' 'Caught by: usage' 'Message: x' '' '--- a' '+++ b' '@@ -1 +1 @@' \
        '-int main(void) { return 0; }' '+int main(void) { return 1; }' | tee grading/{mutants,variants}/lab01-blocking/x.patch
    for kind in mutant variant; do
        GRADE_LATER=$PWD/later run grading/tests/grade-$kind grading/${kind}s/lab01-blocking/x.patch
        [ "$status" -eq 0 ] && [ -z "$output" ]
        GRADE_LATER='' run grading/tests/grade-$kind grading/${kind}s/lab01-blocking/x.patch
        has "not ok - ${kind}s: lab01-blocking/x: grade failed"
    done
    diff later <(printf 'grading/tests/grade-%s\tgrading/%ss/lab01-blocking/x.patch\n' mutant mutant variant variant)
}
