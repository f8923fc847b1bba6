# Used by count-costs: awk -f compare-costs.awk TABLE COUNTED - prints each figure in COUNTED that differs from that in
# TABLE by more than a patch release of the compiler explains. Exit status: 1 if there is one, 0 otherwise.

function problem(text) {
    print text
    failed = 1
}

function compare(server, what, counted, expected, difference) {
    compared++
    if (what ~ /^instructions/ && tools[0] != tools[1]) {
        skipped = 1
        return
    }
    difference = counted > expected ? counted - expected : expected - counted
    if ((counted == "-") != (expected == "-") || difference > (what ~ /^calls/ ? 0.1 : expected / 10) + 1e-9)
        problem(server ": " what ": " counted ", but the table says " (expected == "" ? "nothing" : expected))
}

BEGIN { FS = " *\\| *" }

/^Counted on / {
    sub(/^Counted on [^ ]+ with /, "")
    tools[NR == FNR] = $0
}

!/^\|/ || $2 ~ /^-/ { next }

$2 == "server" {
    for (i = 3; i < NF; i++)
        column[i] = $i
    next
}

NR == FNR {
    for (i = 3; i < NF; i++)
        table[$2, column[i]] = $i
    next
}

{
    for (i = 3; i < NF; i++)
        compare($2, column[i], $i, table[$2, column[i]])
}

END {
    if (!compared)
        problem("nothing was counted")
    if (skipped)
        print "only calls are compared: counted with " tools[0] " but the table with " tools[1]
    exit failed
}
