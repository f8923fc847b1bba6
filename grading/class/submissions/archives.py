"""The files that a student handed in: in a directory, in an archive, or in an archive in a directory.

Archives are never unpacked to disk, and no name in an archive is used as a path: of each archive, only regular
files that could be a server.c are read, and only up to a size limit. Symbolic links in directories are not
followed.
"""
import os
import re
import shutil
import stat
import subprocess
import tarfile
import zipfile

MAX_BYTES = 1 << 20  # of one server.c
MAX_MEMBERS = 20000  # of one archive
MAX_SERVERS = 500  # of one archive, since they are kept in memory
MAX_NESTED = 20  # archives in one directory
MAX_UNPACKED = 1 << 30  # bytes of a .tar.gz that are unpacked to find its members
MAX_DEPTH = 20  # directories in each other; what is deeper is only listed
MAX_SEEN = 1000

TAR_NAMES = (".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.bz2", ".tbz2", ".tbz", ".tar")
BSDTAR_NAMES = (".rar", ".7z")
ARCHIVES = (".zip",) + TAR_NAMES + BSDTAR_NAMES
JUNK = {"__MACOSX", ".DS_Store", ".git", "Thumbs.db", "desktop.ini"}
# What browsers and operating systems make of server.c: "Server.c", "server (1).c", "server-1.c", "server copy.c".
SERVER = re.compile(r"server(?:[ _-]*\(?\d{1,3}\)?|[ _-]+\(?copy\)?(?:[ _-]*\(?\d{1,3}\)?)?)?\.c", re.I)


class Problem(Exception):
    pass


class TimeIsUp(Problem):
    """Nothing more of this student's is read: the next archive could take as long."""


def server_rank(name):
    """0 if this is server.c, 1 if in other letters, 2 if it could be a copy of it, None if it is some other file."""
    if not SERVER.fullmatch(name):
        return None
    return 0 if name == "server.c" else 1 if name.lower() == "server.c" else 2


def is_junk(name):
    return name in JUNK or name.startswith("._")


def archive_extension(name):
    """The extension if this is the name of an archive that can be read, else None."""
    return next((e for e in ARCHIVES if name.lower().endswith(e) and len(name) > len(e)), None)


def read_limited(file):
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Problem(f"server.c is larger than {MAX_BYTES} bytes")
    return data


class Member:
    """A file that could be a server.c. parts: its path, which is only compared; archive: where it is in, if in one."""

    def __init__(self, parts, read, archive=None):
        self.parts = parts
        self.read = read
        self.archive = archive

    def name(self):
        return "/".join(((self.archive,) if self.archive else ()) + self.parts)


class Found:
    """members: files that could be a server.c; seen: names of other files; problems: why something was not read."""

    def __init__(self):
        self.members, self.seen, self.problems = [], [], []

    def note(self, name):
        if len(self.seen) < MAX_SEEN:
            self.seen.append(name)

    def add(self, other, prefix=(), archive=None):
        for member in other.members:
            self.members.append(Member(prefix + member.parts, member.read, archive or member.archive))
        for name in other.seen:
            self.note("/".join(prefix + (name,)))
        self.problems += other.problems


