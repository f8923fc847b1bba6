# Converts an array of results to JUnit XML, which most CI systems read: one suite per lab, one case per
# check. The elements are those of https://github.com/testmoapp/junitxml.
include "safe-text";
def xml: harmless | @html;
def count(what): [.checks[] | select(.status == what)] | length;
def text: [.expected // empty | "expected: \(.)"] + [.received // empty | "received: \(.)"]
    + [.evidence[]? | "evidence: \(.)"] + [.hint // empty | "hint: \(.)"] | join("\n") | xml;

"<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
"<testsuites name=\"Ten thousand clients\">",
(.[] | .lab as $lab
  | (if .verdict == "graded" or (.checks | length) > 0 then . else
      .checks = [{name: .verdict, status: (if .verdict == "error" then "error" else "failed" end),
        received: (.compiler // .fault // .problem // "")}] end)
  | "  <testsuite name=\"\($lab | xml)\" tests=\"\(.checks | length)\" failures=\"\(count("failed"))\" errors=\"\(count("error"))\" skipped=\"\(count("skipped"))\" time=\"\([.checks[].seconds // 0] | add // 0)\">",
    (.checks[]
      | "    <testcase classname=\"\($lab | xml)\" name=\"\(.name | xml)\" time=\"\(.seconds // 0)\">",
        (if .status == "failed" then "      <failure message=\"\(.received // "" | xml)\">\(text)</failure>"
         elif .status == "error" then "      <error message=\"\(.received // "" | xml)\">\(text)</error>"
         elif .status == "skipped" then "      <skipped message=\"needs \(.needs | xml)\"/>" else empty end),
        "    </testcase>"),
    "  </testsuite>"),
"</testsuites>"
