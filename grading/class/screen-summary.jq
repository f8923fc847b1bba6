# What grade --class prints at the end.
include "safe-text";

[.[] | .labs[]] as $all
| def number(what): [$all[] | select(what)] | length;
  "\(length) students, \(number(.verdict == "graded")) servers graded, "
    + "\(number(.verdict == "does-not-compile")) failed to compile, "
    + "\(number(.verdict == "missing")) not handed in"
    + (number(.verdict == "error") | if . > 0 then ", \(.) not graded because the grader failed" else "" end),
  (.[] | select(.problem) | "  \(.entry | one_line | @json): \(.problem | one_line | @json)"),
  (if number(.verdict == "error") > 0 then
    (.[] | .folder as $f | .labs[] | select(.verdict == "error") | "  \($f), \(.lab): \(.fault // ([.checks[] | select(.status == "error") | "\(.name): \(.received)"] | join("; ")) | one_line | @json)"),
    "Where the grader or the machine failed, there is no score. Fix the problem and repeat the command."
   else empty end)
