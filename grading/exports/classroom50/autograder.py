#!/usr/bin/env python3
"""Classroom 50 runs this for each submission, in the student's checkout. It must write result.json.

An exit status other than 0 means that the grader failed, so there is no score.
The contract: https://github.com/foundation50/classroom50/wiki/Advanced-Autograding
"""
import os
import shutil
import subprocess
import sys
import tempfile


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.remove(path)


def run(command, *arguments, **options):
    ended = subprocess.run([os.path.join(exports, command), *arguments], check=False, **options)
    if ended.returncode != 0:
        print("The grader failed, so there is no result. Grade again.", file=sys.stderr)
        sys.exit(3)
    return ended


here = os.path.dirname(os.path.abspath(__file__))
exports = os.path.join(here, "grader/grading/exports")
try:
    remove("result.json")  # a student may have committed one, of whatever kind
    with open(os.path.join(here, "lab"), encoding="utf-8") as file:
        lab = file.read().strip()
    with tempfile.TemporaryDirectory() as directory:
        graded = os.path.join(directory, "graded.json")
        run("grade-for-autograder", ".", lab, graded)
        converted = run("convert-results", "classroom50", graded, stdout=subprocess.PIPE)
        descriptor, new = tempfile.mkstemp(prefix=".result.", dir=".")
        try:
            with open(descriptor, "wb") as file:
                file.write(converted.stdout)
            os.chmod(new, 0o644)
            os.replace(new, "result.json")
        except BaseException:
            os.remove(new)
            raise
except OSError as error:
    print(f"The grader failed, so there is no result: {error}", file=sys.stderr)
    sys.exit(3)
