# Sourced by grade-mutant, grade-variant and run-under-sanitizers: what if the grader gives no score?
# shellcheck shell=bash
# shellcheck disable=SC2154 # work is a variable of theirs, and not_ok a function

invocation=("$0" "$@")
# not_graded PROBLEM - The grader asks to grade again when the machine is less busy. The self-test does, once, when nothing else is
# running: it reads what to run from the file GRADE_LATER. Otherwise, no score is a failure.
not_graded() {
    if [ -n "${GRADE_LATER:-}" ] && grep -q '^The machine was too busy' "$work/screen"; then
        (IFS=$'\t' && echo "${invocation[*]}") >>"$GRADE_LATER"
        exit 0
    fi
    not_ok "$1"
}
