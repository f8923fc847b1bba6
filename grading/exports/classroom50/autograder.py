#!/usr/bin/env python3
"""Classroom 50 runs this for each submission, in the student's checkout; it must write result.json.

A status other than 0 says that the grader failed, which is nobody's zero.
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
if os.path.lexists("result.json"):  # not one that the student has brought
    os.remove("result.json")
with tempfile.TemporaryDirectory() as folder:
    found = os.path.join(folder, "found.json")
    subprocess.run([os.path.join(exports, "grade-one"), ".", lab, found], check=True)
    made = subprocess.run([os.path.join(exports, "export"), "classroom50", found], stdout=subprocess.PIPE, check=False)
    if made.returncode != 0:
        sys.exit("the grader failed: grade again")
    with open("result.json", "wb") as file:
        file.write(made.stdout)
