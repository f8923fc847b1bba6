#!/usr/bin/env python3
"""read-submissions.py CLASS OUT LAB... - extracts each student's server.c for each lab.

Each entry of the directory CLASS is one student: a directory, a .zip or a .tar.gz. The files are
copied to OUT/N.c, and a JSON array on standard output lists them:

  [{"student": "ada", "entry": "ada.zip", "problem": null,
    "labs": {"lab01-blocking": {"file": "0.c", "sha256": "..."},
             "lab02-fork": {"problem": "not handed in"}}}]

Archives are never unpacked to disk, and no name in an archive is used as a path: only regular files
named .../labNN-*/server.c are read, and only up to a size limit. Symbolic links in directories are not
followed. As a second line of defence, this script runs in a sandbox with resource limits.
"""
import hashlib
import json
import os
import re
import signal
import stat
import sys
import tarfile
import zipfile

MAX_BYTES = 1 << 20  # of one server.c
MAX_MEMBERS = 20000  # of one archive
MAX_UNPACKED = 1 << 30  # bytes of a .tar.gz that are unpacked to find its members
MAX_SECONDS = 30  # for one entry
MAX_DEPTH = 5

ARCHIVES = (".zip", ".tar.gz", ".tgz")
JUNK = {"__MACOSX", ".DS_Store", ".git"}


class Problem(Exception):
    pass


def read_limited(file):
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Problem(f"server.c is larger than {MAX_BYTES} bytes")
    return data


