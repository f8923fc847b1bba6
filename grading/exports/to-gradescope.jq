# Converts the result of one lab to Gradescope's results.json.
# The format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
# If the grader failed, there is no such file, and Gradescope reports that: a result would count as a score of 0.
include "safe-text";

def part(name): if . == null or . == [] or . == "" then empty
    else "\(name): " + (if type == "array" then join("\n  ") else . end | harmless) end;

def output: if .status == "skipped" then "Skipped: it needs \(.needs), which did not pass."
    else [(.asked | part("asked")), (.expected | part("expected")), (.received | part("received")),
        (.evidence | part("evidence")), (if .status == "failed" then (.hint | part("hint")), (.by_hand | part("by hand")) else empty end)]
        | join("\n") end;

{
  score, output_format: "text", stdout_visibility: "hidden", extra_data: ({lab, verdict} + if .sandbox == null then {} else {sandbox} end),
  output: (if .verdict == "does-not-compile" then "It does not compile.\n\(.compiler | harmless)"
    elif .warnings then "Compiler warnings:\n\(.warnings | harmless)" else "Graded." end),
  tests: [.checks | to_entries[] | .key as $i | .value
    | {name, number: "\($i + 1)", score, max_score: .points, output_format: "text",
       status: (if .status == "passed" then "passed" else "failed" end),
       output: "A correct server \(.title).\n\(output)"}]
}
