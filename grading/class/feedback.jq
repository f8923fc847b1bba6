# feedback.md of one student. Of a class: for each, the name of the directory, a newline, feedback.md and the byte 0x1e,
# which is in none of them, since all text is made harmless. --arg level full|brief|score.
# The output of a server is quoted in a fence longer than any in the output itself.
include "safe-text";
include "week";

def inline: one_line | escaped([.] | implode | inside("\\`*_{}[]<>#|&~"));
def fence: ([longest_run("`"), 2] | max + 1) as $n | "`" * $n;
def block: harmless | rtrimstr("\n") | fence as $fence | $fence, ., $fence;
def paragraph(name): if . == null or . == [] or . == "" then empty
    else "\(name):", "", (if type == "array" then join("\n") else . end | block), "" end;

def result: {passed: "passed", failed: "failed", skipped: "skipped", error: "grader failed"}[.];

def table_row: "| \(.name | inline) | \(.status | result) | \(.score // "-")/\(.points) | \(.title | inline) |";

def failure: "### \(.name | inline)", "", "A correct server \(.title | inline).", "",
    (.asked | paragraph("Asked")), (.expected | paragraph("Expected")), (.received | paragraph("Received")),
    (.evidence | paragraph("Evidence")), (.hint // empty | "Hint: \(inline)", ""), (.by_hand | paragraph("By hand"));

def lab: "## \(.lab | inline)", "",
    (if .override then "\(.score) of \(.max) points, changed by the instructor: \(.override.reason | inline)."
     elif .verdict == "graded" then "\(.score) of \(.max) points."
     elif .verdict == "does-not-compile" then "It does not compile: 0 of \(.max) points."
     elif .verdict == "missing" then (.problem | inline | "No points: \(.).")
     else "The grader failed. This is not your fault: there is no score, and your server will be graded again." end), "",
    (if .untouched then "This is the starter, unchanged. Was a different file meant?", "" else empty end),
    (del(.override, .kept) | remarks[] | "\(inline | .[:1] | ascii_upcase)\(inline | .[1:]).", ""),
    (if $level == "score" then empty else
        (if .verdict == "does-not-compile" then .compiler | .[:6000] | paragraph("Compiler output") else empty end),
        (if (.checks | length) > 0 then
            "| check | result | points | a correct server ... |", "| --- | --- | --- | --- |",
            (.checks[] | table_row), "" else empty end),
        (if $level == "full" then .checks[] | select(.status == "failed") | failure
         else .checks[] | select(.status == "failed" and .hint) | "- \(.name | inline): \(.hint | inline)" end),
        (if $level == "full" then .warnings // empty | .[:6000] | paragraph("Compiler warnings") else empty end)
     end);

def text: "# \(.student | inline)", "",
    (.problem // empty | "Your submission could not be read: \(inline).", ""),
    (.labs[] | lab);

if type == "array" then .[] | "\(.folder)\n", (text + "\n"), "\u001e" else text end
