# Prints the hint of one check at one level: "## check", then a numbered list. The lab's own hints.md
# comes first; what it does not have is taken from the one after it.
FNR == 1 { files++ }
/^## / { here = ($2 == check && (!found || found == files)); if (here) found = files; next }
here && /^[0-9]+\. / { n = $1 + 0; most = n }
here && n == level && NF { sub(/^([0-9]+\.|  ) */, ""); print; shown = 1 }
END {
    if (!found) {
        print "Which check? make hint CHECK=name, with one of: " names
        exit 0
    }
    if (!shown) {
        print check " has hints up to LEVEL=" most "."
        exit 0
    }
    if (level < most)
        print "\nStill stuck? make hint CHECK=" check " LEVEL=" level + 1
}
