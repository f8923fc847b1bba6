# grades.csv: one row per student, one column per lab, the total and notes. The notes say why a cell is
# empty; then the total is empty as well. Text that begins with = + - @, also full-width, is a formula to a
# spreadsheet; a leading apostrophe prevents that. The first character is a byte order mark, without which Excel does
# not read UTF-8.
include "safe-text";
include "week";

def cell: (. // "") | one_line | if test("^\\s*[=+@\\x{ff1d}\\x{ff0b}\\x{ff20}\\x{ff0d}-]") then "'" + . else . end;
def about: [.id, .mail, .group];

. as $in | (any(.[]; .id or .mail or .group)) as $known
| ["student"] + (if $known then ["id", "mail", "group"] else [] end) + $labs[0] + ["total", "notes"] | "\ufeff\(@csv)",
  ($in[] | [.student | cell] + (if $known then about | map(cell) else [] end)
    + [.labs[].score] + [.total]
    + [[(.problem // empty), (if .absent then "nothing handed in" else empty end), (.unknown // empty),
        (.problem as $problem | .absent as $absent | .labs[]
            | if .verdict == "missing" and ($absent or .problem == $problem) and .override == null then empty
              else .lab as $lab
                | [notes | select(. != "")] + (if .untouched then ["the starter, unchanged"] else [] end)
                | select(. != []) | "\($lab): \(join("; "))" end)]
        | join("; ") | cell]
    | @csv)
