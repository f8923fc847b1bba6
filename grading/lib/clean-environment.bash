# Sourced by the commands that start untrusted code: what may stay in its environment. A token of a CI system, for
# example, must not.
# shellcheck shell=bash

# clean_environment NAME... - sets clean to a command that starts another with only these variables, and those that
# are harmless and needed
clean_environment() {
    local name
    clean=(env -i)
    for name in PATH HOME USER LOGNAME LANG LANGUAGE LC_ALL LC_CTYPE TERM TMPDIR TZ LD_LIBRARY_PATH "$@"; do
        [ -z "${!name+set}" ] || clean+=("$name=${!name}")
    done
}
