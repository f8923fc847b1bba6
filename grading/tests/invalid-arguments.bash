# For tests of a command's arguments; the test file has a function `has`.
# shellcheck shell=bash disable=SC2154 # run sets status

# refuses COMMAND HELP - each line of the input is ARGUMENTS|WORDS: COMMAND with these arguments prints the words and
# how to get help, and its exit status is 2
refuses() {
    local arguments words list
    while IFS='|' read -r arguments words; do
        read -ra list <<<"$arguments"
        run "$1" "${list[@]}"
        [ "$status" -eq 2 ]
        has "$words"
        has "$2"
    done
}
