# Prints the hint for one check at one level. In a hints.md, "## check" is followed by a numbered list.
# The files are searched in order; the first that has the check is used. language: how to ask for theirs.
FNR == 1 { files++ }
/^## / { in_check = ($2 == check && (!found || found == files)); if (in_check) found = files; next }
in_check && /^[0-9]+\. / { n = $1 + 0; last = n }
in_check && n == level && NF { sub(/^([0-9]+\.|  ) */, ""); print; printed = 1 }
END {
    if (!found) {
        print "Choose a check: make hint CHECK=NAME, where NAME is one of"
        print names | "fmt --width=80"
        exit 0
    }
    if (!printed) {
        print check " has hints up to LEVEL=" last "."
        exit 0
    }
    if (level < last)
        print "\nStill stuck? make hint CHECK=" check " LEVEL=" level + 1 language
}
