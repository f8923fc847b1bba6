# Sourced by commands with a documented exit status. Any other status is that of a command in them which failed,
# because the disk is full, for example: 3. That includes a 2 that is not meant, since jq exits with 2 as well.
# shellcheck shell=bash

meant=''
# only_meant STATUS - exits with this status, or with 3
# shellcheck disable=SC2317 # called by traps
only_meant() {
    case $1 in
    0 | 3 | 130 | 143 | "$meant") exit "$1" ;;
    *) exit 3 ;;
    esac
}
# at_exit - removes what must not be left behind: for those who source this to define
at_exit() { :; }
exit_status=''
trap 'exit_status=$?; at_exit || true; only_meant "$exit_status"' EXIT

# exit_with STATUS - exits with a status that is meant
exit_with() {
    meant=$1
    exit "$1"
}
