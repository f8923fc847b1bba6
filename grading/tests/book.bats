# The course as a book: complete, and every link works.
# shellcheck shell=bats

setup_file() {
    export GRADING=$BATS_TEST_DIRNAME/..
    export ROOT=$GRADING/..
    cd "$BATS_FILE_TMPDIR"
    "$GRADING/book" edition
}

setup() {
    cd "$BATS_FILE_TMPDIR"
}

# change BOOK OLD NEW - in a new copy of the edition, `changed`: a regular expression in a book's text; it must occur
change() {
    rm -rf changed
    cp -r edition changed
    python3 - "changed/$1" "$2" "$3" <<'PYTHON'
import re, sys, zipfile
path, old, new = sys.argv[1:]
count = 0
def change(text):
    global count
    text, n = re.subn(old, new, text)
    count += n
    return text
if path.endswith(".epub"):
    with zipfile.ZipFile(path) as book:
        files = [(entry, book.read(entry)) for entry in book.infolist()]
    with zipfile.ZipFile(path, "w") as book:
        for entry, content in files:
            book.writestr(entry, change(content.decode()) if entry.filename.startswith("EPUB/text/") else content)
else:
    text = change(open(path).read())
    open(path, "w").write(text)
sys.exit(count == 0)
PYTHON
}

# finds BOOK WORDS - in `changed`, the check finds this in this book, and nothing in the others
finds() {
    run "$GRADING/tests/check-book" changed
    [ "$status" -eq 1 ]
    [[ "$output" == *"not ok - book: $1"* && "$output" == *"$2"* ]] || { echo "$output" && false; }
    [ "$(grep -c '^ok' <<<"$output")" -eq 3 ]
}

@test "the books are complete, and every link and picture works" {
    [ "$(cd edition && echo *)" = "course.epub course.html course.ko.epub course.ko.html" ]
    run "$GRADING/tests/check-book" edition
    [ "$status" -eq 0 ] || { echo "$output" && false; }
    [ "$(grep -c '^ok' <<<"$output")" -eq 4 ]
}

@test "a dangling link in a book would be found" {
    change course.html 'href="#lab05-epoll"' 'href="#lab55-epoll"'
    finds course.html "#lab55-epoll: there is no such anchor"
    change course.ko.html 'href="#lab05-epoll"' 'href="../lab05-epoll/README.md"'
    finds course.ko.html "../lab05-epoll/README.md: this leads out of the book"
    change course.epub 'href="ch007.xhtml#lab05-epoll"' 'href="ch007.xhtml#lab55-epoll"'
    finds course.epub "ch007.xhtml#lab55-epoll: there is no such anchor"
    change course.ko.epub 'href="ch007.xhtml' 'href="ch077.xhtml'
    finds course.ko.epub "there is no such file in the book"
}

@test "what is loaded from elsewhere, a lost picture, answer or listing, or bad XHTML would be found" {
    change course.html '<img src="data:[^"]*"' '<img src="https://127.0.0.1/poster.svg"'
    finds course.html "https://127.0.0.1/poster.svg: this is loaded from somewhere else"
    change course.html '</style>' 'p { background: url(paper.png) }</style>'
    finds course.html "paper.png: this is loaded from somewhere else"
    change course.html '<details><summary>Idea</summary>' '<section>'
    finds course.html "59: answers"
    change course.epub 'media/file1.svg' 'media/no.svg'
    finds course.epub "media/no.svg: there is no such file in the book"
    change course.epub '<pre class="c">' '<div>'
    finds course.epub "is not well-formed: mismatched tag"
    change course.ko.epub '<pre class="console"><code>[^/]*</code></pre>' ''
    finds course.ko.epub ": pre"
}

@test "a README with a link that leads nowhere is not made into a book" {
    mkdir -p course/grading
    cp -r "$ROOT"/{README.md,README.ko.md,LICENSE} course
    cp -r "$GRADING"/{bench,book,book-style,lib,timeline,README.md,CONTRIBUTING.md} course/grading
    for lab in "$ROOT"/lab*/; do
        mkdir "course/$(basename "$lab")"
        cp -r "$lab"/{README.md,README.ko.md,pictures,{server,solution,test}.c,hints.md,hints.ko.md} "course/$(basename "$lab")"
    done
    mkdir course/.devcontainer
    touch course/.devcontainer/Dockerfile
    for words in '(../lab04-select/README.md#no-heading): there is no such heading' \
        '(no-file.c): there is no such file' '(pictures/none.svg): '; do
        cp "$ROOT/lab05-epoll/README.md" course/lab05-epoll/README.md
        printf '\n![text]%s\n' "${words%%:*}" | sed '/svg/!s/!//' >>course/lab05-epoll/README.md
        run course/grading/book new
        [ "$status" -eq 3 ]
        [[ "$output" == *"${words#*: }"*"the book was not written"* ]] || { echo "$output" && false; }
        [ ! -e new/course.html ]
    done
}

@test "bad arguments, and a directory that cannot be written" {
    run "$GRADING/book" --help
    [ "$status" -eq 0 ]
    [[ "$output" == "usage: grading/book [DIR]"* ]]
    touch file
    for arguments in --format "one two" file/book file; do
        # shellcheck disable=SC2086 # words
        run "$GRADING/book" $arguments
        [ "$status" -eq 2 ]
        [[ "$output" == "book: "*"Try: grading/book --help" ]]
    done
    run "$GRADING/book" ''
    [ "$status" -eq 2 ]
}

@test "if pandoc fails, the status is 3, and the books that were there are left as they were" {
    mkdir -p bin old
    printf '#!/bin/sh\necho "out of memory" >&2\nexit 2\n' >bin/pandoc
    chmod +x bin/pandoc
    echo old >old/course.html
    PATH=$PWD/bin:$PATH run "$GRADING/book" old
    [ "$status" -eq 3 ]
    [[ "$output" == *"out of memory"*"the book was not written" ]]
    [ "$(cat old/course.html)" = old ]
}
