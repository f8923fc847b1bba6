# Why a file of results cannot be converted; prints nothing if it can. --arg format. In JUnit a failure of the
# grader is an error beside others; elsewhere a result without a score would be taken for one.
include "safe-text";

def reason: .fault // ([.checks[]? | select(.status == "error") | "\(.name): \(.received)"] | join("; ")) | one_line;
def problem: if type != "object" or (.lab | type) != "string" or (.verdict | type) != "string" then "the file contains no result"
    elif .verdict == "error" then if $format == "junit" then empty
        else "the grader failed, so there is no result: \(reason)" end
    elif (.verdict | IN("graded", "does-not-compile") | not) or (.checks | type) != "array" or (.score | type) != "number" or (.max | type) != "number"
        then "there is no score: \(.problem // .verdict | one_line)"
    else empty end;

if length != 1 then "the file contains no result"
else .[0] | if type == "array" then . else [.] end
    | if length == 0 then "the file contains no result"
      elif length > 1 and $format != "junit" then "the file contains the results of several labs"
      else [.[] | problem][0] // empty end
end
