# feedback.md of one student. --arg level full|brief|score.
# What a server printed stands in fences longer than any that it could have printed.
include "text";

def inline: one_line | gsub("(?<c>[\\\\`*_{}\\[\\]<>#|&~])"; "\\\(.c)");
def fence: [match("`+"; "g").length] | ([.[], 2] | max + 1) as $n | "`" * $n;
def block: harmless | rtrimstr("\n") | fence as $fence | $fence, ., $fence;
def paragraph(name): if . == null or . == [] or . == "" then empty
    else "\(name):", "", (if type == "array" then join("\n") else . end | block), "" end;

def word: {passed: "passed", failed: "failed", skipped: "not run", error: "grader's fault"}[.];

def check_line: "| \(.name | inline) | \(.status | word) | \(.score // "-")/\(.points) | \(.title | inline) |";

def story: "### \(.name | inline)", "", "A right server \(.title | inline).", "",
    (.asked | paragraph("Asked")), (.expected | paragraph("Expected")), (.received | paragraph("Received")),
    (.evidence | paragraph("Seen")), (.hint // empty | "Hint: \(inline)", ""), (.by_hand | paragraph("By hand"));

def lab: "## \(.lab | inline)", "",
    (if .verdict == "graded" then "\(.score) of \(.max) points."
     elif .verdict == "does-not-compile" then "It does not compile: 0 of \(.max) points."
     elif .verdict == "missing" then (.problem | inline | "No points: \(.).")
     else "The grader failed. This is not your fault, and no zero: it will be graded again." end), "",
    (if $level == "score" then empty else
        (if .verdict == "does-not-compile" then .compiler | .[:6000] | paragraph("The compiler says") else empty end),
        (if (.checks | length) > 0 then
            "| check | result | points | a right server ... |", "| --- | --- | --- | --- |",
            (.checks[] | check_line), "" else empty end),
        (if $level == "full" then .checks[] | select(.status == "failed") | story
         else .checks[] | select(.status == "failed" and .hint) | "- \(.name | inline): \(.hint | inline)" end),
        (if $level == "full" then .warnings // empty | .[:6000] | paragraph("The compiler warns") else empty end)
     end);

"# \(.student | inline)", "",
(.problem // empty | "What was handed in could not be read: \(inline).", ""),
(.labs[] | lab)
