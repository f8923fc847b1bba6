# What grade --class prints before it grades: what the directory is taken for, and what in it is not graded.
include "safe-text";

def number($n; $what): "\($n) \($what)" + if $n == 1 then "" else "s" end;
def at_most_10: .[:10] + (if length > 10 then ["and \(length - 10) more"] else [] end) | join(", ");
def listed: map(one_line | tojson) | at_most_10;
def short: if length > 40 then .[:37] + "..." else . end;

$download[0] as $d
| (if $d.format == "plain" then "Plain directory" else "\($d.title) download" end)
    + ": \(number($index[0] | length; "student")), \(number($d.labs | length; "lab"))",
  (if $d.ignored != [] then "Not students: \($d.ignored | listed)" else empty end),
  (if $d.several > 0 then "\(number($d.several; "student")) handed in more than once: the \($attempt) attempt counts" else empty end),
  (if $percent > 0 and ([.[].labs[] | .when, .late] | all(. == null))
    then "--late-per-day: this download does not record when anything was handed in, so nothing is deducted" else empty end),
  ([.[].labs] as $students | $not_handed_in[0] | keys[] | select($percent > 0 and $due[0][.] == null)
    | select(. as $lab | any($students[][$lab]; .when != null))
    | "--late-per-day: there is no --due for \(.), so nothing is deducted"),
  ([.[] | select(.unknown) | "\(.student): \(.unknown)"] | if . != [] then "Compare with the roster: \(listed)" else empty end),
  ([.[] | select(any(.labs[]; .kept)) | .student] | if . != []
    then "Not in this download, so the earlier result is kept: \(listed)" else empty end),
  ($not_handed_in[0] | to_entries[] | select(.value.students != []) | "\(.key | split("-")[0]): not handed in by "
    + "\(.value.students | length) of \(.value.of): \(.value.students | map(one_line | short) | at_most_10)"),
  ([.[] | select(.absent) | .student] | if . != [] then "Absent in all labs: \(listed)" else empty end)
