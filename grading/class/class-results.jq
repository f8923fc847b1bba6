# From the index of the class ($students) and the results that were found ($found, by file name): one
# array, [{student, folder, entry, problem, labs: [RESULT...]}], a result for each of $labs. Only a
# result of this very submission and grader counts: its key says so.
$students[0] | map(. as $student | .labs = [
    $labs[0][] as $lab | ($student.labs[$lab] // {}) as $mine
    | ($found[0]["\($student.folder)/\($lab | split("-")[0]).json"] // {}) as $result
    | if $mine.key == null then
        {lab: $lab, score: null, max: 100, verdict: "missing", checks: [],
            problem: ($mine.problem // $student.problem // "not handed in")}
      elif $result.key == $mine.key then $result | del(.key)
      else {lab: $lab, score: null, max: 100, verdict: "error", checks: [],
            fault: "there is no result: the grading was cut short"} end])
