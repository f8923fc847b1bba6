# The screen: from the array of results (DESIGN, section 4) to text.
# --argjson colour true|false; --argjson untouched '["lab02-fork"]': labs not begun yet.

def paint(code): if $colour then "\u001b[" + code + "m" + . + "\u001b[0m" else . end;
def pad(width): . + " " * ([width - length, 0] | max) | .[0:[length, width] | max];
def left(width): (" " * ([width - length, 0] | max) // "") + .;

def words: {passed: "passed", failed: "FAILED", skipped: "skipped", error: "ERROR"};
def code: {passed: "32", failed: "1;31", skipped: "33", error: "1;35"};

# Breaks a sentence at spaces so that no line is longer than the screen's text column.
def wrap: reduce splits(" +") as $word ([""];
    if (.[-1] | length) + ($word | length) > 76 and .[-1] != "" then . + [$word]
    else .[-1] += (if .[-1] == "" then "" else " " end) + $word end);

# "what      first line" and the others below it.
def block(what): to_entries | map(
    "    " + (if .key == 0 then what else "" end | pad(10)) + .value);

# Many clients do much alike: the first lines and the last are enough, and what the backends were
# told to do.
def shorten:
    if length <= 16 then .
    else (.[4:-8] | map(select(test(" backend"))) | .[-4:]) as $backends
        | .[:4] + ["... (\(length - 12) lines\(if $backends == [] then "" else ", among them" end)) ..."]
            + $backends + (if $backends == [] then [] else ["..."] end) + .[-8:]
    end;

def score: if .score == null then "-" else (.score | tostring) end;

def line: "  " + (.status as $s | words[$s] | pad(8) | paint(code[$s]))
    + ("\(score)/\(.points)" | left(6)) + "  " + (.name | pad(23))
    + (if .status == "skipped" then "not run: needs \(.needs)" else .title end);

def story: [
    "",
    ("\(.name): a right server \(.title)" + (if .status == "passed" then " (to see, not to mend)"
        else "" end) | paint("1")),
    ((.asked // []) | shorten | block("asked")[]),
    ((if .expected then [.expected] else [] end) | block("expected")[]),
    ((if .received then [.received] else [] end)
        | block(if .status == "error" then "fault" else "received" end)[]),
    ((.evidence // []) | block("seen")[]),
    (if .status == "failed" then
        (.hint // "" | wrap | block("hint")[]),
        (.by_hand // "" | split("\n") | block("by hand")[]),
        (["make hint CHECK=\(.name)"] | block("more")[])
    else empty end)
];

def details: if .status == "failed" or .status == "error"
        or (.status == "passed" and (.evidence | length) > 0)
    then story else [] end;

def one: . as $lab
    | if ($untouched | index($lab.lab)) != null then empty
    else
        ("\(.lab)" | paint("1")),
        (if .verdict == "does-not-compile" then
            "  It does not compile:", "", (.compiler | rtrimstr("\n"))
        elif .fault then "  The grader could not begin: \(.fault)"
        else (.checks[] | line), (.checks[] | details[]) end),
        (.warnings // empty | "", "The compiler warns (no points, but read it):", rtrimstr("\n")),
        ""
    end;

def number(what): [.checks[] | select(.status == what)] | length;

def summary: . as $lab
    | if ($untouched | index($lab.lab)) != null then "not begun"
    elif .verdict == "does-not-compile" then "does not compile"
    else [("passed", "failed", "skipped", "error") as $s | {n: number($s), $s} | select(.n > 0)
        | "\(.n) \(.s)"] | join(", ") end;

def row: "\(.lab | pad(18))" + ("\(score)/\(.max)" | left(8)) + "   " + summary;

(.[] | one),
(.[] | row),
(if length > 1 then
    ("total" | pad(18)) + ("\(map(.score // 0) | add)/\(map(.max) | add)" | left(8)) else empty end),
(if any(.[]; .verdict == "error") then
    "", "A fault of the machine or of the grader is nobody's zero: mend it and grade again."
else empty end)
