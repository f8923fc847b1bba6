#!/usr/bin/env python3
"""make-archives.py CLASS SERVER VICTIM - adds hostile archives and directories to CLASS, one per student.

SERVER is a correct server.c; VICTIM is a file that no submission may read.
"""
import io
import os
import stat
import sys
import tarfile
import zipfile

directory, server, victim = sys.argv[1:]
code = open(server, "rb").read()
LAB = "lab01-blocking/server.c"


def path(name):
    return os.path.join(directory, name)


def zip_of(name, *members, **options):
    with zipfile.ZipFile(path(name), "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for member, data in members:
            archive.writestr(member, data)


def tar_of(name, *members):
    with tarfile.open(path(name), "w:gz") as archive:
        for member, data, kind in members:
            info = tarfile.TarInfo(member)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
            else:
                info.linkname = data
                archive.addfile(info)


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


# Members and links that lead outside the archive or the directory.
zip_of("zip-with-dots.zip", ("../../../escaped/" + LAB, code), ("/tmp/escaped/" + LAB, code))
zip_of("zip-with-link.zip", (link(LAB), victim))
tar_of("tar-with-dots.tar.gz", ("../../escaped/" + LAB, code, tarfile.REGTYPE),
       ("/tmp/escaped/" + LAB, code, tarfile.REGTYPE))
tar_of("tar-with-links.tar.gz", ("lab01-blocking", "/etc", tarfile.SYMTYPE), (LAB, victim, tarfile.SYMTYPE),
       ("x/" + LAB, victim, tarfile.LNKTYPE), ("y/" + LAB, "", tarfile.FIFOTYPE))
os.makedirs(path("directory-with-link/lab01-blocking"))
os.symlink(victim, path("directory-with-link/" + LAB))
os.makedirs(path("directory-with-pipe/lab01-blocking"))
os.mkfifo(path("directory-with-pipe/" + LAB))
os.makedirs(path("link-to-other-student"))
os.symlink("../../aaa-correct/lab01-blocking", path("link-to-other-student/lab01-blocking"))
os.symlink("aaa-correct", path("entry-is-a-link"))

# Archives that unpack to much more.
with zipfile.ZipFile(path("zip-bomb.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
    with archive.open(LAB, "w", force_zip64=True) as file:
        for _ in range(512):
            file.write(bytes(1 << 20))
with tarfile.open(path("tar-bomb.tar.gz"), "w:gz", compresslevel=1) as archive:
    info = tarfile.TarInfo("filler")
    info.size = 1500 << 20

    class Zeros(io.RawIOBase):
        def read(self, size=-1):
            return bytes(min(size, 1 << 20) if size > 0 else 1 << 20)

    archive.addfile(info, Zeros())
zip_of("many-members.zip", *((f"{i}/nothing", b"") for i in range(20001)))
open(path("broken.zip"), "wb").write(b"PK\x03\x04 and then garbage")
open(path("broken.tar.gz"), "wb").write(b"\x1f\x8b and then garbage")

# Names that could be misread.
name = "=cmd|' \"$(touch escaped)\";\n<script>alert(2)</script> `touch escaped` \x1b[2J"
os.makedirs(path(name.replace("/", "")) + "/lab01-blocking")
open(path(name.replace("/", "")) + "/" + LAB, "wb").write(code)
os.makedirs(path("grades.csv/lab01-blocking"))
open(path("grades.csv/" + LAB), "wb").write(code)
os.makedirs(os.fsencode(path("")) + b"not-utf8-\xff\xfe/lab01-blocking")
open(os.fsencode(path("")) + b"not-utf8-\xff\xfe/" + LAB.encode(), "wb").write(code)

# A submission that brings its own tools.
os.makedirs(path("own-makefile/lab01-blocking"))
open(path("own-makefile/" + LAB), "w").write("int main(void) { return 0; }\n")
for name in ("Makefile", "GNUmakefile", "lab.mk", "test.c", "libc.so", "results.json", "solution.c"):
    open(path("own-makefile/lab01-blocking/" + name), "w").write(
        'all server test:\n\techo \'[{"lab": "lab01-blocking", "score": 100}]\'\n')
open(path("letter.docx"), "w").write("the dog ate it\n")
open(path(".hidden"), "w").write("")
