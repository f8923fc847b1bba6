"""Whose files are whose: the names in a learning platform's download, and in a plain directory.

The formats, each with where its names are made or read:
  moodle      FULL NAME_12345_assignsubmission_file_ or ..._file (a directory), or ..._file_server.c (a file):
              Moodle's mod/assign/feedback/file/importziplib.php, which splits these names at their underscores
  canvas      lastnamefirstname_LATE_12345_67890_server-1.c, the numbers being those of the user and the file:
              Canvas's Assignment#generate_comments_from_files; instructors' scripts such as canvas-submission-unzip;
              anon_7Hq2k_67890_server.c if graded anonymously; lastnamefirstname_12345_text.html
  blackboard  Lab 1_USERNAME_attempt_2026-11-28-10-00-00_server.c and ..._2026-11-28-10-00-00.txt:
              github.com/kwurst/bb-file-cleanup, and converters that also meet gradebook_COURSE_ before it
  gradescope  submission_12345/ and submission_metadata.yml, whose keys are Ruby symbols (:submitters:, :name:, :sid:):
              scripts that rename Gradescope's exports
  github      LAB-USERNAME, clones with .git, possibly in a directory per organization: `gh classroom clone`
"""
import json
import os
import re
import unicodedata
from collections import Counter
from datetime import datetime, timezone

from .archives import ARCHIVES, is_junk

FORMATS = ("moodle", "canvas", "blackboard", "gradescope", "github", "plain")
TITLES = {"moodle": "Moodle", "canvas": "Canvas", "blackboard": "Blackboard", "gradescope": "Gradescope",
          "github": "GitHub", "plain": "plain directory"}
NO_STUDENTS = (".csv", ".tsv", ".xls", ".xlsx", ".ods", ".txt", ".md", ".log", ".yml", ".yaml")
METADATA = "submission_metadata.yml"

# Lazy, so that nothing in a file's name, which the student chose, counts as the student's name or number.
MOODLE = re.compile(r"(.+?)_(\d+)_assign(submission|feedback)_([a-z]+)(?:_(.*))?", re.S)
CANVAS_LATE = re.compile(r"(.+?)_LATE_(\d+)_(\d+)(?:_(.+))?", re.S)
CANVAS_STUDENT = r"(anon(?=_)|.+?)_(LATE_)?(\d+|(?<=anon_)[0-9A-Za-z]{5}|(?<=anon_LATE_)[0-9A-Za-z]{5})"
CANVAS = re.compile(CANVAS_STUDENT + r"_(\d+)(?:_(.+))?", re.S)
# What a student typed, or a link, instead of a file. There is no number of a file.
CANVAS_ENTRY = re.compile(CANVAS_STUDENT + r"_()((?:text|link)\.html)", re.S)
BLACKBOARD = re.compile(r"(.+?)_(?:group)?attempt_(\d{4}(?:-\d\d){5})(?:_(.+)|(\.txt))?", re.S)
LAB_IN_NAME = re.compile(r"\blab[ _-]*0*(\d{1,4})(?!\d)", re.I)


class Attempt:
    """files: [(path below the directory, name that the student gave it)]; when: a time, if the name has one."""

    def __init__(self, order, when=None, lab=None):
        self.order, self.when, self.lab = order, when, lab
        self.late = False
        self.files = []


class Student:
    """key: the same in each download of this platform, as far as it has such a thing."""

    def __init__(self, key, name, **fields):
        self.key, self.name = key, name
        self.fields = fields  # id, mail, number, late and so on, as they are in the download
        self.attempts = {}

    def attempt(self, order, when=None, lab=None):
        return self.attempts.setdefault((order, lab), Attempt(order, when, lab))

    def ordered(self):
        return [self.attempts[key] for key in sorted(self.attempts, key=lambda k: (k[0], k[1] or 0))]


