#!/usr/bin/env python3
"""write-gradebooks.py RESULTS - writes RESULTS/gradebooks: files to import, made from the results of the class.

An empty cell clears the points that are there, so students who have none are left out.

  canvas.csv                    Gradebook > Import. The first columns are those of an exported gradebook; a
                                student is found by ID or SIS User ID, an assignment by its name
  canvas-feedback-LAB.zip       Gradebook > Upload submissions: the names of the downloaded files
  moodle.csv                    Grades > Import > CSV file, by mail address or id number
  moodle-worksheet-LAB.csv      the assignment's "Upload grading worksheet", by participant number:
                                mod/assign/feedback/offline/importgradeslib.php reads these columns
  moodle-feedback-LAB.zip       the assignment's "Upload multiple feedback files in a zip": the downloaded names
  blackboard.csv                Upload grades: by user name; a new column for each lab
"""
import csv
import io
import json
import os
import re
import sys
import zipfile

os.chdir(sys.argv[1])
BOM = "\ufeff"


def load(name):
    with open(f".class/{name}", encoding="utf-8") as file:
        return json.load(file)


def write(name, data):
    """Complete, or not at all. A file that has not changed stays, with its date."""
    path = f"gradebooks/{name}"
    try:
        with open(path, "rb") as file:
            if file.read() == data:
                return
    except OSError:
        pass
    with open(".class/work/gradebook", "wb") as file:
        file.write(data)
    os.replace(".class/work/gradebook", path)


def cell(value):
    """No control characters, and nothing that a spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]", " ", value)
    return "'" + text if text != "-" and re.match(r"\s*[=+@\-\uff1d\uff0b\uff20\uff0d]", text) else text


def write_csv(name, header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([cell(value) for value in row] for row in rows)
    write(name, (BOM + out.getvalue()).encode())


def write_zip(name, files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, (2000, 1, 1, 0, 0, 0)), data)
    write(name, out.getvalue())


def feedback_of(student, lab):
    """The part of the student's feedback.md that is about this lab, under its title."""
    with open(f"students/{student['folder']}/feedback.md", encoding="utf-8") as file:
        text = file.read()
    parts = re.split(r"^(?=## lab\d)", text, flags=re.M)
    title = "## " + lab.replace("_", r"\_")
    return (parts[0] + "".join(part for part in parts[1:] if part.startswith(title + "\n"))).encode()


def without_number(s):
    """The name alone, without what tells two students of one name apart."""
    numbers = [s["id"], s["mail"], *(record.get("number") for record in s["records"].values())]
    return next((s["student"].removesuffix(f" ({n})") for n in numbers if n and s["student"].endswith(f" ({n})")),
                s["student"])


def canvas(students, labs):
    mine = [s for s in students if "canvas" in s["platforms"] or s.get("id")]
    if not mine:
        return
    rows = [["    Points Possible", "", "", "", ""] + [100] * len(labs)]
    for s in mine:
        number = s.get("canvas") or next((r["number"] for r in s["records"].values() if r.get("platform") == "canvas"), None)
        sis = s["id"] if s.get("id") != number else None
        if not number and not sis:  # graded anonymously
            continue
        rows.append([without_number(s), number, sis, s.get("login") or s.get("mail"), s.get("group")] + [s["scores"][lab] for lab in labs])
    write_csv("canvas.csv", ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"] + labs, rows)


def worksheet_row(s, record, score):
    """The worksheet's own maximum and date, if it was the roster: Moodle skips points above its maximum, and what it has
    changed after that date."""
    most = float(record["maximum"]) if re.fullmatch(r"\d+(\.\d+)?", record.get("maximum") or "") else 100
    if score is not None and most != 100:
        score = float(f"{score * most / 100:.2f}")
        score = int(score) if score == int(score) else score
    return [f"Participant {record['number']}", without_number(s), s.get("mail"), score, f"{most:g}", record.get("modified") or "-"]


def moodle(students, labs):
    known = [s for s in students if s.get("id") or s.get("mail")]
    if known:
        write_csv("moodle.csv", ["ID number", "Email address", "Full name"] + labs,
                  [[s.get("id"), s.get("mail"), s["student"]] + [s["scores"][lab] for lab in labs] for s in known])
    for lab in labs:
        rows = [worksheet_row(s, s["records"][lab], s["scores"][lab])
                for s in students if s["records"].get(lab, {}).get("platform") == "moodle"]
        if rows:
            write_csv(f"moodle-worksheet-{lab}.csv",
                      ["Identifier", "Full name", "Email address", "Grade", "Maximum grade", "Last modified (grade)"], rows)


def blackboard(students, labs):
    mine = [s for s in students if s["user"]]
    if mine:
        rows = []
        for s in mine:
            first, _, last = without_number(s).rpartition(" ")
            rows.append([last, first.strip(), s["user"]] + [s["scores"][lab] for lab in labs])
        write_csv("blackboard.csv", ["Last Name", "First Name", "Username"] + labs, rows)


def feedback(students, labs, platform):
    for lab in labs:
        files = []
        for s in students:
            record = s["records"].get(lab, {})
            if record.get("platform") == platform and record.get("feedback"):
                files.append((f"{record['feedback']}feedback-{lab.split('-')[0]}.md", feedback_of(s, lab)))
        if files:
            write_zip(f"{platform}-feedback-{lab}.zip", files)


def main():
    results, submissions, labs = load("class-results.json"), load("submissions.json"), load("columns.json")
    students = []
    for result, submission in zip(results, submissions):
        records = submission["labs"]
        platforms = {r.get("platform") for r in records.values() if r.get("platform")}
        students.append({**{key: result.get(key) for key in ("student", "folder", "id", "mail", "group")},
                         **{key: submission.get(key) for key in ("canvas", "login", "user")},
                         "records": records, "platforms": platforms,
                         "scores": {r["lab"]: r["score"] for r in result["labs"]}})
    os.makedirs("gradebooks", exist_ok=True)
    with_points = [s for s in students if any(score is not None for score in s["scores"].values())]
    canvas(with_points, labs)
    moodle(with_points, labs)
    blackboard(with_points, labs)
    feedback(students, labs, "moodle")
    feedback(students, labs, "canvas")


main()
