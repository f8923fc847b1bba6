# Sourced by the commands that take a LAB argument: which labs there are, and how they may be named.
# shellcheck shell=bash

# The full names of the labs in this checkout, in order.
all_labs=()
for folder in "${BASH_SOURCE[0]%/*}"/../../lab[0-9]*/; do
    folder=${folder%/}
    [ ! -e "$folder/test.c" ] || all_labs+=("${folder##*/}")
done
unset folder

# lab_name LAB - prints the full name of a lab given as lab01-blocking, lab01 or 1; fails if there is none
lab_name() {
    local lab name=$1
    [[ ! $1 =~ ^[0-9]{1,4}$ ]] || name=$(printf 'lab%02d' "$((10#$1))")
    for lab in "${all_labs[@]}"; do
        case $name in
        "$lab" | "${lab%%-*}") echo "$lab" && return ;;
        esac
    done
    return 1
}
