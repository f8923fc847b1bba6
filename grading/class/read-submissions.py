#!/usr/bin/env python3
"""collect.py CLASS OUT LAB... - takes the server.c of each student and lab out of what was handed in.

Each entry of the folder CLASS is a student: a folder, a .zip or a .tar.gz. Their files are copied to
OUT/N.c; standard output says, as one JSON array, what was found:

  [{"student": "ada", "entry": "ada.zip", "problem": null,
    "labs": {"lab01-blocking": {"file": "0.c", "sha256": "..."},
             "lab02-fork": {"problem": "not handed in"}}}]

Nothing is ever unpacked to the disk, and no name out of an archive is used as a path: a member is
looked at only if it is a regular file called .../labNN-*/server.c, and its bytes are read up to a
limit. In folders no symbolic link is followed. This runs in a sandbox, with limits, all the same.
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

MOST_BYTES = 1 << 20  # of one server.c
MOST_MEMBERS = 20000  # of one archive
MOST_UNPACKED = 1 << 30  # bytes of a .tar.gz that are read to find its members
SECONDS = 30  # for one entry
MOST_DEPTH = 5

ARCHIVES = (".zip", ".tar.gz", ".tgz")
JUNK = {"__MACOSX", ".DS_Store", ".git"}


class Problem(Exception):
    pass


def read_limited(file):
    data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise Problem(f"server.c is larger than {MOST_BYTES} bytes")
    return data


def open_nothing_else(path, flags, folder=None):
    """A regular file or a folder, never what a symbolic link names, never a device or a pipe."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)


class Folder:
    def __init__(self, path):
        self.root = path

    def servers(self):
        found = []

        def look(parts):
            here = os.path.join(self.root, *parts)
            with os.scandir(here) as entries:
                names = sorted(entries, key=lambda e: e.name)
            if len(names) > MOST_MEMBERS:
                raise Problem(f"more than {MOST_MEMBERS} files")
            for entry in names:
                if entry.name in JUNK:
                    continue
                if entry.name == "server.c":
                    found.append((*parts, entry.name))
                elif len(parts) < MOST_DEPTH and entry.is_dir(follow_symlinks=False):
                    look((*parts, entry.name))

        look(())
        return found

    def read(self, member):
        try:
            fd = open_nothing_else(os.path.join(self.root, *member), os.O_RDONLY)
        except OSError as error:
            raise Problem(f"server.c cannot be opened as a plain file: {error.strerror}") from error
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise Problem("server.c is no plain file")
            return read_limited(file)


def parts_of(name):
    """The path of an archive's member, or None if it is none of ours or wants out."""
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if not parts or parts[-1] != "server.c" or name.startswith("/") or ".." in parts:
        return None
    if len(parts) > MOST_DEPTH + 1 or JUNK & set(parts):
        return None
    return parts


class Zip:
    def __init__(self, path):
        try:
            self.zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise Problem(f"no zip file: {error}") from error
        if len(self.zip.infolist()) > MOST_MEMBERS:
            raise Problem(f"more than {MOST_MEMBERS} files in the archive")
        self.members = {}
        for info in self.zip.infolist():
            mode = info.external_attr >> 16
            plain = stat.S_IFMT(mode) in (0, stat.S_IFREG)
            if (parts := parts_of(info.filename)) and plain and not info.is_dir():
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
    """Read once, as a stream: a second pass over a bomb would cost as much again."""

    def __init__(self, path):
        self.members = {}
        try:
            with tarfile.open(path, "r|gz") as tar:
                for count, info in enumerate(tar):
                    if count >= MOST_MEMBERS:
                        raise Problem(f"more than {MOST_MEMBERS} files in the archive")
                    if info.offset_data + max(info.size, 0) > MOST_UNPACKED:
                        raise Problem(f"the archive unpacks to more than {MOST_UNPACKED} bytes")
                    if info.isreg() and (parts := parts_of(info.name)):
                        self.members[parts] = tar.extractfile(info).read(MOST_BYTES + 1)
        except Problem:
            raise
        except Exception as error:
            raise Problem(f"no tar.gz file: {error}") from error

    def servers(self):
        return list(self.members)

    def read(self, member):
        if len(self.members[member]) > MOST_BYTES:
            raise Problem(f"server.c is larger than {MOST_BYTES} bytes")
        return self.members[member]


def open_entry(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return Folder(path)
    if not stat.S_ISREG(mode):
        raise Problem("neither a folder nor an archive, but a "
                      + ("symbolic link" if stat.S_ISLNK(mode) else "special file"))
    lower = path.lower()
    if lower.endswith(".zip"):
        return Zip(path)
    if lower.endswith((".tar.gz", ".tgz")):
        return Tar(path)
    raise Problem("neither a folder nor a .zip nor a .tar.gz")


def lab_number(folder):
    match = re.fullmatch(r"lab0*(\d{1,4})(-.*)?", folder)
    return int(match[1]) if match else None


def choose(servers, lab, only):
    """The member that is this lab's: the one nearest to the top; two alike are a problem."""
    mine = [m for m in servers if len(m) > 1 and lab_number(m[-2]) == lab_number(lab)]
    if not mine and only:  # server.c alone, when one lab is asked for
        mine = [m for m in servers if len(m) == 1 or lab_number(m[-2]) is None]
    if not mine:
        raise Problem("not handed in")
    depth = min(map(len, mine))
    nearest = [m for m in mine if len(m) == depth]
    if len(nearest) > 1:
        raise Problem(f"{len(nearest)} files server.c for this lab: which is it?")
    return nearest[0]


def safe_name(name):
    """Of a result's folder: what a path, a shell or a terminal could misread is written as %XX."""
    safe = re.sub(rb"[^A-Za-z0-9._@+=,-]", lambda m: b"%%%02X" % m[0][0], os.fsencode(name)).decode()
    if safe.startswith((".", "-")) or safe in ("grades.csv", "report.html"):
        safe = f"%{ord(safe[0]):02X}" + safe[1:]
    if len(safe) > 200:
        safe = safe[:180] + "~" + hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return safe


def without_ending(name):
    for ending in ARCHIVES:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def too_long(_signal, _frame):
    raise Problem(f"it took more than {SECONDS} seconds to read")


def main():
    folder, out, labs = sys.argv[1], sys.argv[2], sys.argv[3:]
    names = sorted(os.listdir(folder))
    plain = [without_ending(name) for name in names]
    signal.signal(signal.SIGALRM, too_long)
    result, files = [], 0
    for name, student in zip(names, plain):
        if plain.count(student) > 1:  # ada and ada.zip: both are listed
            student = name
        entry = {"student": student.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                 "folder": safe_name(student),
                 "entry": name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
                 "problem": None, "labs": {}}
        signal.alarm(SECONDS)
        try:
            source = open_entry(os.path.join(folder, name))
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
