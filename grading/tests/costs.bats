# Counts again what grading/bench/costs.md says, and tests that count-costs sees a difference. 100 clients only in the
# labs in which one thread serves several: the others need as many processes, or do the same per echo as with one.
# shellcheck shell=bats

load invalid-arguments

setup_file() {
    COUNT=$BATS_TEST_DIRNAME/../bench/count-costs
    TABLE=$BATS_TEST_DIRNAME/../bench/costs.md
    export COUNT TABLE
    "$COUNT" --clients 1 >"$BATS_FILE_TMPDIR/one"
    "$COUNT" --clients 100 lab04 lab05 lab06 lab07 lab08 >"$BATS_FILE_TMPDIR/hundred"
}

setup() {
    cd "$BATS_TEST_TMPDIR"
    export TMPDIR=$BATS_TEST_TMPDIR
    cp "$BATS_FILE_TMPDIR/one" "$BATS_FILE_TMPDIR/hundred" .
}

has() {
    [[ "$output" == *"$1"* ]] || { printf 'no "%s" in:\n%s\n' "$1" "$output" && false; }
}

# differs COUNTED TABLE LINE - comparing them prints exactly this line
differs() {
    run "$COUNT" --compare "$1" "$2"
    [ "$status" -eq 1 ]
    [ "$output" = "$3" ] || { printf 'not "%s", but:\n%s\n' "$3" "$output" && false; }
}

@test "the table is true: one client" {
    "$COUNT" --compare one "$TABLE"
}

@test "the table is true: 100 clients" {
    "$COUNT" --compare hundred "$TABLE"
}

@test "a table with a wrong figure, or without one, is not" {
    "$COUNT" --compare "$TABLE" "$TABLE"
    sed '/^| lab05-epoll /s/ 2\.01 / 2.12 /' "$TABLE" >wrong
    differs "$TABLE" wrong 'lab05-epoll: calls, 100 clients: 2.01, but the table says 2.12'
    sed '/^| lab07-callbacks /s/ 317 / 285 /' "$TABLE" >wrong
    differs "$TABLE" wrong 'lab07-callbacks: instructions, 100 clients: 317, but the table says 285'
    sed '/^| lab07-callbacks /s/ 317 / 300 /' "$TABLE" >nearly
    "$COUNT" --compare "$TABLE" nearly
    sed '/^| lab01-blocking /s/ - / 2.00 /' "$TABLE" >wrong
    differs "$TABLE" wrong 'lab01-blocking: calls, 100 clients: -, but the table says 2.00'
    grep -v '^| bare ' "$TABLE" >wrong
    run "$COUNT" --compare "$TABLE" wrong
    [ "$status" -eq 1 ]
    has 'bare: calls, 1 client: 3.00, but the table says nothing'
    run "$COUNT" --compare /dev/null "$TABLE"
    [ "$status" -eq 1 ]
    has 'nothing was counted'
}

@test "labs 6 and 8 say the same as the table" {
    for lab in lab06-reactor lab07-callbacks lab08-coroutines; do
        figure=$(awk -v lab="$lab" '$2 == lab { print $(NF - 1) }' "$TABLE")
        for page in "$BATS_TEST_DIRNAME"/../../lab0[68]-*/README.md; do
            [[ "$lab" != lab07-* && "$page" != *"$lab"* ]] || grep -qw "$figure" "$page"
        done
        for page in "$BATS_TEST_DIRNAME"/../../lab0[68]-*/README.ko.md; do
            [[ "$lab" != lab07-* && "$page" != *"$lab"* ]] || grep -q "${figure}개" "$page"
        done
    done
}

@test "with a different compiler only calls are compared" {
    sed 's/gcc [0-9]/gcc 9/; /^| lab05-epoll /s/ 83 / 8300 /' "$TABLE" >other
    run "$COUNT" --compare "$TABLE" other
    [ "$status" -eq 0 ]
    has 'only calls are compared: counted with gcc 1'
    sed -i '/^| lab05-epoll /s/ 2\.01 / 3.01 /' other
    run "$COUNT" --compare "$TABLE" other
    [ "$status" -eq 1 ]
    has 'lab05-epoll: calls, 100 clients: 2.01, but the table says 3.01'
}

@test "a server that makes one call too many for each event" {
    patch -s --fuzz=0 -o slow.c "$BATS_TEST_DIRNAME/../../lab05-epoll/solution.c" \
        <"$BATS_TEST_DIRNAME/../mutants/lab05-epoll/epoll-ctl-for-all-clients.patch"
    "$COUNT" --clients 1 lab05-epoll=slow.c >counted
    run "$COUNT" --compare counted "$TABLE"
    [ "$status" -eq 1 ]
    has 'lab05-epoll: calls, 1 client: 4.00, but the table says 3.00'
    has 'lab05-epoll: instructions, 1 client: '
}

@test "--write replaces the table, and nothing else" {
    sed 's/^| lab05-epoll .*/| lab05-epoll | 9 | 9 | 9 | 9 |/' "$TABLE" >page.md
    "$COUNT" --clients 1 --write page.md lab05
    "$COUNT" --compare page.md "$TABLE"
    diff "$TABLE" page.md | grep '^[<>]' | grep -vE '^[<>] (\||Counted on )' && false
    [ "$(grep -c '^|' page.md)" -eq 3 ]
}

@test "a server that does not compile, ends or echoes wrongly: its name, exit status 1" {
    solution=$BATS_TEST_DIRNAME/../../lab05-epoll/solution.c
    echo 'int main(void) { return x; }' >a.c
    echo 'int main(void) { return 0; }' >b.c
    sed 's/client->end += (size_t)n;/client->end += (size_t)n, client->buffer[5]++;/' "$solution" >c.c
    for words in 'a does not compile' 'b: it does not print its address' 'c: it sent back b'; do
        run "$COUNT" --clients 1 "${words%%[ :]*}=${words%%[ :]*}.c"
        [ "$status" -eq 1 ]
        has "$words"
    done
    [ -z "$(ls -d "$TMPDIR"/tmp* 2>/dev/null)" ]
}

@test "invalid arguments: a message and exit status 2" {
    refuses "$COUNT" "--help" <<'END'
--fast|unknown option --fast
lab99|'lab99' is not a server or a lab
bare bare|two servers are named bare
x=nothing.c|cannot read nothing.c
--clients 0|--clients requires a number from 1
--clients|--clients requires a number from 1
--write /etc/passwd|--write requires a file with a table
--compare one|--compare requires two files
END
}