def readable(name):
    """The name as text in composed form: a Mac decomposes Hangul and umlauts."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def lab_in(text):
    match = LAB_IN_NAME.search(text)
    return int(match[1]) if match else None


def without_extension(name):
    for extension in ARCHIVES:
        if name.lower().endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)]
    return name


def not_a_student(root, name):
    """A directory is a student even if it is called grades.csv."""
    return is_junk(name) or name.lower().endswith(NO_STUDENTS) and not os.path.isdir(os.path.join(root, name))


# ---- Moodle ----------------------------------------------------------------------------------


def read_moodle(names):
    """Two students of the same name differ in their number, which is valid for one assignment only."""
    matches = [(name, MOODLE.fullmatch(name)) for name in names]
    numbers = {}
    for _, match in matches:
        if match:
            numbers.setdefault(readable(match[1]), set()).add(match[2])
    students, others = {}, []
    for name, match in matches:
        if not match:
            others.append(name)
            continue
        full_name, number, kind, plugin, rest = match.groups()
        full_name = readable(full_name)
        unique = len(numbers[full_name]) == 1
        key = f"moodle:{full_name}" if unique else f"moodle:{full_name}:{number}"
        student = students.setdefault(key, Student(key, full_name, number=number, platform="moodle"))
        if kind == "feedback":
            continue
        prefix = name[: match.start(5)] if rest is not None else name
        if plugin == "file" or "feedback" not in student.fields:
            # A directory keeps its name; a file's name is kept up to the part that the student chose.
            student.fields["feedback"] = readable(prefix) + ("" if rest else "/")
        student.attempt(0).files.append((name, rest or name))
    return list(students.values()), others


# ---- Canvas ----------------------------------------------------------------------------------


def match_canvas(name):
    return CANVAS.fullmatch(name) or CANVAS_ENTRY.fullmatch(name)


def is_canvas(root, matches):
    """team_1_2026001 and lab_1_20261001_kim.zip look the same. In Canvas, a number has one name, and students have several;
    if all have the same, some file of the download is no archive."""
    names = {}
    for match in matches:
        names.setdefault(match[3], set()).add(match[1] if match[1] != "anon" else match[3])
    if len(set().union(*names.values())) > 1:
        return all(len(several) == 1 for several in names.values())
    return any(os.path.isfile(os.path.join(root, match[0])) and without_extension(match[0]) == match[0] for match in matches)


def read_canvas(names):
    matches = [(name, match_canvas(name)) for name in names]
    others = [name for name, match in matches if not match]
    students, had = {}, Counter()
    for name, match in sorted((pair for pair in matches if pair[1]), key=lambda pair: int(pair[1][4] or 0)):
        who, late, user, number, file = match.groups()
        key = f"canvas:{user}"
        anonymous = who == "anon" and len(user) == 5
        student = students.setdefault(key, Student(key, f"anon_{user}" if anonymous else readable(who),
                                                   number=None if anonymous else user, platform="canvas"))
        if not number:
            student.attempt(1).files.append((name, file))
            continue
        # A file that was handed in again has the suffix -1, and the greater number.
        original = re.sub(r"-\d{1,3}(?=(\.[^.]*)*$)", "", file or "", count=1)
        had[user, original] += 1
        attempt = student.attempt(had[user, original])
        attempt.files.append((name, original or name))
        attempt.late = bool(late)
        # Canvas finds the student of an uploaded file by both numbers.
        student.fields["feedback"] = readable(name[: match.end(4)]) + "_"
    return list(students.values()), others


def read_late(names):
    late = [name for name in names if CANVAS_LATE.fullmatch(name)]
    return read_canvas(late)[0], [name for name in names if name not in late]


# ---- Blackboard ------------------------------------------------------------------------------


def blackboard_text(root, name):
    """USERNAME and name from the first line of a .txt: "Name: Ada Lovelace (alovelace)"."""
    try:
        with open(os.path.join(root, name), "rb") as file:
            first = file.read(2000).decode("utf-8-sig", "replace").split("\n")[0]
    except OSError:
        return None
    match = re.fullmatch(r"Name:\s*(.*?)\s*\(([^()]+)\)\s*", first.strip())
    return (match[2], readable(match[1])) if match else None


def common_assignment(prefixes):
    """What all PREFIX_USERNAME have in common, up to an underscore."""
    if len(set(prefixes)) < 2:
        return ""
    return re.sub(r"[^_]*$", "", os.path.commonprefix(list(prefixes)))


def read_blackboard(names, root):
    matches = [(name, BLACKBOARD.fullmatch(name)) for name in names]
    others = [name for name, match in matches if not match]
    matches = [(name, match) for name, match in matches if match]
    known = {}  # the part before _attempt_ -> username, name
    for name, match in matches:
        if match[4] and (text := blackboard_text(root, name)) and match[1].endswith("_" + text[0]):
            known[match[1]] = text
    assignment = common_assignment([match[1] for _, match in matches])
    students = {}
    for name, match in matches:
        if match[1] in known:
            user, full_name = known[match[1]]
        else:
            user = match[1][len(assignment):] if assignment else match[1].rsplit("_", 1)[-1]
            full_name = None
        key = f"blackboard:{user}"
        student = students.setdefault(key, Student(key, readable(user), id=readable(user), platform="blackboard"))
        student.name = full_name or student.name
        day, hour = match[2][:10], match[2][11:].replace("-", ":")
        attempt = student.attempt(match[2], f"{day} {hour}", lab_in(match[1][: -len(user)]))
        if not match[4]:
            attempt.files.append((name, match[3] or name))
    return list(students.values()), others


# ---- Gradescope ------------------------------------------------------------------------------


def scalar(text):
    """A YAML scalar as Ruby writes it: plain, in single quotes or in double quotes."""
    text = text.strip()
    if text in ("", "~", "null"):
        return None
    if len(text) >= 2 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    if text[0] == '"':
        try:
            text = str(json.loads(re.sub(r"\\x([0-9A-Fa-f]{2})", r"\\u00\1", text)))
            return text.encode("utf-8", "replace").decode()  # without half a surrogate pair
        except ValueError:
            return text.strip('"')
    return text


def in_utc(created):
    """2026-02-11 14:23:05.000000000 Z, as "2026-02-11 14:23:05 UTC"; None if it is not such a time."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)? ?(Z|[+-]\d\d:?\d\d)", created)
    if not match:
        return None
    zone = "+0000" if match[3] == "Z" else match[3].replace(":", "")
    time = datetime.strptime(f"{match[1]} {match[2]} {zone}", "%Y-%m-%d %H:%M:%S %z")
    return time.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def read_metadata(path):
    """{submission: {"submitters": [{name, sid, email}], "created": TIME}} of a submission_metadata.yml.

    Only these keys are read, each on a line of its own and at the indentation that Gradescope uses.
    """
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        lines = file.read(50_000_000).splitlines()
    result, current, within = {}, None, None
    for line in lines:
        if match := re.fullmatch(r"(['\"]?)([^\s:'\"#-][^:'\"]*)\1:\s*", line):
            current = result.setdefault(match[2], {"submitters": [], "created": None})
            within = None
        elif current is None:
            continue
        elif match := re.fullmatch(r"  :(\w+):(.*)", line):
            within = match[1]
            if within == "created_at":
                current["created"] = scalar(match[2])
        elif within == "submitters" and (match := re.fullmatch(r"\s+(- )?\s*:(name|sid|email):(.*)", line)):
            if match[1] or not current["submitters"]:
                current["submitters"].append({})
            current["submitters"][-1][match[2]] = scalar(match[3])
    return result


