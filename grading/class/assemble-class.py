#!/usr/bin/env python3
"""assemble-class.py RESULTS WORK GRADER OPTIONS - joins what was handed in this time with the roster, with the previous
weeks and with overrides.csv.

Reads WORK/index.json and WORK/download.json, which read-submissions.py has written, and RESULTS/.class/submissions.json
of the previous run. Writes WORK/submissions.json, WORK/columns.json (the columns of the sheet), WORK/named.json (the labs
to be graded now), WORK/not-handed-in.json (of these labs), WORK/due.json and WORK/regrade (results to be made again). OPTIONS is JSON:
{roster, labs, all, regrade, weights, percent, due}. GRADER is everything else that a result depends on. Exit status 2 and
a message for each mistake: a file or option is wrong.
"""
import csv
import io
import json
import math
import os
import re
import sys
import unicodedata
from collections import Counter
from datetime import datetime, timedelta, timezone

COLUMNS = {
    "id": ("id", "idnumber", "studentid", "sisuserid", "sid", "matriculation", "username"),
    "name": ("name", "fullname", "student", "studentname"),
    "mail": ("mail", "email", "emailaddress"),
    "group": ("group", "section", "groups"),
    "number": ("identifier",),  # of Moodle's grading worksheet: Participant 12345
    "first": ("firstname", "givenname"), "last": ("lastname", "surname", "familyname"),
    "maximum": ("maximumgrade",), "modified": ("lastmodifiedgrade",),  # of the same
}
# Canvas's exported gradebook: its "ID" is not the student's. It may be without SIS User ID, and may have two columns of names.
CANVAS_COLUMNS = {"id": ("sisuserid", "sisloginid", "id"), "name": ("student",), "canvas": ("id",),
                  "login": ("sisloginid",), "group": ("section",), "first": ("firstname",), "last": ("lastname",)}
CANVAS_NOT_STUDENTS = ("Student, Test", "Test Student")
NOTHING = "not handed in"  # as read-submissions.py says; with what there is instead behind it, something was handed in

MORE = None  # in a row: there are more cells than columns

MOST_MISTAKES = 20
mistakes = []


def wrong(message):
    """Notes a mistake and goes on: stop_if_wrong() reports all of them at once."""
    mistakes.append(message)


def stop_if_wrong():
    unsafe = r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"  # as in lib/safe-text.jq
    for message in mistakes[:MOST_MISTAKES]:
        print("grade: " + re.sub(unsafe, "\ufffd", message), file=sys.stderr)
    if len(mistakes) > MOST_MISTAKES:
        print(f"grade: and {len(mistakes) - MOST_MISTAKES} more", file=sys.stderr)
    if mistakes:
        sys.exit(2)


def stop(message):
    wrong(message)
    stop_if_wrong()


# ---- CSV files of the instructor -------------------------------------------------------------


