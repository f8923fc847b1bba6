# Prints the results that `grade --json` writes, for a screen of 80 columns.
# --argjson colour true|false; --args LAB...: labs not started yet.
# Its text is harmless already.

def paint(code): if $colour then "\u001b[" + code + "m" + . + "\u001b[0m" else . end;
def spaces(count): " " * ([count, 0] | max) // "";
def pad(width): . + spaces(width - length);
def align_right(width): spaces(width - length) + .;

# The lines of a text, broken at spaces. Lines after the first are indented by `hang`. A longer word,
# such as a quoted message, keeps its length; spaces within a line stay as they are.
def wrap(width; hang):
    if . == "" then [.] else
        reduce split(" ")[] as $word ([];
            if . == [] then [$word]
            elif (.[-1] | length) + 1 + ($word | length) > width then . + [hang + $word]
            else .[-1] += " " + $word end)
    end;
def wrap(width): wrap(width; "");

# A heading and, beside it, lines of text.
def block($heading): to_entries[]
    | "    " + (if .key == 0 then $heading else "" end | pad(10)) + .value;
def text_width: 80 - 14;
def items: map(wrap(text_width; "  ")) | add // [];
def text: if . == null then [] else split("\n") | map(wrap(text_width)) | add // [] end;

# The first and the last actions are enough, and those that set up the backends or search.
def shorten:
    if length <= 16 then .
    else (.[4:-8] | map(select(test(" backend| sends \"search "))) | .[-4:]) as $chosen
        | .[:4]
            + ["... (\(length - 12) more"
                + (if $chosen == [] then "" else ", among them:" end) + ")"]
            + $chosen + (if $chosen == [] then [] else ["..."] end) + .[-8:]
    end;

def score: if .score == null then "-" else (.score | tostring) end;

# ---- one row for each check, and one for all that were skipped -----------------------------------

def words: {passed: "passed", failed: "FAILED", skipped: "skipped", error: "ERROR"};
def code: {passed: "32", failed: "1;31", skipped: "33", error: "1;35"};
def row($status; $points): "  " + (words[$status] | pad(7) | paint(code[$status]))
    + ($points | align_right(6)) + "  ";

# The lines of a text, the first behind what is given, the others below it.
def behind($first; $column): $first + .[0], (.[1:][] | spaces($column) + .);

# What a check that passed has observed belongs to its row: it is no failure.
def check_row: . as $check
    | (.title | wrap(80 - 39)
        | behind(row($check.status; $check | "\(score)/\(.points)") + ($check.name | pad(22)); 39)),
    (select(.status == "passed") | .evidence // [] | map(wrap(80 - 6; "  "))[][] | spaces(6) + .);

# Why checks were skipped: those at the beginning of the chain that did not pass.
def causes: (map({key: .name, value: .}) | from_entries) as $checks
    | reduce (.[] | select(.status == "skipped") | .needs
            | until($checks[.].status != "skipped"; $checks[.].needs)) as $cause ([];
        if index($cause) then . else . + [$cause] end);

def and_list: if length < 2 then join("") else (.[:-1] | join(", ")) + " and " + .[-1] end;

def skipped_row: causes as $causes
    | map(select(.status == "skipped")) | select(. != []) | "0/\(map(.points) | add)" as $points
    | "\(length) check\(if length == 1 then "" else "s" end), because \($causes | and_list) did not pass"
        + (if length > 8 then "" else ": " + (map(.name) | join(", ")) end)
    | wrap(80 - 17) | behind(row("skipped"; $points); 17);

# ---- what happened in a check that failed --------------------------------------------------------

# make test SOURCE=copy.c, and PORT in the environment: the other commands need them as well.
def source: $ENV.GRADE_SOURCE // "server.c"
    | if . == "server.c" then "" elif test("^[\\w./-]+$") then " SOURCE=\(.)" else " SOURCE=\(@sh)" end;

def in_place_of(old; new): split(old) | join(new); # gsub takes time in proportion to the square of the length
def as_set_up: in_place_of("make run"; "make run\(source)")
    | if $ENV.PORT // "" | test("^[1-9][0-9]{0,4}$")
      then reduce ("127.0.0.1 ", "127.0.0.1/", "./server ", ":") as $before
          (.; in_place_of($before + "9000"; $before + $ENV.PORT))
      else . end;

def story: select(.status == "failed" or .status == "error")
    | "",
    ("\(.name): a correct server \(.title)" | wrap(80; "    ")[] | paint("1")),
    (.asked // [] | shorten | items | block("asked")),
    (.expected | text | block("expected")),
    (if .status == "error" then "error" else "received" end) as $heading
        | (.received | text | block($heading)),
    (.evidence // [] | items | block("evidence")),
    (if .status == "failed" then
        (.needs // empty | "\(.) fails too: start there" | text | block("first")),
        (.hint | text | block("hint")),
        # To be copied, so not wrapped.
        (.by_hand // "" | as_set_up | split("\n") | block("by hand")),
        (["make hint CHECK=\(.name)",
            (select(.can_be_traced) | "make trace CHECK=\(.name)\(source)    # who waits for whom in it")]
            | block("more"))
    else empty end);

# ---- a lab, and the table at the end -------------------------------------------------------------

def lab: if .lab | IN($ARGS.positional[]) then empty
    else
        (.lab | paint("1")),
        (if .verdict == "does-not-compile" then
            "  It does not compile:", "", (.compiler | rtrimstr("\n"))
        elif .fault then "The grader could not start: \(.fault)" | wrap(78)[] | "  " + .
        else
            (.checks | (.[] | select(.status != "skipped") | check_row), skipped_row, (.[] | story))
        end),
        (.warnings // empty | "", "Compiler warnings (they cost no points, but read them):", rtrimstr("\n")),
        ""
    end;

def summary: if .lab | IN($ARGS.positional[]) then "not started"
    elif .verdict == "does-not-compile" then "does not compile"
    elif .fault then "not graded"
    else [.checks | group_by(.status)[] | {key: .[0].status, value: length}] | from_entries
        | [("passed", "failed", "skipped", "error") as $s | select(.[$s]) | "\(.[$s]) \($s)"]
        | join(", ") end;

def total_row(name; score; max; summary):
    (name | pad(18)) + ("\(score)/\(max)" | align_right(8)) + "   " + summary;

(.[] | lab),
(.[] | total_row(.lab; score; .max; summary)),
(if length > 1 then total_row("total"; map(.score // 0) | add; map(.max) | add; "") | rtrimstr("   ")
else empty end),
(if any(.[]; .verdict == "error") then
    "", (if any(.[].checks[]; .status == "error" and (.received | startswith("this machine is too slow") | not))
            or any(.[]; .fault) then
        "The grader or the machine failed, so there is no score. Fix it and grade again."
    else "The machine was too busy, so there is no score. Grade again when it is less so." end)
else empty end)