def read_gradescope(names, root):
    metadata = read_metadata(os.path.join(root, METADATA))
    students, others = {}, []
    for name in names:
        if name == METADATA:
            continue
        if not_a_student(root, name):
            others.append(name)
            continue
        about = metadata.get(without_extension(name)) or metadata.get(name) or {}
        for person in about.get("submitters") or [{}]:  # a group's submission counts for each of its members
            label = readable(person.get("name") or person.get("email") or without_extension(name))
            key = f"gradescope:{person.get('sid') or person.get('email') or label}"
            student = students.setdefault(key, Student(key, label, id=person.get("sid"), mail=person.get("email"),
                                                       platform="gradescope"))
            created = about.get("created") or ""
            attempt = student.attempt(f"{created} {name}", in_utc(created))
            attempt.files.append((name, name))
    return list(students.values()), others


# ---- GitHub ----------------------------------------------------------------------------------


def is_clone(root, name):
    return os.path.isdir(os.path.join(root, name)) and os.path.lexists(os.path.join(root, name, ".git"))


def clones(root, names):
    """The clones among the names, and in directories among them, which are organizations."""
    found, others = [], []
    for name in names:
        path = os.path.join(root, name)
        inner = []
        if is_clone(root, name):
            inner = [name]
        elif os.path.isdir(path) and not os.path.islink(path):
            inner = [f"{name}/{n}" for n in sorted(os.listdir(path)) if is_clone(path, n)]
        found += inner
        if not inner:
            others.append(name)
    return found, others


