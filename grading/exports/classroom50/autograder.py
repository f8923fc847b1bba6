#!/usr/bin/env python3
"""Classroom 50 runs this for each submission, in the student's checkout. It must write result.json.

An exit status other than 0 means that the grader failed, so there is no score.
The contract: https://github.com/foundation50/classroom50/wiki/Advanced-Autograding
"""
import os
import subprocess
import sys
import tempfile

here = os.path.dirname(os.path.abspath(__file__))
exports = os.path.join(here, "grader/grading/exports")
with open(os.path.join(here, "lab")) as file:
    lab = file.read().strip()
if os.path.lexists("result.json"):  # a student may have committed one
    os.remove("result.json")
with tempfile.TemporaryDirectory() as directory:
    graded = os.path.join(directory, "graded.json")
    subprocess.run([os.path.join(exports, "grade-for-autograder"), ".", lab, graded], check=True)
    converted = subprocess.run([os.path.join(exports, "convert-results"), "classroom50", graded],
                               stdout=subprocess.PIPE, check=False)
    if converted.returncode != 0:
        sys.exit("the grader failed: grade again")
    with open("result.json", "wb") as file:
        file.write(converted.stdout)
