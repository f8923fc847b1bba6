#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the autograder image.
set -euo pipefail

CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=grading/lib/install-packages.bash
. grader/grading/lib/install-packages.bash
need "${grading_needs[@]}" bubblewrap:bwrap python3:python3 util-linux:setpriv
# Built into the image once, and not for each submission.
mkdir -p grader/grading/.build
bash grader/grading/lib/build-harness grader/grading/.build
