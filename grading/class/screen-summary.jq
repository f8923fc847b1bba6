# The screen, at the end.
[.[] | .labs[]] as $all
| def number(what): [$all[] | select(what)] | length;
  "\(length) students, \(number(.verdict == "graded")) servers graded, "
    + "\(number(.verdict == "does-not-compile")) that do not compile, "
    + "\(number(.verdict == "missing")) not handed in"
    + (number(.verdict == "error") | if . > 0 then ", \(.) where the grader failed" else "" end),
  (.[] | select(.problem) | "  \(.entry | @json): \(.problem | @json)"),
  (if number(.verdict == "error") > 0 then
    (.[] | .folder as $f | .labs[] | select(.verdict == "error") | "  \($f), \(.lab): \(.fault // ([.checks[] | select(.status == "error") | "\(.name): \(.received)"] | join("; ")) | @json)"),
    "A fault of the machine or of the grader is nobody's zero: mend it, and give the same command again."
   else empty end)
