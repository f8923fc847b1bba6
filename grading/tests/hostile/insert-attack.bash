# Sourced by class.bats and class-of-100: makes submissions of wrong, hostile and right servers.
# shellcheck shell=bash

# with_attack ATTACK [HOST_PORT] - the solution of lab 1, with that attack just before it says that it
# listens. When the attack gets somewhere, it prints what, and the server is of no use any more.
with_attack() {
    local solution=$GRADING/../lab01-blocking/solution.c
    echo '#define _GNU_SOURCE'
    echo "#define HOST_PORT ${2:-1}"
    sed '/^int main/,$d' "$solution"
    cat <<'END'
static inline void succeeded(const char *what)
{
    printf("ATTACK SUCCEEDED: %s\n", what);
    exit(0);
}
END
    cat "$1"
    sed -n '/^int main/,$p' "$solution" | sed 's/^    listener = listen_on(port);/&\n    attack();/'
}