def read_file(path):
    """Does not follow a symbolic link, and does not block on a pipe."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Problem(f"server.c cannot be opened as a regular file: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Problem("server.c is not a regular file")
        with open(fd, "rb", closefd=False) as file:
            return read_limited(file)
    finally:
        os.close(fd)


def search_directory(root):
    found = Found()
    nested = []

    def search(parts):
        try:
            with os.scandir(os.path.join(root, *parts)) as scan:
                entries = sorted(scan, key=lambda e: e.name)
        except OSError as error:
            found.problems.append(f"{'/'.join(parts) or 'it'} cannot be read: {error.strerror}")
            return
        if len(entries) > MAX_MEMBERS:
            raise Problem(f"more than {MAX_MEMBERS} files")
        for entry in entries:
            path = (*parts, entry.name)
            if is_junk(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if server_rank(entry.name) is not None:
                    found.note("/".join(path) + "/")
                if len(parts) < MAX_DEPTH:
                    search(path)
                elif server_rank(entry.name) is None:
                    found.note("/".join(path) + "/")
            elif server_rank(entry.name) is not None:
                found.members.append(Member(path, lambda path=path: read_file(os.path.join(root, *path))))
            elif archive_extension(entry.name) and entry.is_file(follow_symlinks=False):
                nested.append(path)
            else:
                found.note("/".join(path))

    search(())
    if len(nested) > MAX_NESTED:
        raise Problem(f"more than {MAX_NESTED} archives")
    for path in nested:
        add_archive(found, os.path.join(root, *path), path, f"{path[-1][:60]}: ")
    return found


def add_archive(found, path, parts, prefix=""):
    """Adds the members of the archive at path, which is at parts in what the student handed in, or the problem."""
    try:
        found.add(search_archive(path), parts[:-1], "/".join(parts))
    except TimeIsUp:
        raise
    except Problem as problem:
        found.problems.append(prefix + str(problem))


def parts_of(name):
    """The path of a file in an archive, or None if it leads outside or is of no interest."""
    parts = tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if not parts or name.startswith("/") or ".." in parts:
        return None
    if any(is_junk(part) for part in parts):
        return None
    return parts


def search_zip(path):
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise Problem(f"not a zip file: {error}") from error
    if len(archive.infolist()) > MAX_MEMBERS:
        raise Problem(f"more than {MAX_MEMBERS} files in the archive")

    def read(info):
        try:
            with archive.open(info) as file:
                return read_limited(file)
        except Problem:
            raise
        except Exception as error:  # a damaged or encrypted member may raise almost anything
            raise Problem(f"server.c cannot be unpacked: {error}") from error

    found, by_parts = Found(), {}
    for info in archive.infolist():
        regular = stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG)
        parts = parts_of(info.filename)
        if not parts or not regular or info.is_dir():
            continue
        if server_rank(parts[-1]) is None or len(parts) > MAX_DEPTH + 1:
            found.note("/".join(parts))
        else:  # of two members with one name, the last counts, as for a program that unpacks them
            by_parts[parts] = Member(parts, lambda info=info: read(info))
    found.members = list(by_parts.values())
    return found


def search_tar_stream(tar):
    """Reads it once, as a stream, since every pass over an archive bomb is expensive."""
    found, by_parts = Found(), {}

    def member(parts, data):
        def read():
            if len(data) > MAX_BYTES:
                raise Problem(f"server.c is larger than {MAX_BYTES} bytes")
            return data
        return Member(parts, read)

    for count, info in enumerate(tar):
        if count >= MAX_MEMBERS:
            raise Problem(f"more than {MAX_MEMBERS} files in the archive")
        if info.offset_data + max(info.size, 0) > MAX_UNPACKED:
            raise Problem(f"the archive unpacks to more than {MAX_UNPACKED} bytes")
        if not info.isreg() or not (parts := parts_of(info.name)):
            continue
        if server_rank(parts[-1]) is None or len(parts) > MAX_DEPTH + 1:
            found.note("/".join(parts))
            continue
        by_parts[parts] = member(parts, tar.extractfile(info).read(MAX_BYTES + 1))
        if len(by_parts) > MAX_SERVERS:
            raise Problem(f"more than {MAX_SERVERS} server.c files in the archive")
    found.members = list(by_parts.values())
    return found


def search_tar(path, extension):
    try:
        with tarfile.open(path, "r|*") as tar:
            return search_tar_stream(tar)
    except Problem:
        raise
    except Exception as error:
        raise Problem(f"not a {extension[1:]} file: {error}") from error


def search_with_bsdtar(path, extension):
    """A .rar or .7z: Debian's bsdtar converts it to a tar stream, so that the same limits hold."""
    bsdtar = shutil.which("bsdtar")
    if not bsdtar:
        raise Problem(f"a {extension} file: install the Debian package libarchive-tools to have it read")
    command = [bsdtar, "-c", "-f", "-", "--format", "pax", "@" + os.path.abspath(path)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            found = search_tar_stream(tar)
        if process.wait(10) != 0 and not found.members:
            raise ValueError("it is damaged, encrypted or something else")
        return found
    except Problem:
        raise
    except Exception as error:
        raise Problem(f"not a {extension[1:]} file that bsdtar can read: {error}") from error
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def search_archive(path):
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        raise Problem("not a regular file")
    extension = archive_extension(os.path.basename(path))
    if extension == ".zip":
        return search_zip(path)
    if extension in BSDTAR_NAMES:
        return search_with_bsdtar(path, extension)
    return search_tar(path, extension)


def search_entry(path, name, alone):
    """What is at path: a directory, an archive or, in a download without directories, one of several files.

    name: as the student called it; alone: a file that is neither is a problem.
    """
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return search_directory(path)
    found = Found()
    if not stat.S_ISREG(mode):
        raise Problem("not a directory or an archive, but a "
                      + ("symbolic link" if stat.S_ISLNK(mode) else "special file"))
    if archive_extension(name):
        add_archive(found, path, (name,))
    elif alone:
        raise Problem("not a directory or an archive (.zip, .tar.gz)")
    elif server_rank(name) is not None:
        found.members.append(Member((name,), lambda: read_file(path)))
    elif not is_junk(name):
        found.note(name)
    return found
