#!/usr/bin/env python3
"""read-submissions.py [OPTION...] CLASS OUT LAB... - extracts each student's server.c for each lab.

CLASS is a directory with one entry per student, or a learning platform's download: submissions/downloads.py knows
their names. The files are copied to OUT/STUDENT-N.c, OUT/download.json describes the download, and a JSON array on standard
output lists the students:

  [{"student": "ada", "folder": "ada", "identity": "plain:ada", "entry": "ada.zip", "problem": null,
    "labs": {"lab01-blocking": {"file": "0-0.c", "sha256": "..."},
             "lab02-fork": {"problem": "not handed in"}}}]

Options: --from FORMAT; --course "LAB LAB ...", all labs of the course, which names of repositories contain; with
--all-attempts, "attempts" lists the files of the other attempts at a lab. Exit status 4: nothing in CLASS has the
names of the FORMAT. As a second line of defence beside the limits in submissions/archives.py, this script runs in a
sandbox with resource limits, and each student's files are read by a process with a CPU limit of its own: a student
whose archive takes long uses up nothing of the others'.
"""
import hashlib
import json
import os
import re
import resource
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from submissions import downloads  # noqa: E402
from submissions.archives import Found, Problem, TimeIsUp, search_entry, server_rank  # noqa: E402

MAX_SECONDS = 20  # of CPU time, for one student
MAX_WAITING = 300  # seconds, in case that reading waits for something
MAX_ENTRY = 1 << 20  # bytes that describe one student
MAX_ATTEMPTS = 20
SHOWN = 4  # names of files in a note


def lab_number(directory):
    """(number, rank) if a directory has the name of a lab, or one that can be meant as such: the lower, the nearer."""
    if match := re.fullmatch(r"lab0*(\d{1,4})(-.*)?", directory):
        if not re.search(r"[ (]|copy|old|backup", directory):
            return int(match[1]), 1
        return int(match[1]), 3
    if match := re.fullmatch(r"lab[ _-]*0*(\d{1,4})(?!\d)(.*)", directory, re.I | re.S):
        return int(match[1]), 2 if re.fullmatch(r"(-[a-z]+)?", match[2], re.I) else 3
    return None


def lab_of(member, lab):
    """How near the directories of this file are to the lab's name: 0 for exactly; None: it is in no lab's directory."""
    for part in reversed(member.parts[:-1]):
        if part == lab:
            return 0
        if named := lab_number(part):
            return named[1] if named[0] == lab_number(lab)[0] else False
    return None


def shortened(name):
    return name if len(name) <= 60 else name[:57] + "..."


def quoted(names):
    names = [shortened(name) for name in names]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def what_is_there(found, lab):
    """The files that could have been meant for this lab: not those of other labs; C files first."""
    def of_other_lab(name):
        numbers = [lab_number(part) for part in name.split("/")[:-1]]
        return any(n and n[0] != lab_number(lab)[0] for n in numbers)

    names = [name for name in [member.name() for member in found.members] + found.seen if not of_other_lab(name)]
    return sorted(names, key=lambda name: (not name.lower().endswith(".c"), name.count("/")))


def choose(found, lab, only):
    """The server.c of this lab: the exact name wins, then the one nearest to the top. Two that are equal: a problem.

    only: a server.c that is in no lab's directory counts as well.
    """
    ranked = []
    for member in found.members:
        directory = lab_of(member, lab)
        if directory is not None and directory is not False:
            ranked.append(((directory, server_rank(member.parts[-1]), bool(member.archive), len(member.parts)), member))
    if not ranked and only:  # just server.c will do if only one lab is graded
        for member in found.members:
            if lab_of(member, lab) is None:
                ranked.append(((9, server_rank(member.parts[-1]), bool(member.archive), len(member.parts)), member))
    if not ranked:
        if found.problems:
            raise Problem(found.problems[0])
        there = what_is_there(found, lab)
        raise Problem("not handed in" + (f"; there is {quoted(there)}" if there else ""))
    best = min(rank for rank, _ in ranked)
    nearest = [member for rank, member in ranked if rank == best]
    if len(nearest) > 1:
        raise Problem(f"{len(nearest)} server.c files for this lab: rename all but one "
                      f"({quoted([member.name() for member in nearest])})")
    exact = best[0] in (0, 1, 9) and best[1] == 0
    return nearest[0], None if exact else shortened(nearest[0].name())