def read_github(names, root, labs):
    """LAB-USERNAME: without the part that all have, or that names a lab."""
    repositories, others = clones(root, names)
    by_directory = {}
    for path in repositories:
        by_directory.setdefault(os.path.dirname(path), []).append(os.path.basename(path))
    students = {}
    for directory, basenames in by_directory.items():
        own = os.path.basename(os.path.join(root, directory).rstrip("/"))
        start = re.sub(r"-submissions$", "", own) + "-"
        if not all(name.startswith(start) and name != start for name in basenames):
            start = re.sub(r"[^-]*$", "", os.path.commonprefix(basenames)) if len(basenames) > 1 else ""
        for name in basenames:
            prefix = next((lab + "-" for lab in labs if name.startswith(lab + "-")), None)
            if prefix is None:
                match = re.match(r"lab[_-]?\d{1,4}-", name, re.I)
                prefix = match[0] if match and len(match[0]) > len(start) else start
            user = readable(name[len(prefix):] or name)
            key = f"github:{user.lower()}"
            student = students.setdefault(key, Student(key, user, platform="github"))
            path = f"{directory}/{name}" if directory else name
            student.attempt(path, None, lab_in(prefix)).files.append((path, name))
    return list(students.values()), others


# ---- a plain directory -----------------------------------------------------------------------


def read_plain(names):
    students = []
    labels = {name: without_extension(name) for name in names}
    several = True
    while several:  # ada, ada.zip and ada.zip.zip: list all
        count = Counter(labels.values())
        several = [name for name in names if count[labels[name]] > 1 and labels[name] != name]
        labels |= {name: name for name in several}
    for name, label in labels.items():
        student = Student("plain:" + readable(label), readable(label), platform="plain", raw=label)
        student.attempt(0).files.append((name, name))
        students.append(student)
    return students


# ---- which of them ---------------------------------------------------------------------------


def recognize(root, names):
    """The format that the names have, or "plain"."""
    if METADATA in names:
        return "gradescope"
    candidates = [name for name in names if not not_a_student(root, name)]
    for kind, match in (("moodle", MOODLE.fullmatch), ("blackboard", BLACKBOARD.fullmatch), ("canvas", match_canvas)):
        matches = [match(c) for c in candidates if match(c)]
        if 2 * len(matches) > len(candidates) and (kind != "canvas" or is_canvas(root, matches)):
            return kind
    inside, others = clones(root, candidates)
    if inside and len(others) <= len(candidates) / 2:
        return "github"
    return "plain"


def the_only_directory(root, names):
    """A download may be a directory in the directory where it was unpacked."""
    candidates = [name for name in names if not not_a_student(root, name)]
    path = os.path.join(root, candidates[0]) if len(candidates) == 1 else None
    return path if path and os.path.isdir(path) and not os.path.islink(path) and not is_clone(root, candidates[0]) else None


def read_names(root, forced, labs):
    """(format, root, students, names that are no students); forced: a format, or None to recognize it."""
    names, around = sorted(os.listdir(root)), []
    kind = forced or recognize(root, names)
    inner = the_only_directory(root, names)
    if inner and (kind == "plain" and not forced or forced == "gradescope" and METADATA not in names):
        inner_names = sorted(os.listdir(inner))
        inner_kind = forced or recognize(inner, inner_names)
        if inner_kind != "plain":
            around = [name for name in names if not_a_student(root, name)]
            kind, root, names = inner_kind, inner, inner_names
    if kind == "moodle":
        students, others = read_moodle(names)
    elif kind == "canvas":
        students, others = read_canvas(names)
    elif kind == "blackboard":
        students, others = read_blackboard(names, root)
    elif kind == "gradescope":
        if METADATA not in names:
            return kind, root, [], names
        students, others = read_gradescope(names, root)
    elif kind == "github":
        students, others = read_github(names, root, labs)
    else:
        students, others = [], names
    if not forced:  # collected by hand from several downloads
        for read in (read_moodle, lambda rest: read_blackboard(rest, root), read_late):
            more, others = read(others)
            students += more
    ignored = around + [name for name in others if not_a_student(root, name)]
    students += read_plain([name for name in others if not not_a_student(root, name)])
    return kind, root, students, ignored