def read_rows(path, option):
    """[(line number, {column: cell})]: commas, semicolons or tabs; UTF-8 with or without BOM, or UTF-16."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except OSError as error:
        stop(f"{option}: {path} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        stop(f"{option}: {path} is not UTF-8. Save it as \"CSV UTF-8\"")
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows, names, line = [], None, 1
    try:
        for cells in reader:
            cells = [unicodedata.normalize("NFC", cell).strip() for cell in cells]
            if any(cells):
                if names is None:
                    names = [re.sub(r"[^a-z]", "", cell.lower()) for cell in cells]
                    while not names[-1] and len(names) > 1:
                        names.pop()
                else:
                    rows.append((line, dict(zip(names, cells)) | ({MORE: True} if any(cells[len(names):]) else {})))
            line = reader.line_num + 1
    except csv.Error as error:
        wrong(f"{option}: {path}, line {reader.line_num}: {error}")
    return names or [], rows


def read_roster(path):
    names, rows = read_rows(path, "--roster")
    canvas = ({"id", "section"} <= set(names) and {"sisuserid", "sisloginid"} & set(names)
              and ("student" in names or {"lastname", "firstname"} <= set(names)))
    if names and not any(alias in names for column in ("id", "name", "first", "last") for alias in COLUMNS[column]):
        stop(f"--roster: {path}, line 1: there is no column of names or ids. The columns: id,name,mail,group; it has:"
             f" {', '.join(names)}")
    result = []
    for line, cells in rows:
        row = dict.fromkeys((*COLUMNS, "canvas", "login")) | {"line": line}
        for column, aliases in (CANVAS_COLUMNS if canvas else COLUMNS).items():
            row[column] = next((cells[alias] for alias in aliases if cells.get(alias)), None)
        row["name"] = row["name"] or " ".join(filter(None, (row.pop("first"), row.pop("last")))) or None
        if canvas and (row["name"] in CANVAS_NOT_STUDENTS or not row["canvas"]):  # "Points Possible" has no ID
            continue
        if canvas and row["name"] and row["name"].count(", ") == 1:
            row["name"] = " ".join(reversed(row["name"].split(", ")))
        if row["login"] and "@" in row["login"]:
            row["mail"] = row["login"]
        if row["number"]:
            row["number"] = re.sub(r"\D", "", row["number"])
        if not row["name"] and not row["id"]:
            wrong(f"--roster: {path}, line {line}: there is neither a name nor an id")
            continue
        row["name"] = row["name"] or row["id"]
        result.append(row)
    if not result and not mistakes:
        wrong(f"--roster: {path} lists no students. The first line names the columns: id,name,mail,group")
    seen = {}
    for row in result:
        if row["id"] and seen.setdefault(row["id"], row["line"]) != row["line"]:
            wrong(f"--roster: {path}, line {row['line']}: the id {row['id']} is also on line {seen[row['id']]}")
    return result


# ---- who is who ------------------------------------------------------------------------------


def plain_letters(text):
    text = unicodedata.normalize("NFKD", text).casefold()
    return "".join(c for c in text if c.isalnum())


def name_forms(name):
    """A name without spaces, in each order of its parts: Canvas writes lovelaceada for Ada Lovelace."""
    words = [word for word in re.split(r"[\s,]+", name) if word]
    joined = {"".join(words[i:] + words[:i]) for i in range(len(words))}
    return {plain_letters(form) for form in joined} - {""}


class Roster:
    def __init__(self, rows):
        self.rows = rows
        self.by = {}
        for index, row in enumerate(rows):
            mail = (row["mail"] or "").casefold()
            self.enter("id", (row["id"] or "").casefold(), index)
            self.enter("number", row["number"], index)
            self.enter("canvas", row["canvas"], index)
            self.enter("user", (row["login"] or "").casefold(), index)
            self.enter("mail", mail, index)
            self.enter("user", mail.split("@")[0], index)
            for form in name_forms(row["name"]):
                self.enter("name", form, index)

    def enter(self, kind, value, index):
        if value:
            self.by.setdefault((kind, value), set()).add(index)

    def questions(self, student):
        name, user = student["student"], student.get("id") or ""
        name = student.get("name") or name
        if student["platform"] == "moodle":
            yield "number", student.get("number")
        if student["platform"] == "canvas":
            yield "canvas", student.get("number")
            # It may be an id of the school. But other students' ids may be such numbers as well.
            named = self.by.get(("name", plain_letters(name)), set())
            if not named or named & self.by.get(("id", student.get("number")), set()):
                yield "id", student.get("number")
        for value in (user, name if student["platform"] in ("plain", "github") else ""):
            yield "id", value.casefold()
            yield "mail", value.casefold()
        yield "mail", (student.get("mail") or "").casefold()
        if student["platform"] != "moodle":
            yield "user", (user or name).casefold()
        yield "name", plain_letters(name)
        if "-" in name:  # Moodle puts the group before the name
            group, rest = name.split("-", 1)
            if any(row["group"] and plain_letters(row["group"]) == plain_letters(group) for row in self.rows):
                yield "name", plain_letters(rest)

    def find(self, student):
        """(row, None, ()), or (None, why there is none, rows that it could be)."""
        several = set()
        for kind, value in self.questions(student):
            rows = self.by.get((kind, value), ()) if value else ()
            if len(rows) == 1:
                return next(iter(rows)), None, ()
            several |= set(rows)
        return None, "several students on the roster have this name" if several else "not on the roster", several


def join_roster(students, rows):
    """Puts names and ids into the students, and adds those who are absent; in the order of the roster."""
    roster, found, possible = Roster(rows), {}, {}
    for student in students:
        index, student["unknown"], could_be = roster.find(student)
        for other in could_be:
            possible.setdefault(other, []).append(student["student"])
        if index is not None:
            found.setdefault(index, []).append(student)
    for index, mine in found.items():
        for student in mine:
            if len(mine) > 1:
                student["unknown"] = f"{len(mine)} submissions match line {rows[index]['line']} of the roster"
            else:
                row = rows[index]
                student.update(student=row["name"], id=row["id"] or student.get("id"), group=row["group"],
                               mail=row["mail"] or student.get("mail"), canvas=row["canvas"], login=row["login"],
                               row=index, unknown=None)
                for record in student["labs"].values():
                    record.update(maximum=row["maximum"], modified=row["modified"])
    for index, row in enumerate(rows):
        if index not in found:
            students.append({"student": row["name"], "identity": f"roster:{row['id'] or row['mail'] or row['name']}",
                             "folder": None, "entry": row["name"], "platform": "roster", "id": row["id"],
                             "mail": row["mail"], "group": row["group"], "canvas": row["canvas"],
                             "login": row["login"], "row": index, "problem": None, "labs": {}}
                            | ({"unclear": f"compare with {', '.join(possible[index])}"} if index in possible
                               else {"absent": True}))
    names = [student["student"] for student in students]
    for student in students:
        if student.get("row") is not None and names.count(student["student"]) > 1:
            line = f"line {rows[student['row']]['line']}"
            student["student"] += f" ({student.get('id') or student.get('mail') or line})"
    students.sort(key=lambda student: student["row"] if student.get("row") is not None else len(rows))


def matches(student, text):
    values = (student["student"], student["folder"], student.get("id"), student.get("mail"), student.get("name"),
              student.get("user"), student.get("login"), student.get("number"))
    return text in values or text.casefold() in [v.casefold() for v in values if v]


def find_student(students, text, where):
    """None, and a mistake, if there is no such student or several. So does find_lab."""
    text = unicodedata.normalize("NFC", text)
    found = [student for student in students if matches(student, text)]
    if len(found) == 1:
        return found[0]
    if not found:
        wrong(f"{where}: there is no student '{text}'")
    else:
        names = [student["student"] for student in found]
        if len(set(names)) < len(names):
            names = [student["folder"] for student in found]
        wrong(f"{where}: '{text}' can be {' or '.join(names)}")
    return None


def find_lab(labs, text, where):
    number = re.fullmatch(r"(?:lab)?0*(\d{1,4})", text.lower())
    for lab in labs:
        if text == lab or number and int(number[1]) == int(re.match(r"lab0*(\d+)", lab)[1]):
            return lab
    wrong(f"{where}: there is no lab '{text}'. The labs: {' '.join(labs)}")
    return None


# ---- week after week -------------------------------------------------------------------------


def name_of_directory(student):
    safe = re.sub(rb"[^A-Za-z0-9._@+=,-]", lambda m: b"%%%02X" % m[0][0], student["student"].encode()).decode()[:150]
    return f"%{ord(safe[0]):02X}" + safe[1:] if safe[:1] in (".", "-") or not safe else safe


LASTING = ("canvas", "blackboard", "github")  # platforms whose identity is of one person, and no name


def contradicts(student, old):
    """Whether what is known of both shows that they are two: the id, otherwise the mail address."""
    for field in ("id", "mail"):
        mine, other = student.get(field), old.get(field)
        if mine and other:
            return mine.casefold() != other.casefold()
    return False


def previous_of(student, previous):
    """The same student in the previous run: found by the platform's identity, or by the roster's."""
    platform, identity = student["platform"], student["identity"]
    previous = [old for old in previous if not contradicts(student, old)
                or platform in LASTING and old.get("identity") == identity]
    for field in ("identity", "id", "mail"):
        value = student.get(field)
        mine = [old for old in previous if value and old.get(field) == value]
        if len(mine) == 1:
            return mine[0]
    # Results of before there were identities.
    mine = [old for old in previous if "identity" not in old and old["folder"] == student["folder"]]
    if mine:
        return mine[0]
    mine = [old for old in previous if old["student"] == student["student"] and not old.get("id")]
    platforms = {platform, mine[0].get("platform")} if len(mine) == 1 else ()
    return mine[0] if "roster" in platforms or len(platforms) == 1 and platform not in LASTING else None


def kept_labs(old, named, lacking, results):
    """Labs that are not named this time keep what they had. So do those of the others that are lacking in this download,
    as long as the result is there: a download may be of one late student. So does the reason why what was handed in
    could not be graded."""
    kept = {lab: value for lab, value in old.get("labs", {}).items() if lab not in named}
    for value in kept.values():
        value.pop("kept", None)  # of an earlier download
    for lab in lacking:
        value = old.get("labs", {}).get(lab, {"problem": NOTHING})
        if value.get("problem", NOTHING) != NOTHING and not old.get("unclear"):
            kept[lab] = value | {"kept": True}
        if "key" in value and os.path.exists(f"{results}/students/{old['folder']}/{lab.split('-')[0]}.json"):
            kept[lab] = value | {"kept": True}
            for version in [kept[lab]] + value.get("attempts", []):
                version.pop("file", None)  # there is nothing to grade again
    return kept


def lacking_labs(student, named, chosen):
    """The labs that this download lacks of this student: all, if the student is not in it. If the instructor has chosen the
    labs, whoever is in it has not handed in those that are lacking."""
    if student["platform"] == "roster":
        return named
    records = {lab: student["labs"].get(lab, {"problem": NOTHING}) for lab in named}
    return [] if chosen else [lab for lab in named if records[lab].get("problem", "").startswith(NOTHING)]


def user_of(student):
    """Blackboard's name for a student, once it is known."""
    kind, _, user = (student.get("identity") or "").partition(":")
    return user if kind == "blackboard" else student.get("user")


