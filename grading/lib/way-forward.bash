# Sourced by grade: prints, below the result of one lab, the best score in each lab and the next step.
# LAB/.progress contains the best score so far. Nothing depends on it: if it cannot be read, that lab has no score
# yet, and if it cannot be written, there is no table.
# shellcheck shell=bash
# shellcheck disable=SC2154 # root, grading, all_labs, keep and colour are variables of grade

# best_score LAB - prints the best score so far; fails if there is none
best_score() {
    local score=''
    [ -f "$root/$1/.progress" ] || return 1
    # Only the first bytes: it may be any file.
    { read -r -n 4 score <"$root/$1/.progress"; } 2>/dev/null || true
    [[ $score =~ ^(100|[1-9]?[0-9])$ ]] && echo "$score"
}

# keep_score LAB SCORE - fails if the best score is neither this one nor better afterwards
keep_score() {
    local best
    ! best=$(best_score "$1") || [ "$best" -lt "$2" ] || return 0
    # rename(2) is atomic. grade removes the file in `new` when it is killed.
    new=$(mktemp "$root/$1/.progress.XXXXXX" 2>/dev/null) || return 1
    if { echo "$2" >"$new" && chmod 644 "$new" && mv -fT "$new" "$root/$1/.progress"; } 2>/dev/null; then
        new=''
        return 0
    fi
    rm -f "$new"
    new=''
    return 1
}

# number_of LAB
number_of() {
    [[ $1 =~ ^lab0*([0-9]+) ]] && echo "${BASH_REMATCH[1]}"
}

# print_scores LAB - the best score in each lab; LAB is the current one
print_scores() {
    local lab number score bold='' normal='' numbers='lab       ' scores='best score'
    [ "$colour" = false ] || { bold=$'\e[1m' normal=$'\e[0m'; }
    for lab in "${all_labs[@]}"; do
        number=$(number_of "$lab")
        score=$(best_score "$lab") || score=-
        if [ "$lab" = "$1" ]; then
            number=$bold$(printf '%6s' ">$number")$normal
            score=$bold$(printf '%6s' "$score")$normal
        fi
        numbers+=$(printf '%6s' "$number")
        scores+=$(printf '%6s' "$score")
    done
    printf '\n%s\n%s\n' "$numbers" "$scores"
}

# place LAB [FILE] - prints its name in a command for the current directory
place() {
    printf '%q' "$(realpath --relative-to=. "$root/$1${2:+/$2}")"
}

# next_lab LAB - prints the lab to do after this one; fails if there is none. If scores are kept, those with full
# marks are left out, and after the last lab comes the first of the others.
next_lab() {
    local lab after=no earlier=''
    for lab in "${all_labs[@]}"; do
        if [ "$lab" = "$1" ]; then
            after=yes
        elif [ -n "$keep" ] && [ "$(best_score "$lab")" = 100 ]; then
            continue
        elif [ "$after" = yes ]; then
            echo "$lab" && return
        else
            earlier=${earlier:-$lab}
        fi
    done
    [ -n "$keep" ] && [ -n "$earlier" ] && echo "$earlier"
}

# print_finished LAB - what to do when it has full marks
print_finished() {
    local lab next before='' base steps=() i
    echo
    [ ! -e "$root/$1/solution.c" ] ||
        steps+=("compare it with the reference: diff -u $(place "$1" server.c) $(place "$1" solution.c)")
    if next=$(next_lab "$1"); then
        if ! cmp -s "$root/$next/server.c" "$grading/starters/$next.c"; then
            steps+=("go on with lab $(number_of "$next"): cd $(place "$next")")
        else
            for lab in "${all_labs[@]}"; do
                [ "$lab" != "$next" ] || break
                before=$lab
            done
            # With its starter, not its solution, which would be the answer.
            if [ -n "$before" ]; then
                base=solution.c
                [ -e "$root/$before/$base" ] || base=server.c
                steps+=("see what lab $(number_of "$next") begins with: diff -u $(place "$before" "$base") $(place "$next" server.c)")
            fi
            steps+=("cd $(place "$next"), and read README.md")
        fi
        echo "Lab $(number_of "$1") is finished. Next:"
    elif [[ ${all_labs[-1]} == lab08* ]]; then
        steps+=('do the exercises of "Going further", near the end of each README.md')
        echo "Lab $(number_of "$1") is finished, and with it the course. Next:"
    else
        echo "Lab $(number_of "$1") is finished. The next lab has not been handed out yet.${steps[*]:+ Until then:}"
    fi
    for i in "${!steps[@]}"; do
        echo "  $((i + 1)). ${steps[i]}"
    done
}

# print_way_forward LAB RESULTS - RESULTS is the file that grade has printed. Scores are kept if $keep is not empty.
print_way_forward() {
    local score failed
    score=$(jq -r '.[0] | select(.max == 100) | .score // empty' "$2")
    [ -n "$score" ] || return 0
    if [ -n "$keep" ] && keep_score "$1" "$score"; then
        print_scores "$1"
    fi
    if [ "$score" -eq 100 ]; then
        print_finished "$1"
    elif [ -n "$keep" ]; then
        mapfile -t failed < <(jq -r '.[0].checks[] | select(.status == "failed").name' "$2")
        if cmp -s "$root/$1/server.c" "$grading/starters/$1.c"; then
            printf '\n%s\n' "server.c is still the starter. Next: read README.md, then replace the TODOs."
        elif [ ${#failed[@]} -gt 1 ]; then
            printf '\n%s\n' "${#failed[@]} checks failed. Next, the first of them alone: make test CHECK=${failed[0]}"
        fi
    fi
}
