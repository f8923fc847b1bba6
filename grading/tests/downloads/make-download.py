#!/usr/bin/env python3
"""make-download.py FORMAT DIR LAB [FIRST-SCORE] - a made-up download of a dozen students, as it is unpacked.

FORMAT: moodle, moodle-flat, canvas, blackboard, gradescope, github, plain. Each server.c is a program that scores as
many points as its number in the list below, plus FIRST-SCORE (default 1): the tests' grader reads them.
"""
import os
import sys
import zipfile

# (name, user, id, mail): with what file names, CSV and shells trip over. Two students have the same name.
STUDENTS = [
    ("Ada Lovelace", "alovelace", "3001"), ("김민준", "mkim1", "3002"), ("김민준", "mkim2", "3003"),
    ("Conor O'Brien", "cobrien", "3004"), ("Søren Ångström", "sangstroem", "3005"), ("Jürgen Groß", "j_gross", "3006"),
    ("Mary Ann Smith-Jones", "msmith", "3007"), ("박 서연", "spark", "3008"), ("José da Silva", "jsilva", "3009"),
    ("=cmd Evil", "evil", "3010"), ("D'Arcy  Łukasz", "dlukasz", "3011"), ("Zoë Late", "zlate", "3012"),
]


def server(score, words=""):
    return f"// score {score}{words}\nint main(void) {{ return 0; }}\n"


def put(text, *parts):
    path = os.path.join(*parts)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def zipped(path, member, text):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, text)
        archive.writestr("__MACOSX/" + os.path.dirname(member) + "/._server.c", "\0\5\26\7")


def moodle(directory, lab, score, flat=False):
    for i, (name, _, _) in enumerate(STUDENTS):
        start = f"{name.replace('_', ' ')}_{int(lab[3:5]) * 1000 + i}_assignsubmission_"
        if flat:
            put(server(score + i), directory, start + "file_server.c")
        elif i == 3:
            os.makedirs(os.path.join(directory, start + "file_"))
            zipped(os.path.join(directory, start + "file_", "my lab.zip"), f"{lab}/server.c", server(score + i))
        elif i == 4:  # Moodle 4.1 has no underscore at the end
            put(server(score + i), directory, start + "file", "server.c")
        else:
            put(server(score + i), directory, start + "file_", "server.c")
        if i == 5 and not flat:
            put("<p>see my file</p>", directory, start + "onlinetext_", "onlinetext.html")


def canvas(directory, lab, score):
    for i, (name, _, _) in enumerate(STUDENTS):
        words = name.split()
        who = "".join(c for c in (words[-1] + "".join(words[:-1])).lower() if c.isalnum())
        late = "LATE_" if "Late" in name else ""
        start = f"{who}_{late}{500 + i}_"
        if i == 0:  # handed in twice: the greater number is the newer one
            put(server(99), directory, f"{start}70000_server.c")
            put(server(score + i), directory, f"{start}70100_server-1.c")
        elif i == 3:
            zipped(os.path.join(directory, f"{start}{70001 + i}_lab.zip"), "server.c", server(score + i))
        else:
            put(server(score + i), directory, f"{start}{70001 + i}_server.c")


def blackboard(directory, lab, score):
    for i, (name, user, _) in enumerate(STUDENTS):
        start = f"Lab {int(lab[3:5])}_{user}_attempt_2026-11-"
        put(f"Name: {name} ({user})\nAssignment: Lab\n", directory, f"{start}20-10-00-00.txt")
        put(server(score + i), directory, f"{start}20-10-00-00_server.c")
        if i == 0:
            put(server(70), directory, f"{start}12-10-00-00_server.c")
        if "Late" in name:
            put(server(20), directory, f"{start}23-09-30-00_server.c")


def gradescope(directory, lab, score):
    export = os.path.join(directory, "assignment_12345_export")
    lines = ["---"]
    for i, (name, user, number) in enumerate(STUDENTS):
        put(server(score + i), export, f"submission_{9000 + i}", "server.c")
        name = f"'{name}'" if name[0] in "=" else '"D\'Arcy  \\u0141ukasz"' if name[0] == "D" else name
        lines += [f"submission_{9000 + i}:", "  :submitters:", f"  - :name: {name}", f"    :sid: '{number}'",
                  f"    :email: {user}@example.edu", "  :created_at: 2026-11-20 10:00:00.000000000 Z", "  :score: 0.0",
                  "  :results:", "    tests:", "    - name: 'echo'", "  :history:", "  - :id: 900",
                  "    :created_at: 2026-11-12 10:00:00.000000000 Z"]
    put("\n".join(lines) + "\n", export, "submission_metadata.yml")


def github(directory, lab, score):
    for i, (_, user, _) in enumerate(STUDENTS):
        clone = os.path.join(directory, "org" if i % 2 else "other-org", f"{lab}-{user}")
        put(server(score + i), clone, lab, "server.c")
        put("ref: refs/heads/main\n", clone, ".git", "HEAD")


def plain(directory, lab, score):
    for i, (_, user, _) in enumerate(STUDENTS):
        put(server(score + i), directory, user, lab, "server.c")


def main():
    kind, directory, lab = sys.argv[1:4]
    score = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    os.makedirs(directory, exist_ok=True)
    if kind == "moodle-flat":
        moodle(directory, lab, score, flat=True)
    elif kind == "roster":
        rows = "".join(f"{number};{name};{user}@example.edu;{'AB'[i % 2]}\r\n"
                       for i, (name, user, number) in enumerate(STUDENTS + [("Grace Hopper", "ghopper", "3013")]))
        put("\ufeffid;name;mail;group\r\n" + rows, directory, "students.csv")
    else:
        {"moodle": moodle, "canvas": canvas, "blackboard": blackboard, "gradescope": gradescope, "github": github,
         "plain": plain}[kind](directory, lab, score)


main()