def join_previous(students, previous, named, chosen, results):
    previous = [old | {"user": user_of(old)} for old in previous if old.get("folder")]
    used, joined = set(), set()
    for student in students:
        student["user"] = user_of(student)
        old = previous_of(student, previous)
        kept = {}
        if old is not None and old["folder"] not in used:
            student["folder"] = old["folder"]
            for field in ("id", "mail", "group", "canvas", "login", "user"):
                student[field] = student.get(field) or old.get(field)
            if old.get("id") and student["platform"] in ("moodle", "canvas") and student.get("row") is None:
                student["student"] = old["student"]
            kept = kept_labs(old, named, lacking_labs(student, named, chosen), results)
            used.add(old["folder"])
            joined.add(id(student))
            if any("key" in value or value.get("kept") for value in kept.values()):
                student.pop("absent", None)
        nothing = {"problem": student.get("unclear") or student["problem"] or NOTHING}
        student["labs"] = {lab: student["labs"].get(lab, nothing) for lab in named} | kept
    gone = []
    for old in previous:
        if old["folder"] in used:
            continue
        kept = kept_labs(old, named, named, results)
        if any("key" in value or "override" in value for value in kept.values()) or could_not_be_graded(old, kept, results):
            kept = {lab: {"problem": NOTHING} for lab in named} | kept
            gone.append(old | {"labs": kept, "problem": None, "row": None})
    taken = used | {old["folder"] for old in gone}
    for student in students:
        if id(student) in joined:
            continue
        student["folder"] = student["folder"] or name_of_directory(student)
        while student["folder"] in taken:
            student["folder"] += "~"
        taken.add(student["folder"])
    students += gone


