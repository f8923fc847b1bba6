# Prints the checks of a test.c that have points, in order, one per line: "CHECK name", or
# "SHARED_CHECK name" if all labs share its body.
{ text = text $0 " " }
END {
    while (match(text, /(CHECK|SHARED_CHECK)\( *[a-z_]+, *[1-9]/)) {
        split(substr(text, RSTART, RLENGTH), word, /[( ,]+/)
        print word[1], word[2]
        text = substr(text, RSTART + RLENGTH)
    }
}