def open_without_following(path):
    """Does not follow a symbolic link, and does not block on a pipe."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


class Directory:
    def __init__(self, path):
        self.root = path

    def servers(self):
        found = []

        def search(parts):
            with os.scandir(os.path.join(self.root, *parts)) as scan:
                entries = sorted(scan, key=lambda e: e.name)
            if len(entries) > MAX_MEMBERS:
                raise Problem(f"more than {MAX_MEMBERS} files")
            for entry in entries:
                if entry.name in JUNK:
                    continue
                if entry.name == "server.c":
                    found.append((*parts, entry.name))
                elif len(parts) < MAX_DEPTH and entry.is_dir(follow_symlinks=False):
                    search((*parts, entry.name))

        search(())
        return found

    def read(self, member):
        try:
            fd = open_without_following(os.path.join(self.root, *member))
        except OSError as error:
            raise Problem(f"server.c cannot be opened as a regular file: {error.strerror}") from error
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Problem("server.c is not a regular file")
            return read_limited(file)


def parts_of(name):
    """The path of a server.c in an archive, or None if it is some other file or leads outside."""
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if not parts or parts[-1] != "server.c" or name.startswith("/") or ".." in parts:
        return None
    if len(parts) > MAX_DEPTH + 1 or JUNK & set(parts):
        return None
    return parts


class Zip:
    def __init__(self, path):
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Problem(f"not a zip file: {error}") from error
        if len(self.zip.infolist()) > MAX_MEMBERS:
            raise Problem(f"more than {MAX_MEMBERS} files in the archive")
        self.members = {}
        for info in self.zip.infolist():
            mode = info.external_attr >> 16
            regular = stat.S_IFMT(mode) in (0, stat.S_IFREG)
            if (parts := parts_of(info.filename)) and regular and not info.is_dir():
                self.members[parts] = info

    def servers(self):
        return list(self.members)

    def read(self, member):
        try:
            with self.zip.open(self.members[member]) as file:
                return read_limited(file)
        except Problem:
            raise
        except Exception as error:  # a damaged or encrypted member may raise almost anything
            raise Problem(f"server.c cannot be unpacked: {error}") from error


class Tar:
    """Read once, as a stream, since every pass over an archive bomb is expensive."""

    def __init__(self, path):
        self.members = {}
        try:
            with tarfile.open(path, "r|gz") as tar:
                for count, info in enumerate(tar):
                    if count >= MAX_MEMBERS:
                        raise Problem(f"more than {MAX_MEMBERS} files in the archive")
                    if info.offset_data + max(info.size, 0) > MAX_UNPACKED:
                        raise Problem(f"the archive unpacks to more than {MAX_UNPACKED} bytes")
                    if info.isreg() and (parts := parts_of(info.name)):
                        self.members[parts] = tar.extractfile(info).read(MAX_BYTES + 1)
        except Problem:
            raise
        except Exception as error:
            raise Problem(f"not a tar.gz file: {error}") from error

    def servers(self):
        return list(self.members)

    def read(self, member):
        if len(self.members[member]) > MAX_BYTES:
            raise Problem(f"server.c is larger than {MAX_BYTES} bytes")
        return self.members[member]


def open_entry(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return Directory(path)
    if not stat.S_ISREG(mode):
        raise Problem("not a directory or an archive, but a "
                      + ("symbolic link" if stat.S_ISLNK(mode) else "special file"))
    lower = path.lower()
    if lower.endswith(".zip"):
        return Zip(path)
    if lower.endswith((".tar.gz", ".tgz")):
        return Tar(path)
    raise Problem("not a directory, a .zip or a .tar.gz")


def lab_number(directory):
    match = re.fullmatch(r"lab0*(\d{1,4})(-.*)?", directory)
    return int(match[1]) if match else None


def choose(servers, lab, only):
    """The server.c of this lab that is nearest to the top; two at the same depth are a problem."""
    mine = [m for m in servers if len(m) > 1 and lab_number(m[-2]) == lab_number(lab)]
    if not mine and only:  # just server.c will do if only one lab is graded
        mine = [m for m in servers if len(m) == 1 or lab_number(m[-2]) is None]
    if not mine:
        raise Problem("not handed in")
    depth = min(map(len, mine))
    nearest = [m for m in mine if len(m) == depth]
    if len(nearest) > 1:
        raise Problem(f"{len(nearest)} server.c files for this lab: rename all but one")
    return nearest[0]


def safe_name(name):
    """The name of a results directory: replaces by %XX what a path, shell or terminal could misread."""
    safe = re.sub(rb"[^A-Za-z0-9._@+=,-]", lambda m: b"%%%02X" % m[0][0], os.fsencode(name)).decode()
    if safe.startswith((".", "-")) or safe in ("grades.csv", "report.html"):
        safe = f"%{ord(safe[0]):02X}" + safe[1:]
    if len(safe) > 200:
        safe = safe[:180] + "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return safe


def without_extension(name):
    for extension in ARCHIVES:
        if name.lower().endswith(extension) and len(name) > len(extension):
            return name[: -len(extension)]
    return name


def on_alarm(_signal, _frame):
    raise Problem(f"reading it took more than {MAX_SECONDS} seconds")


def main():
    submissions, out, labs = sys.argv[1], sys.argv[2], sys.argv[3:]
    names = sorted(os.listdir(submissions))
    students = [without_extension(name) for name in names]
    signal.signal(signal.SIGALRM, on_alarm)
    result, files = [], 0
    for name, student in zip(names, students):
        if students.count(student) > 1:  # ada and ada.zip: list both
            student = name
        entry = {"student": student.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                 "folder": safe_name(student),
                 "entry": name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                 "problem": None, "labs": {}}
        signal.alarm(MAX_SECONDS)
        try:
            source = open_entry(os.path.join(submissions, name))
            servers = source.servers()
            for lab in labs:
                try:
                    data = source.read(choose(servers, lab, len(labs) == 1))
                    with open(os.path.join(out, f"{files}.c"), "wb") as file:
                        file.write(data)
                    entry["labs"][lab] = {"file": f"{files}.c",
                                          "sha256": hashlib.sha256(data).hexdigest()}
                    files += 1
                except Problem as problem:
                    entry["labs"][lab] = {"problem": str(problem)}
        except Problem as problem:
            entry["problem"] = str(problem)
        except (OSError, MemoryError, RecursionError) as error:
            entry["problem"] = f"it cannot be read: {type(error).__name__}"
        signal.alarm(0)
        result.append(entry)
    json.dump(result, sys.stdout)


main()