def could_not_be_graded(old, kept, results):
    """Something was handed in, and the sheet goes on saying why it has no points."""
    return (any(value.get("problem", NOTHING) != NOTHING for value in kept.values()) and not old.get("unclear")
            and os.path.isdir(f"{results}/students/{old['folder']}"))


def not_handed_in(students, named, roster, platforms):
    """{lab of this run: {of, students}}: who on the roster, or else of those known from other labs, has handed in nothing.

    Nobody who may be in this download under a different name: left out are those whose name somebody else has who is not on
    the roster and, without a roster, those known from other platforms.
    """
    def forms(student):
        on_roster = student.get("row") is not None
        return name_forms(roster[student["row"]]["name"] if on_roster else student.get("name") or student["student"])

    if roster:
        known = expected = [student for student in students if student.get("row") is not None]
    else:
        known = [student for student in students
                 if any("key" in record for lab, record in student["labs"].items() if lab not in named)]
        expected = [student for student in known if student.get("platform") in platforms]
    count = Counter(form for student in students if student.get("row") is None for form in forms(student))
    own = 0 if roster else 1
    expected = [student for student in expected if not student["problem"] and all(count[form] <= own for form in forms(student))]
    return {lab: {"of": len(roster or known), "students": [
        student["student"] for student in expected if student["labs"].get(lab, {}).get("problem") == NOTHING]}
        for lab in named}


