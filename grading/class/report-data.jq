# The data embedded in report.html: only what the page shows. $similar is what find-similar has written.
include "safe-text";
include "week";
def short: if . == null then null else (if length > 1500 then .[:1500] + " ..." else . end) | harmless end;
def line: if . then one_line else null end;
# A student may have left since a lab was compared.
def still_here($folders): .pairs |= ((. // []) | map(select($folders[.a] and $folders[.b])))
  | .groups |= ((. // []) | map(map(select($folders[.]))))
  | .not_compared |= ((. // []) | map(select($folders[.folder])));

(($similar[0] // {}) | all_harmless) as $similar
| (map({(.folder): true}) | add // {}) as $folders
| {
  labs: [$labs[0][] as $lab | {name: $lab, checks:
    ([.[] | .labs[] | select(.lab == $lab and (.checks | length) > 0)][0].checks // []
        | map({name, title, points})),
    not_handed_in: ($not_handed_in[0][$lab] // {students: []} | .students |= map(one_line))}],
  max: ([$labs[0][] | ($weights[0] // {})[.] // 100] | add),
  similar: ($similar | with_entries(select(.key as $lab | $labs[0] | index($lab)) | .value |= still_here($folders))),
  students: map({student: (.student | one_line), folder, problem: (.problem | line), total,
    id: (.id | line), group: (.group | line), absent: (.absent // false), labs: [.labs[] | {lab, score, verdict,
      note: (notes | if . == "" then null else one_line end), compiler: (.compiler | short),
      fault: (.fault | short), changed: (.override != null),
      untouched: (.verdict != "missing" and .untouched == true),
      checks: [.checks[] | {name, status, score}
        + if .status == "failed" or .status == "error"
          then {expected: (.expected | short), received: (.received | short),
            evidence: [.evidence[]? | short], hint: .hint}
          elif .status == "skipped" then {needs} else {} end]}]})
}
