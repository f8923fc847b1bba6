#!/usr/bin/env python3
"""names-with-escapes.py CLASS - adds students and files whose names hold what terminals, spreadsheets and pages
obey: C0 and C1 control characters, bidirectional controls, separators of lines, formulas, also full-width.
"""
import os
import sys

UNSAFE = "\x1b\x07\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
directory = sys.argv[1]
for start in (*UNSAFE, "=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "\t=", "\r=", " \u3000="):
    path = os.path.join(directory, start + "1+1", "lab01-blocking")
    os.makedirs(path)
    with open(os.path.join(path, "server.c"), "w", encoding="utf-8") as file:
        file.write("// score 7\nint main(void) { return 0; }\n")
    with open(os.path.join(directory, start + "31m.txt"), "w", encoding="utf-8"):
        pass  # not a student, which the screen says
    path = os.path.join(directory, "holds " + start + " files")
    os.makedirs(path)
    with open(os.path.join(path, start + "x.c"), "w", encoding="utf-8"):
        pass  # not handed in, and the note lists what is there
    with open(os.path.join(directory, start + ".docx"), "w", encoding="utf-8"):
        pass  # a submission that cannot be read