def safe_name(name):
    """The name of a results directory: replaces by %XX what a path, shell or terminal could misread."""
    safe = re.sub(rb"[^A-Za-z0-9._@+=,-]", lambda m: b"%%%02X" % m[0][0], os.fsencode(name)).decode()
    if safe.startswith((".", "-")):
        safe = f"%{ord(safe[0]):02X}" + safe[1:]
    if len(safe) > 200:
        safe = safe[:180] + "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return safe


def on_limit(_signal, _frame):
    raise TimeIsUp(f"reading it took more than {MAX_SECONDS} seconds")


def search_attempt(root, attempt, alone):
    found = Found()
    for path, name in attempt.files:
        try:
            found.add(search_entry(os.path.join(root, path), name, alone))
        except TimeIsUp:
            raise
        except Problem as problem:
            found.problems.append(str(problem))
        except (OSError, MemoryError, RecursionError) as error:
            found.problems.append(f"it cannot be read: {type(error).__name__}")
    return found


class Reader:
    def __init__(self, root, out, labs, all_attempts):
        self.root, self.out, self.labs, self.all_attempts = root, out, labs, all_attempts
        self.students = self.files = 0

    def extract(self, found, lab, only):
        member, name = choose(found, lab, only)
        data = member.read()
        file = f"{self.students}-{self.files}.c"
        with open(os.path.join(self.out, file), "wb") as out:
            out.write(data)
        self.files += 1
        result = {"file": file, "sha256": hashlib.sha256(data).hexdigest()}
        return result | ({"name": name} if name else {})

    def read_lab(self, attempts, lab):
        """The latest attempt that contains the lab counts, even if it cannot be read; of all attempts, those that can."""
        number = lab_number(lab)[0]
        mine = [(attempt, found) for attempt, found in attempts if attempt.lab in (None, number)]
        problem, results = None, []
        for index in range(len(mine) - 1, -1, -1):
            attempt, found = mine[index]
            try:
                result = self.extract(found, lab, len(self.labs) == 1 or attempt.lab == number)
            except TimeIsUp:
                raise
            except Problem as error:
                problem = problem or str(error)
                if self.all_attempts or str(error).startswith("not handed in"):
                    continue
                break
            result |= {"late": True} if attempt.late else {}
            result |= {"when": attempt.when} if attempt.when else {}
            if len(mine) > 1 and attempt.lab != 0:
                result |= {"attempt": index + 1, "of": len(mine)}
            results.append(result)
            if not self.all_attempts:
                break
        if not results:
            return {"problem": problem or "not handed in"}
        return results[0] | ({"attempts": results[1:]} if len(results) > 1 else {})

    def read_within_limits(self, student):
        """Reads a student's files in a process of its own, which ends if it exceeds the limits."""
        entry = self.describe(student)
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiving)
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            hard = MAX_SECONDS + 1 if hard == resource.RLIM_INFINITY else min(hard, MAX_SECONDS + 1)
            resource.setrlimit(resource.RLIMIT_CPU, (min(MAX_SECONDS, hard), hard))
            signal.signal(signal.SIGXCPU, on_limit)
            signal.alarm(MAX_WAITING)
            self.read_student(student, entry)
            with open(sending, "w", encoding="utf-8") as pipe:
                json.dump(entry, pipe)
            os._exit(0)
        os.close(sending)
        with open(receiving, "rb") as pipe:
            data = pipe.read(MAX_ENTRY + 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        self.students += 1
        if status == 0 and len(data) <= MAX_ENTRY:
            return json.loads(data)
        entry["problem"] = ("it cannot be read: " + {
            -signal.SIGXCPU: f"it took more than {MAX_SECONDS} seconds",
            -signal.SIGKILL: f"it took more than {MAX_SECONDS} seconds, or too much memory",
            -signal.SIGALRM: f"it took more than {MAX_WAITING} seconds"}.get(status, f"exit status {status}"))
        return entry

    def describe(self, student):
        attempts = student.ordered()
        files = [path for attempt in attempts for path, _ in attempt.files]
        return {"student": student.name, "name": student.name, "folder": safe_name(student.fields.pop("raw", student.name)),
                 "identity": student.key, "entry": downloads.readable(files[-1] if files else student.name),
                 **student.fields, "problem": None, "labs": {}}

    def read_student(self, student, entry):
        attempts = student.ordered()
        try:
            alone = student.fields["platform"] == "plain"
            searched = [(attempt, search_attempt(self.root, attempt, alone)) for attempt in attempts[-MAX_ATTEMPTS:]]
            problems = [p for _, found in searched for p in found.problems]
            if problems and not any(found.members for _, found in searched):
                entry["problem"] = problems[-1]
            else:
                for lab in self.labs:
                    entry["labs"][lab] = self.read_lab(searched, lab)
        except Problem as problem:
            if entry["labs"]:  # what was read before remains
                entry["labs"] |= {lab: {"problem": str(problem)} for lab in self.labs if lab not in entry["labs"]}
            else:
                entry["problem"] = str(problem)
        except Exception as error:  # whatever is in an archive, the others' are read
            entry["problem"] = f"it cannot be read: {type(error).__name__}"


def tell_apart(entries):
    """Two students of one name get their number, id or mail address behind it."""
    names = [entry["student"] for entry in entries]
    identities = [entry["identity"] for entry in entries]
    taken = set()
    for entry in entries:
        if names.count(entry["student"]) > 1 and entry["platform"] != "plain":
            entry["student"] += f" ({entry.get('number') or entry.get('id') or entry.get('mail')})"
            entry["folder"] = safe_name(entry["student"])
        if identities.count(entry["identity"]) > 1:  # names that differ only in how they are encoded
            entry["identity"] += f" ({entry['folder']})"
        while entry["folder"] in taken:
            entry["folder"] += "~"
        taken.add(entry["folder"])


def main():
    arguments = sys.argv[1:]
    forced, all_attempts, course = None, False, []
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option == "--from":
            forced = arguments.pop(0)
        elif option == "--course":
            course = arguments.pop(0).split()
        elif option == "--all-attempts":
            all_attempts = True
    submissions, out, labs = arguments[0], arguments[1], arguments[2:]
    kind, root, students, ignored = downloads.read_names(submissions, forced, course or labs)
    if forced and forced != "plain" and not any(s.fields["platform"] == forced for s in students):
        sys.exit(4)
    attempts = [attempt for student in students for attempt in student.attempts.values()]
    if len(labs) == 1 and len({attempt.lab for attempt in attempts}) == 1:
        for attempt in attempts:  # a school may number its assignments otherwise
            attempt.lab = None
    reader = Reader(root, out, labs, all_attempts)
    entries = [reader.read_within_limits(student) for student in students]
    tell_apart(entries)
    handed_in = [lab for lab in labs if any("file" in e["labs"].get(lab, {}) for e in entries)]
    several = sum(any("attempt" in lab for lab in e["labs"].values()) for e in entries)
    with open(os.path.join(out, "download.json"), "w", encoding="utf-8") as file:
        json.dump({"format": kind, "title": downloads.TITLES[kind], "labs": handed_in, "several": several,
                   "ignored": [downloads.readable(n) for n in ignored if not downloads.is_junk(n)]}, file)
    json.dump(entries, sys.stdout)


main()
