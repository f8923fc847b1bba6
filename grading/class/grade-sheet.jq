# grades.csv: a row a student, a column a lab, the total. An empty cell is no number: the notes say why.
# A spreadsheet takes a text that begins with = + - @ for a formula: an apostrophe before it prevents it.
include "text";

def cell: one_line | if test("^[=+@-]") then "'" + . else . end;

(["student"] + $labs[0] + ["total", "notes"] | @csv),
(.[] | [.student | cell]
    + [.labs[].score]
    + [if .problem or any(.labs[]; .verdict == "error") then null else [.labs[].score // 0] | add end]
    + [(.problem // empty | cell), (if .problem then empty else .labs[] | .lab as $lab | "\($lab): \(note)" end)]
    | (.[:($labs[0] | length) + 2] + [.[($labs[0] | length) + 2:] | join("; ") | cell])
    | @csv)
