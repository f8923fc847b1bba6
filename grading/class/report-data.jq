# The data embedded in report.html: only what the page shows.
include "safe-text";
include "week";
def short: if . == null then null else (if length > 1500 then .[:1500] + " ..." else . end) | harmless end;
def line: if . then one_line else null end;
{
  labs: [$labs[0][] as $lab | {name: $lab, checks:
    ([.[] | .labs[] | select(.lab == $lab and (.checks | length) > 0)][0].checks // []
        | map({name, title, points}))}],
  students: map({student: (.student | one_line), folder, problem: (.problem | line),
    id: (.id | line), absent: (.absent // false), labs: [.labs[] | {lab, score, verdict,
      note: (notes | if . == "" then null else one_line end), compiler: (.compiler | short),
      fault: (.fault | short),
      checks: [.checks[] | {name, status, score}
        + if .status == "failed" or .status == "error"
          then {expected: (.expected | short), received: (.received | short),
            evidence: [.evidence[]? | short], hint: .hint}
          elif .status == "skipped" then {needs} else {} end]}]})
}
