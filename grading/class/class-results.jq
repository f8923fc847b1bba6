# The results of the whole class, [{student, folder, entry, problem, labs: [RESULT...]}], with one RESULT
# for each of $labs. Input: $submissions, as read-submissions.py lists them, and $result_files, each
# labNN.json by file name. A result counts only if its key is that of this submission and this grader.
$submissions[0] | map(. as $student | .labs = [
    $labs[0][] as $lab | ($student.labs[$lab] // {}) as $submission
    | ($result_files[0]["\($student.folder)/\($lab | split("-")[0]).json"] // {}) as $result
    | if $submission.key == null then
        {lab: $lab, score: null, max: 100, verdict: "missing", checks: [],
            problem: ($submission.problem // $student.problem // "not handed in")}
      elif $result.key == $submission.key then $result | del(.key)
      else {lab: $lab, score: null, max: 100, verdict: "error", checks: [],
            fault: "there is no result: grading was interrupted"} end])
