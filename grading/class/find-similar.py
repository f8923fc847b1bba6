#!/usr/bin/env python3
"""find-similar.py WORK STARTERS - compares the submissions of each lab, and prints pairs that an instructor should look at.

WORK/compare.json is {LAB: [[FOLDER, FILE], ...]}: the students' directories and their servers in WORK. STARTERS contains
the starters of all labs. Prints

  {LAB: {"compared": 30, "problem": null, "not_compared": [{"folder": "ben", "reason": "..."}], "untouched": ["cleo"],
         "pairs": [{"a": "ada", "b": "dan", "share": 93, "tokens": 410, "same": false, "group": null,
                    "passages": [[[LINE of a, LINE of b], ...], ...]}], "more": 0, "groups": [["ada", "ben", "dan"]],
         "sources": {"ada": {"1": "int main(void)"}}, "starter": {"ada": [1]}}}

"share" is the percentage of what one of the two has added to the starter. There are fewer pairs than students, however
many have copied from one: a pair is listed if it connects two groups, the most similar first. "group" is an index into
"groups", of three or more. "starter" lists the lines that were given, in this lab's starter or in that of any lab.

The comparison is Debian's sim_c, which compares tokens: comments, layout and the names of variables do not count.
Nothing here is a verdict. The submissions are untrusted: this runs in a sandbox, and the size of what is read and
printed and the time are limited.
"""
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from bisect import bisect_left, bisect_right
from difflib import SequenceMatcher

RUN = 24  # tokens in a row that must be the same, as in sim_c's default
MIN_TOKENS = 60  # in common, beyond the starter: fewer happen by chance
MIN_SHARE = 60  # percent of what one of the two has added to the starter
MAX_BYTES = 200_000  # of a submission; the longest solution has 30,000
MAX_TOKENS = 20_000  # the longest solution has 4,000
MAX_PAIRS = 40  # of a lab, listed
MAX_SHOWN = 1_500_000  # characters of a lab's sources in the report
MAX_LINE = 240  # characters of a line that are shown
SECONDS = 300  # of CPU time, for all labs: not of a clock, so that a busy machine makes no difference
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\u2028\u2029]")
KEYWORDS = set("""auto break case char const continue default do double else enum extern float for goto if inline int
    long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while""".split())
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|[A-Za-z_]\w*|\.?\d[\w.]*|\S')
COMMENT = re.compile(r'("(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\')|/\*.*?(?:\*/|\Z)|//[^\n]*', re.S)


def without_comments(text):
    """The same lines, without comments."""
    return COMMENT.sub(lambda match: match[1] or " " + "\n" * match[0].count("\n"), text)


def kind(token):
    if token[0] in "\"'":
        return token[0]
    if token[0].isalpha() or token[0] == "_":
        return token if token in KEYWORDS else "x"
    return "0" if token[0].isdigit() else token


class Source:
    """One file: its lines, and the tokens of each line."""

    def __init__(self, text):
        self.lines = text.split("\n")
        bare = without_comments(text).split("\n")
        self.tokens = [TOKEN.findall(line) if not re.match(r"\s*#\s*include", line) else [] for line in bare]
        self.exact = ["".join(tokens) for tokens in self.tokens]
        self.shape = [" ".join(map(kind, tokens)) for tokens in self.tokens]
        self.size = sum(map(len, self.tokens))
        self.given = set()  # lines with the tokens of this lab's starter
        self.known = set()  # lines that are in the starter of some lab, to the letter

    def finish(self):
        """Once it is known which lines were given: what is the student's own."""
        own = [i for i, tokens in enumerate(self.tokens) if tokens and i not in self.given and i not in self.known]
        self.own, self.sum_before, total = own, [0], 0
        mine = set(own)
        for i, tokens in enumerate(self.tokens):
            total += len(tokens) if i in mine else 0
            self.sum_before.append(total)

    def own_lines(self, first, last):
        return set(self.own[bisect_left(self.own, first):bisect_right(self.own, last)])

    def tokens_between(self, first, last):
        """The number of own tokens in these lines."""
        end = len(self.tokens)
        return self.sum_before[min(last + 1, end)] - self.sum_before[min(first, end)]

    def tokens_of(self, lines):
        return sum(len(self.tokens[i]) for i in lines)

    def enough(self, common):
        """In percent, or 0 if so little does not matter."""
        share = 100 * common // self.sum_before[-1] if common >= MIN_TOKENS else 0
        return share if share >= MIN_SHARE else 0

    def repetitive(self):
        """sim_c takes long for thousands of equal lines, and no server needs them."""
        kinds = " ".join(self.shape).split()
        pieces = [tuple(kinds[i:i + 8]) for i in range(len(kinds) - 8)]
        return len(pieces) > 2000 and len(set(pieces)) < len(pieces) / 5