# ---- lateness, overrides ---------------------------------------------------------------------


def set_late(record, lab, options):
    """late: {days, percent}; days: null if the platform only says that it was late."""
    due, when = options["due"].get(lab), record.get("when")
    late = record.pop("late", False)
    days = None
    if due and when:
        time = datetime.strptime(when[:19], "%Y-%m-%d %H:%M:%S")
        if when.endswith("UTC"):
            time = time.replace(tzinfo=timezone.utc).astimezone().replace(tzinfo=None)
        days = max(0, math.ceil((time - datetime.fromisoformat(due)) / timedelta(days=1)))
    if days or late:
        record["late"] = {"days": days or None, "percent": options["percent"]}


def read_due(text, labs):
    result = {}
    for part in filter(None, (text or "").split(",")):
        lab, equals, date = part.partition("=")
        if not equals:
            wrong(f"--due: '{part}' does not say of which lab: write 1=2026-11-28")
            continue
        lab = find_lab(labs, lab.strip(), "--due")
        try:
            # Python reads more than these two forms, some as a time that was not meant.
            match = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(T[0-9]{2}:[0-9]{2})?", date.strip())
            time = datetime.fromisoformat(match[0])
            if not match[2]:  # the whole day
                time += timedelta(days=1)
        except (TypeError, ValueError, OverflowError):
            wrong(f"--due: '{date}' is not a date such as 2026-11-28 or 2026-11-28T18:00")
            continue
        result[lab] = time.isoformat()
    return result


