# Sourced by grade and selftest: sees to it that the machine has what they need.
# shellcheck shell=bash

# need PACKAGE:TEST... - a TEST is the name of a command, or a file's path. Names the Debian
# packages that are missing and installs them: without asking in CI or as root, else only when a
# person says yes. Exits with 3 when something is still missing then.
need() {
    local missing=() answer item sudo=
    for item in "$@"; do
        has "${item#*:}" || missing+=("${item%%:*}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "This machine lacks the Debian packages: ${missing[*]}" >&2
    [ "$(id -u)" = 0 ] || sudo=sudo
    local command="$sudo apt-get install -y ${missing[*]}"
    if ! has apt-get; then
        give_up "This is no Debian: install what these packages hold, then run this again."
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
    echo "Installing them ..." >&2
    # A fresh machine has no package lists, and stale lists name packages that are gone.
    if ! { DEBIAN_FRONTEND=noninteractive $sudo apt-get update &&
        DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y "${missing[@]}"; } >"$log" 2>&1 \
        </dev/null; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        give_up "The packages could not be installed: ${missing[*]}"
    fi
    rm -f "$log"
    hash -r
    for item in "$@"; do
        has "${item#*:}" || give_up "Still missing after the installation: ${item#*:} (of ${item%%:*})"
    done
}

has() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null ;;
    esac
}

give_up() {
    echo "$1" >&2
    exit 3
}

# What grading takes.
# shellcheck disable=SC2034 # its users source this file
grading_needs=(gcc:gcc libc6-dev:/usr/include/stdio.h make:make pkg-config:pkg-config
    check:/usr/include/check.h libjansson-dev:/usr/include/jansson.h
    valgrind:valgrind netcat-openbsd:nc jq:jq)