def read(path):
    with open(path, "rb") as file:
        data = file.read(MAX_BYTES + 1)
    text = data[:MAX_BYTES].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return text, len(data) > MAX_BYTES


def sim_c(files, options, seconds):
    """[(file, first, last, file, first, last)], lines counted from 0. None: it took too long, or crashed."""
    def limit():
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    process = subprocess.Popen(["sim_c", "-n", "-T", "-r", str(RUN), *options, "-i"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", preexec_fn=limit)
    try:
        process.stdin.write("".join(file + "\n" for file in files))
        process.stdin.close()
        found = []
        for line in process.stdout:
            match = re.match(r"(\d+|starter)\.c: line (\d+)-(\d+)\s*\|(\d+|starter)\.c: line (\d+)-(\d+)\s*\[\d+\]", line)
            if match:
                file_a, a0, a1, file_b, b0, b1 = match.groups()
                if len(found) > 1_000_000:
                    process.kill()
                found.append((file_a, int(a0) - 1, int(a1) - 1, file_b, int(b0) - 1, int(b1) - 1))
    except BrokenPipeError:
        pass
    return found if process.wait() == 0 else None


class Lab:
    """The submissions of one lab: {number: Source}, and whose each is."""

    def __init__(self, lab, entries, work, starters):
        self.not_compared, self.untouched, self.copies, self.sources, self.folders = [], [], [], {}, {}
        self.starter = starters.get(lab, Source(""))
        known = {line for starter in starters.values() for line in starter.exact if line}
        self.comments = {line.strip() for starter in starters.values() for line in starter.lines}
        first_with = {}
        for number, (folder, file) in enumerate(entries):
            text, too_long = read(os.path.join(work, file))
            source, self.folders[number] = Source(text), folder
            source.known = {i for i, line in enumerate(source.exact) if line in known}
            code = "".join(source.exact)
            if code and code == "".join(self.starter.exact):
                self.untouched.append(folder)
            elif too_long or source.size > MAX_TOKENS:
                self.skip(number, "it is too long")
            elif source.size < MIN_TOKENS:
                self.skip(number, "it is too short")
            elif source.repetitive():
                self.skip(number, "it consists of repetitions")
            elif first_with.setdefault(code, number) != number:
                self.copies.append((first_with[code], number))
                self.sources[number] = source
            else:
                self.sources[number] = source
        self.compared = set(first_with.values())

    def skip(self, number, reason):
        self.not_compared.append({"folder": self.folders[number], "reason": reason})

    def mark_what_was_given(self):
        """Finds the starter's tokens in each file, one at a time: a file that is too much for sim_c costs only itself."""
        write("starter.c", self.starter)
        for number in sorted(self.compared):
            source = self.sources[number]
            write(f"{number}.c", source)
            runs = sim_c([f"{number}.c", "/", "starter.c"], ["-S"], 5)
            if runs is None:
                self.skip(number, "the comparison failed")
                self.compared.remove(number)
                continue
            for _, first, last, *_ in runs:
                source.given.update(range(first, last + 1))
            write(f"{number}.c", source, source.given)
        for a, b in self.copies:
            if self.sources[a].exact == self.sources[b].exact:
                self.sources[b].given = self.sources[a].given
        for source in self.sources.values():
            source.finish()

    def edges(self, seconds):
        """All pairs worth a look, as (share, tokens, a, b, runs), the most similar first."""
        found = sim_c([f"{number}.c" for number in sorted(self.compared)], ["-e", "-s"], seconds)
        self.problem = "the comparison took too long" if found is None else None
        pairs = {}
        for a, a0, a1, b, b0, b1 in found or []:
            pairs.setdefault((int(a), int(b)), []).append((a0, a1, b0, b1))
        edges = [edge for pair, runs in pairs.items() if (edge := self.edge(*pair, runs))]
        for a, b in self.copies:
            lines = len(self.sources[a].lines) - 1, len(self.sources[b].lines) - 1
            tokens = self.sources[a].tokens_of(set(range(lines[0] + 1)) - self.sources[a].given)
            edges.append((101, tokens, a, b, [(0, lines[0], 0, lines[1])]))
        edges.sort(key=lambda edge: (-edge[0], -edge[1], edge[2], edge[3]))
        return edges

    def edge(self, number_a, number_b, runs):
        """A run counts unless it overlaps a longer one: each line is counted once."""
        a, b = self.sources[number_a], self.sources[number_b]
        if not a.enough(sum(a.tokens_between(*run[:2]) for run in runs)) and \
                not b.enough(sum(b.tokens_between(*run[2:]) for run in runs)):
            return None
        kept, taken_a, taken_b = [], set(), set()
        runs = [(a.own_lines(*run[:2]), b.own_lines(*run[2:]), run) for run in runs]
        for lines_a, lines_b, run in sorted(runs, key=lambda run: -len(run[0]) - len(run[1])):
            if (lines_a or lines_b) and 2 * len(lines_a & taken_a) <= len(lines_a) and \
                    2 * len(lines_b & taken_b) <= len(lines_b):
                taken_a |= lines_a
                taken_b |= lines_b
                kept.append(run)
        common_a, common_b = a.tokens_of(taken_a), b.tokens_of(taken_b)
        share, tokens = max((a.enough(common_a), common_a), (b.enough(common_b), common_b))
        return (share, tokens, number_a, number_b, sorted(kept)) if share else None

    def rows(self, a, b, run):
        """[[line of a, line of b], ...], counted from 1: lines of the same tokens side by side."""
        a0, a1, b0, b1 = run
        shape_a, shape_b = self.sources[a].shape[a0:a1 + 1], self.sources[b].shape[b0:b1 + 1]
        rows = []
        blocks = [("replace", 0, len(shape_a), 0, len(shape_b))]
        if shape_a == shape_b:
            blocks = [("equal", 0, len(shape_a), 0, len(shape_b))]
        elif len(shape_a) * len(shape_b) < 250_000:
            blocks = SequenceMatcher(None, shape_a, shape_b, autojunk=False).get_opcodes()
        for _, i0, i1, j0, j1 in blocks:
            for k in range(max(i1 - i0, j1 - j0)):
                rows.append([a0 + i0 + k + 1 if i0 + k < i1 else None, b0 + j0 + k + 1 if j0 + k < j1 else None])
        return rows

    def show(self, number, lines, sources, starter):
        source, folder = self.sources[number], self.folders[number]
        shown, given = sources.setdefault(folder, {}), set(starter.get(folder, []))
        size = 0
        for line in lines:
            text = UNSAFE.sub("\ufffd", source.lines[line - 1].expandtabs(4))
            text = text if len(text) <= MAX_LINE else text[:MAX_LINE] + " ..."
            if str(line) not in shown:
                size += len(text) + 10
                shown[str(line)] = text
            if line - 1 in source.given or line - 1 in source.known or text.strip() in self.comments:
                given.add(line)
        starter[folder] = sorted(given)
        return size

    def result(self):
        self.mark_what_was_given()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        edges = self.edges(max(5, SECONDS - int(used.ru_utime + used.ru_stime)))
        groups, chosen = {number: [number] for number in self.sources}, []
        for edge in edges:
            a, b = edge[2:4]
            if groups[a] is not groups[b]:
                chosen.append(edge)
                groups[a] += groups[b]
                for member in groups[b]:
                    groups[member] = groups[a]
        listed, pairs, sources, starter, size = [], [], {}, {}, 0
        for share, tokens, a, b, runs in chosen[:MAX_PAIRS]:
            passages = [self.rows(a, b, run) for run in runs]
            if size < MAX_SHOWN:
                for number, column in ((a, 0), (b, 1)):
                    size += self.show(number, [row[column] for rows in passages for row in rows if row[column]], sources, starter)
            else:
                passages = []
            group = sorted(self.folders[member] for member in groups[a])
            if len(group) > 2 and group not in listed:
                listed.append(group)
            pairs.append({"a": self.folders[a], "b": self.folders[b], "share": min(share, 100), "tokens": tokens,
                          "same": share > 100, "group": listed.index(group) if len(group) > 2 else None,
                          "passages": passages})
        return {"compared": len(self.compared) + len(self.copies), "problem": self.problem, "not_compared": self.not_compared,
                "untouched": self.untouched, "pairs": pairs, "more": len(chosen) - len(pairs), "groups": listed,
                "sources": sources, "starter": starter}


def write(name, source, leave_out=frozenset()):
    """For sim_c: the tokens of each line, and nothing that it could read otherwise than we do."""
    with open(name, "w", encoding="ascii") as file:
        for index, tokens in enumerate(source.tokens):
            words = (re.sub(r"[^\x20-\x7e]|\?\?", "x", token) for token in tokens)
            file.write((" ".join(words) if index not in leave_out else "") + "\n")


def main():
    work, directory = map(os.path.realpath, sys.argv[1:3])
    starters = {name[:-2]: Source(read(os.path.join(directory, name))[0]) for name in sorted(os.listdir(directory))}
    with open(os.path.join(work, "compare.json"), encoding="utf-8") as file:
        labs = json.load(file)
    results, there = {}, shutil.which("sim_c") is not None
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        for name, entries in labs.items():
            lab = Lab(name, entries, work, starters)
            results[name] = lab.result() if there else {"problem": "missing", "untouched": lab.untouched}
        os.chdir("/")
    json.dump(results, sys.stdout)


main()