def read_overrides(path, students, labs, columns):
    """Points for a lab that has no column yet count as soon as it has one."""
    for student in students:
        for record in student["labs"].values():
            record.pop("override", None)
    if not os.path.exists(path):
        return
    names, rows = read_rows(path, "overrides.csv")
    for column in ("student", "lab", "points", "reason"):
        if column not in names:
            wrong(f"overrides.csv, line 1: the column {column} is missing. The columns: student,lab,points,reason")
    stop_if_wrong()
    first = {}
    for line, row in rows:
        where = f"overrides.csv, line {line}"
        student = find_student(students, row.get("student", ""), where)
        lab = find_lab(labs, row.get("lab", ""), where)
        points = row.get("points", "").replace(",", ".")
        if MORE in row:
            wrong(f"{where}: it has more cells than there are columns. Is there a comma in it, as in 80,5? Write 80.5, or \"80,5\"")
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", points) or float(points) > 100:
            wrong(f"{where}: '{row.get('points', '')}' is not a number of points from 0 to 100")
        if not row.get("reason"):
            wrong(f"{where}: there is no reason")
        if student and lab and first.setdefault((student["folder"], lab), line) != line:
            wrong(f"{where}: there is a line for this student and this lab already, line {first[student['folder'], lab]}")
        if not mistakes and lab in columns:
            number = float(points)
            student["labs"].setdefault(lab, {"problem": student["problem"] or NOTHING})["override"] = {
                "points": int(number) if number == int(number) else number, "reason": row["reason"]}


def read_regrade(words, students, named):
    result = []
    for word in words:
        name, _, lab = word.rpartition("/") if "/" in word else (word, "", "")
        student = find_student(students, name, "--regrade")
        labs = [find_lab(named, lab, "--regrade, among the labs of this run")] if lab else named
        if student and all(labs):
            result += [f"students/{student['folder']}/{lab.split('-')[0]}" for lab in labs]
    return result


def read_weights(text, labs, columns):
    if not text:
        return None
    weights = {}
    for part in text.split(","):
        lab, _, number = part.partition("=")
        if not re.fullmatch(r"\d+(\.\d+)?", number.strip()):
            wrong(f"--weights: '{part}' is not LAB=NUMBER")
            continue
        weights[find_lab(labs, lab.strip(), "--weights")] = float(number)
    if missing := [lab for lab in columns if lab not in weights]:
        wrong(f"--weights: there is no weight for {', '.join(missing)}")
    return weights


# ---- all together ----------------------------------------------------------------------------


def load(path, default):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return default


def save(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file)


def main():
    results, work, grader = sys.argv[1:4]
    options = json.loads(sys.argv[4])
    students, download = load(f"{work}/index.json", []), load(f"{work}/download.json", {})
    previous = load(f"{results}/.class/submissions.json", [])
    named = options["labs"] or download["labs"]
    if not named:
        stop("no submission has a directory that is named after a lab. If they contain just server.c, name the lab:"
             " --labs 1")
    options["due"] = read_due(options["due"], options["all"])
    for student in students:
        for lab, record in student["labs"].items():
            record["feedback"] = student.get("feedback")
            record["number"] = student.get("number")
            record["platform"] = student["platform"]
            for version in [record] + record.get("attempts", []):
                if "file" in version:
                    version["key"] = f"{version['sha256']} {grader}"
                    set_late(version, lab, options)
    roster = read_roster(options["roster"]) if options["roster"] else []
    stop_if_wrong()
    platforms = {student["platform"] for student in students}
    if roster:
        join_roster(students, roster)
    join_previous(students, previous, named, options["labs"], results)
    columns = sorted(set(named) | {lab for student in students for lab, record in student["labs"].items()
                                   if lab in options["all"] and ("key" in record or "override" in record)})
    read_overrides(f"{results}/overrides.csv", students, options["all"], columns)
    weights = read_weights(options["weights"], options["all"], columns)
    regrade = read_regrade(options["regrade"], students, named)
    stop_if_wrong()
    save(f"{work}/weights.json", weights)
    save(f"{work}/columns.json", columns)
    save(f"{work}/named.json", named)
    save(f"{work}/due.json", options["due"])
    save(f"{work}/not-handed-in.json", not_handed_in(students, named, roster, platforms))
    save(f"{work}/submissions.json", students)
    with open(f"{work}/regrade", "w", encoding="utf-8") as file:
        for path in regrade:
            print(path, file=file)


main()
