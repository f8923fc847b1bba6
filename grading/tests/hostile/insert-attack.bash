# Sourced by class-hostile.bats and class-of-100: makes hostile submissions.
# shellcheck shell=bash

# insert_attack ATTACK [HOST_PORT] - prints lab 1's solution with the attack inserted just before the server
# listens. An attack that succeeds prints what it achieved, and the server exits.
insert_attack() {
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
