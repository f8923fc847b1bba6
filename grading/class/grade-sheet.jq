# grades.csv: one row per student, one column per lab, the total and notes. The notes say why a cell is
# empty. Text that begins with = + - @ is a formula to a spreadsheet; a leading apostrophe prevents that.
include "safe-text";

def cell: one_line | if test("^[=+@-]") then "'" + . else . end;

(["student"] + $labs[0] + ["total", "notes"] | @csv),
(.[] | [.student | cell]
    + [.labs[].score]
    + [if .problem or any(.labs[]; .verdict == "error") then null else [.labs[].score // 0] | add end]
    + [(.problem // empty | cell), (if .problem then empty else .labs[] | .lab as $lab | "\($lab): \(note)" end)]
    | (.[:($labs[0] | length) + 2] + [.[($labs[0] | length) + 2:] | join("; ") | cell])
    | @csv)
