# Sourced by all commands here: installs the Debian packages that a command needs.
# shellcheck shell=bash

unset CDPATH # with it, cd prints where it goes

# need PACKAGE:TEST... - prints and installs the packages that are missing. A TEST is the name of a
# command, or the path of a file, that the package provides. Asks first, except in CI and as root.
# Exits with status 3 if anything is still missing afterwards.
need() {
    local missing=() item lock
    all_there "$@" && return
    # Commands that are started at the same time need not install the same package twice. The directory, since a file
    # on NFS can be locked only by those who may write to it.
    exec {lock}<"$(dirname "${BASH_SOURCE[0]}")"
    flock "$lock"
    for item in "$@"; do
        has "${item#*:}" || missing+=("${item%%:*}")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        install_packages "${missing[@]}"
        hash -r
        for item in "$@"; do
            has "${item#*:}" || give_up "The package ${item%%:*} is installed, but ${item#*:} is still missing"
        done
    fi
    exec {lock}<&-
}

all_there() {
    local item
    for item in "$@"; do
        has "${item#*:}" || return
    done
}

install_packages() {
    local missing=("$@") answer sudo=
    echo "These Debian packages are missing: ${missing[*]}" >&2
    [ "$(id -u)" = 0 ] || sudo=sudo
    local command="$sudo apt-get install -y ${missing[*]}"
    if ! has apt-get; then
        give_up "There is no apt-get here: install the contents of these packages, then try again."
    fi
    if [ -n "$sudo" ] && [ -z "${CI:-}" ]; then
        if [ ! -t 0 ] || [ ! -t 2 ]; then
            give_up "Install them with: ${command# }"
        fi
        read -r -p "Install them now with '${command# }'? [y/N] " answer
        [[ "$answer" == [yY]* ]] || give_up "Nothing was installed."
    fi
    local log
    log=$(mktemp)
    echo "Installing ..." >&2
    # A fresh machine has no package lists, and old lists name versions that no longer exist. An update also fails
    # if any other repository of this machine cannot be reached; the packages may be there all the same.
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update >"$log.update" 2>&1 </dev/null || true
    if ! $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -o DPkg::Lock::Timeout=120 "${missing[@]}" >"$log" 2>&1 \
        </dev/null; then
        tail -qn 5 "$log.update" "$log" >&2
        rm -f "$log" "$log.update"
        give_up "The packages could not be installed: ${missing[*]}"
    fi
    rm -f "$log" "$log.update"
}

# Different programs share the names nc and parallel: what counts is what they can do.
has() {
    case $1 in
    /*) [ -e "$1" ] ;;
    "nc -N") nc_with_N >/dev/null ;;
    "GNU parallel") gnu_parallel >/dev/null ;;
    "gdb with Python") [ "$(gdb -nx --batch -ex 'python print("yes")' 2>/dev/null)" = yes ] ;; # gdb-minimal has none
    *) command -v "$1" >/dev/null ;;
    esac
}

# nc_with_N - prints the name of a netcat that closes its connection at the end of its input (-N)
nc_with_N() {
    local name help
    for name in nc nc.openbsd; do
        help=$("$name" -h 2>&1) || true
        [[ ! $help =~ $'\n'[[:space:]]+-N[[:space:]] ]] || { echo "$name" && return; }
    done
    return 1
}

# gnu_parallel - prints the name of GNU parallel
gnu_parallel() {
    local name
    for name in ${gnu_parallel_found:-parallel /usr/bin/parallel}; do
        [ -n "${gnu_parallel_found:-}" ] || "$name" --version 2>&1 </dev/null | grep -q '^GNU parallel' || continue
        gnu_parallel_found=$name
        echo "$name"
        return
    done
    return 1
}

give_up() {
    echo "$1" >&2
    exit 3
}

# What grade needs.
# shellcheck disable=SC2034 # used by the scripts that source this file
grading_needs=(gcc:gcc libc6-dev:/usr/include/stdio.h make:make pkg-config:pkg-config
    check:/usr/include/check.h libjansson-dev:/usr/include/jansson.h
    libdw-dev:/usr/include/elfutils/libdwfl.h
    valgrind:valgrind "netcat-openbsd:nc -N" jq:jq
    iproute2:ss procps:ps strace:strace)
