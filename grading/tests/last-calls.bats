# Tests the recording of a server's calls, and the evidence made of it.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export BUILD=${GRADE_BUILD:-$GRADING/.build}
    BUILD=$(cd "$BUILD" && pwd)
    export SOLUTION=$GRADING/../lab01-blocking/solution.c
}

setup() {
    cd "$BATS_TEST_TMPDIR"
}

# build NAME [OPTION...] - builds the program that tests the recording
build() {
    gcc -std=gnu17 -D_GNU_SOURCE -pthread -I"$GRADING/harness" -o "$1" "${@:2}" \
        "$GRADING/tests/recorded-calls.c" "$GRADING"/harness/drive/{call_log,shared_memory}.c
}

# waits_for_all - writes a server that waits for a full buffer
waits_for_all() {
    sed 's/recv(client, buffer, sizeof buffer, 0)/recv(client, buffer, sizeof buffer, MSG_WAITALL)/' \
        "$SOLUTION" >server.c
}

# evidence_of SERVER - prints the evidence of the failed checks
evidence_of() {
    "$BUILD/lab01-blocking-test" --lab lab01 --server "$1" --faults "$BUILD/faults.so" \
        --json one.json --check echo_line
    jq -r '.checks[].evidence[]?' one.json
}

@test "calls are recorded as they happen, by threads and children, and of a server that was killed" {
    build plain
    run ./plain "$BUILD/call_recorder.so"
    [ "$status" -eq 0 ]
}

@test "the same with the functions that _FORTIFY_SOURCE uses" {
    build fortified -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
    run ./fortified "$BUILD/call_recorder.so"
    [ "$status" -eq 0 ]
}

@test "a server under the recorder has the same descriptors" {
    sed 's/^    print_address(listener);/    if (listener != 3 || fcntl(4, F_GETFD) != -1)\n        return 1;\n&/;
        1i #include <fcntl.h>' "$SOLUTION" >server.c
    run "$GRADING/grade" --file server.c --check echo_line --json r.json lab01
    jq -e '.[0].checks[] | select(.name == "echo_line") | .status == "passed"' r.json
}

@test "a program that the server runs is not confused by the recorder's variable" {
    sed 's/^    print_address(listener);/    if (system("exec 3<\/dev\/null; echo >\&2; read -r x <\&3; [ -e \/proc\/$$\/fd\/3 ]") != 0)\n        return 1;\n&/' \
        "$SOLUTION" >server.c
    run "$GRADING/grade" --file server.c --check echo_line --json r.json lab01
    jq -e '.[0].checks[] | select(.name == "echo_line") | .status == "passed"' r.json
}

@test "the evidence has the last calls; of a server that is linked statically, it lacks them" {
    waits_for_all
    gcc -std=gnu17 -O2 -o dynamic server.c
    run evidence_of ./dynamic
    [[ $output == *"last calls for client A: recv(16384, MSG_WAITALL): still waiting"* ]]
    gcc -std=gnu17 -O2 -static -o static server.c
    run evidence_of ./static
    [[ $output == *"in recv(client A)"* ]]
    [[ $output != *"last calls"* ]]
}

@test "a server that overwrites what was recorded harms only its own evidence" {
    waits_for_all
    cat >>server.c <<'C'
#include <string.h>
#include <sys/mman.h>
__attribute__((constructor)) static void overwrite(void)
{
    char line[300];
    char *start, *end;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "/memfd:calls") != NULL && sscanf(line, "%p-%p", (void **)&start, (void **)&end) == 2)
            memset(start, 0xa5, (size_t)(end - start));
    fclose(maps);
}
C
    gcc -std=gnu17 -O2 -o server server.c
    run evidence_of ./server
    [ "$status" -eq 0 ]
    [[ $output == *"in recv(client A)"* ]]
}
