# The results of the whole class, [{student, folder, entry, problem, labs: [RESULT...], total}], with one
# RESULT for each of $labs. Input: $submissions, as assemble-class.py lists them, and $result_files, each
# labNN.json by its path. A result counts only if its key is that of this submission and this grader.
include "safe-text";
include "week";

def no_result: {score: null, max: 100, verdict: "error", checks: [], fault: "there is no result: grading was interrupted"};
def best: (map(select(.verdict == "error"))[0]) // max_by(.score);

def result_of($student; $lab): . as $record
    | if .key == null then
        {lab: $lab, score: null, max: 100, verdict: "missing", checks: [],
            problem: ($record.problem // $student.problem // "not handed in")}
      else [versions | . as $version
        | ($result_files[0]["students/\($student.folder)/\(result_file($lab))"] // {}) as $result
        | (if $result.key == .key then $result | del(.key) else no_result end)
        + {lab: $lab} + ($version | {name, attempt, of, when, late, kept} | with_entries(select(.value != null)))
        | with_lateness] | best end
    | if ($similar[0][$lab].untouched // []) | index($student.folder) then .untouched = true else . end
    | if $record.override then .override = $record.override else . end | with_override;

($weights[0] // {}) as $weights
| $submissions[0] | map(. as $student
    | .labs = [$labs[0][] as $lab | ($student.labs[$lab] // {}) | result_of($student; $lab)]
    | .total = if any(.labs[]; .score == null) then null
        else [.labs[] | .score * ($weights[.lab] // .max) / .max] | add | . * 100 | round / 100 end)
