"""Measures servers, and draws what each costs: called by grading/chart, which describes the arguments."""
import argparse
import csv
import dataclasses
import os
import pathlib
import random
import resource
import secrets
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import draw_charts
from server_process import ServerFailed, Session

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parents[1]
LABS = sorted(path.parent.name for path in ROOT.glob("lab[0-9]*/test.c"))
PEERS = {"bare": None, "libev": "/usr/include/ev.h", "libuv": "/usr/include/uv.h",
         "libevent": "/usr/include/event2/event.h", "go": "go"}
BUSY = 100  # clients, beside idle ones or with a rate
BACKEND_DELAYS = (0, 200)

COLUMNS = ["load", "server", "asked", "clients", "busy", "rate", "backend_ms", "slices", "requests",
           "requests_per_second", "requests_per_second_low", "requests_per_second_high", "cpu_us", "cpu_us_low",
           "cpu_us_high", "p50_us", "p99_us", "p999_us", "unanswered", "sleeps_per_request", "kib_per_client",
           "processes", "threads", "driver_busy", "stopped"]


@dataclasses.dataclass
class Server:
    name: str
    source: pathlib.Path
    kind: str  # lab, mine or peer
    searches: bool = False
    most_clients: int = 65536
    stopped: str = ""  # why there are no more
    broken: str = ""
    tasks_per_client: float = 0
    measured: dict = dataclasses.field(default_factory=dict)  # for each load, the most clients


@dataclasses.dataclass
class Point:
    load: str  # connections, idle, rate or searches
    value: int  # of what the load is named after
    delay: int | None = None

    def clients(self):
        return {"connections": self.value, "idle": BUSY + self.value, "rate": BUSY, "searches": self.value}[self.load]

    def __str__(self):
        return {"connections": f"{self.value} connections", "idle": f"{BUSY} busy, {self.value} idle",
                "rate": f"{self.value} requests/s", "searches": f"{self.value} searches, {self.delay} ms"}[self.load]


class Interrupted(Exception):
    pass


def message(text):
    sys.stderr.write(("\r\033[K" if sys.stderr.isatty() else "") + f"chart: {text}\n")


class Progress:
    """A bar with the time left, on a terminal only. A step's weight is about its seconds."""

    def __init__(self, weights):
        self.all, self.done, self.begin = sum(weights), 0.0, time.monotonic()

    def show(self, weight, part, text):
        if not sys.stderr.isatty():
            return
        share = min((self.done + weight * part) / self.all, 1)
        elapsed = time.monotonic() - self.begin
        left = elapsed / share - elapsed if share > 0.02 else self.all * (1 - share)
        bar = "#" * round(share * 24)
        sys.stderr.write(f"\r\033[K[{bar:-<24}] {share:4.0%}  {int(left // 60)}:{int(left % 60):02} left  {text}"[:100])
        sys.stderr.flush()

    def end_step(self, weight):
        self.done += weight


class Run:
    def __init__(self, options, servers, work):
        self.options, self.servers, self.work = options, servers, work
        self.cpus = sorted(os.sched_getaffinity(0))
        self.rows, self.backends = [], None
        self.number = str(secrets.randbelow(900000) + 100000)

    # ---- building ----------------------------------------------------------------------------------------------

    def build(self):
        (self.work / "servers").mkdir()
        targets = ["slices", "search-backends"]
        for server in self.servers:
            shutil.copyfile(server.source, self.work / "servers" / (server.name + server.source.suffix))
            targets.append(f"servers/{server.name}")
        make = subprocess.run(["make", "-s", "-k", "-O", f"-j{len(self.cpus)}", "-C", self.work, "-f",
                               BENCH / "Makefile", *targets], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if not all((self.work / name).exists() for name in targets[:2]):
            sys.stderr.buffer.write(make.stderr)
            give_up("the load generator does not compile")
        for server in self.servers:
            if not (self.work / "servers" / server.name).exists():
                self.leave_out(server, "does not compile")

    def leave_out(self, server, reason):
        server.broken = reason
        message(f"{server.name} {reason}, and is left out from here on")

    # ---- one point ---------------------------------------------------------------------------------------------

    def start_backends(self, delay):
        self.backends = Session.start(self.cpus[-1], [f"{self.work}/search-backends", str(delay), self.number])
        return [self.backends.stdout.readline().decode().strip().rsplit(":", 1)[-1] for _ in range(3)]

    def stop_backends(self):
        if self.backends is not None:
            self.backends.kill()
            self.backends.wait()
            self.backends.stdout.close()
            self.backends = None

    def start_session(self, server, point, ports):
        """Connects the clients, or as many as there can be. Returns None if that tells nothing new."""
        most = server.most_clients
        asked = min(point.clients(), most)
        if asked <= server.measured.get(point.load, 0) or point.load in ("rate", "idle") and asked < BUSY:
            return None
        suffix = " ".join(f"{name}{self.number}" for name in ("user", "query", "stock")) if ports else ""
        session = Session(server, self.work, self.cpus, ports, suffix, self.options.patience)
        try:
            self.connect(session, server, asked)
        except BaseException:
            session.end()
            raise
        if session.clients <= server.measured.get(point.load, 0) or \
                point.load in ("rate", "idle") and session.clients < BUSY:
            session.end()
            return None
        return session

    def connect(self, session, server, asked):
        """In two steps: the first shows whether the server has a process or a thread for each client."""
        few = min(asked, 20)
        session.connect(few, self.options.patience)
        if session.how == "all":
            tasks = session.tasks()[1]
            if few >= 10 and tasks > few / 2 and asked > self.options.tasks:
                asked = server.most_clients = self.options.tasks
                server.stopped = f"this run allows {asked:,} processes or threads (--tasks)"
            session.connect(asked, self.options.patience)
        if session.how != "all":
            server.most_clients = session.clients
            server.stopped = reason_for_stop(session)
            if session.clients == 0:
                raise ServerFailed(server.stopped)

    def measure(self, point, step, weight, until):
        sessions = []
        chosen = [s for s in self.servers if not s.broken and (s.searches or point.load != "searches")]
        ports = self.start_backends(point.delay) if point.delay is not None else []
        try:
            for i, server in enumerate(chosen):
                step.show(weight, 0.5 * i / len(chosen), f"{point}: connecting {server.name}")
                try:
                    session = self.start_session(server, point, ports)
                    if session is not None:
                        sessions.append(session)
                        session.begin_measuring()
                except ServerFailed as reason:
                    self.fail(sessions, server, reason)
            self.run_rounds(point, sessions, step, weight, until)
        finally:
            # What has been measured counts, also after Ctrl-C.
            rows = [self.finish(point, session) for session in sessions if session.slices]
            self.rows += [row for row in rows if row]
            for session in sessions:
                session.end()
            self.stop_backends()

    def fail(self, sessions, server, reason):
        for session in [s for s in sessions if s.server is server]:
            session.end()
            sessions.remove(session)
        self.leave_out(server, str(reason))

    def run_rounds(self, point, sessions, step, weight, until):
        seconds, rounds = self.options.seconds, self.options.rounds
        if point.delay:
            seconds, rounds = max(seconds, self.options.search_seconds), min(rounds, self.options.search_rounds)
        for number in range(rounds):
            if number > 0 and time.monotonic() > until:
                break
            for i, session in enumerate(random.sample(sessions, len(sessions))):
                step.show(weight, 0.5 + 0.5 * (number + i / len(sessions)) / rounds,
                          f"{point}: round {number + 1} of {rounds}")
                busy = min(BUSY, session.clients) if point.load in ("idle", "rate") else session.clients
                try:
                    session.slice(busy, seconds, point.value if point.load == "rate" else 0)
                except ServerFailed as reason:
                    self.fail(sessions, session.server, reason)

    def finish(self, point, session):
        server, slices = session.server, session.slices
        try:
            sleeps = session.sleeps() - session.sleeps_before
            memory, (processes, threads) = session.memory(), session.tasks()
            count, p50, p99, p999, unanswered = map(float, session.command("latencies"))
            if point.load != "searches":
                session.command("check")
        except ServerFailed as reason:
            self.leave_out(server, str(reason))
            return None
        server.measured[point.load] = session.clients if point.load != "rate" else 0
        requests = sum(s["requests"] for s in slices)
        rates = [s["requests"] / s["seconds"] for s in slices]
        costs = [s["cpu"] / s["requests"] for s in slices if s["requests"]]
        is_rate = point.load == "rate"
        row = dict.fromkeys(COLUMNS, "")
        row.update(load=point.load, server=server.name, asked=point.clients(), clients=session.clients,
                   busy=min(BUSY, session.clients) if point.load in ("idle", "rate") else session.clients,
                   rate=point.value if is_rate else "", backend_ms="" if point.delay is None else point.delay,
                   slices=len(slices), requests=requests, processes=processes, threads=threads,
                   p50_us=p50, p99_us=p99 if count >= 200 else "", p999_us=p999 if count >= 2000 else "",
                   unanswered=int(unanswered),
                   driver_busy=round(sum(s["driver"] for s in slices) / 1e6 / sum(s["seconds"] for s in slices), 3),
                   kib_per_client=round((memory - session.idle_memory) / session.clients, 2),
                   sleeps_per_request=round(sleeps / requests, 4) if requests else "",
                   stopped="")
        for name, values, digits in (("requests_per_second", rates, 1), ("cpu_us", costs, 3)):
            for column, function in (("", statistics.median), ("_low", min), ("_high", max)):
                row[name + column] = round(function(values), digits) if values else ""
        return row

    # ---- all points --------------------------------------------------------------------------------------------

    def points(self):
        o = self.options
        points = [Point("connections", n) for n in o.connections] + [Point("idle", n) for n in o.idle]
        points += [Point("rate", n) for n in o.rates]
        if any(s.searches for s in self.servers):
            points += [Point("searches", n, delay) for delay in BACKEND_DELAYS for n in o.in_flight]
        # The small points of all loads first: the large ones take most of the time, and Ctrl-C may come.
        ranks, largest = {}, {}
        for p in points:
            ranks[id(p)] = largest[p.load, p.delay] = largest.get((p.load, p.delay), -1) + 1
        return sorted(points, key=lambda p: (ranks[id(p)] / max(largest[p.load, p.delay], 1), self.weight(p)))

    def weight(self, point):
        servers = sum(s.searches or point.load != "searches" for s in self.servers)
        seconds, rounds = self.options.seconds, self.options.rounds
        if point.delay:
            seconds, rounds = max(seconds, self.options.search_seconds), min(rounds, self.options.search_rounds)
        return servers * (0.1 + point.clients() / 7000 + 1.1 * seconds * rounds)

    def mark_stops(self):
        """The last row of a server that stops there says why."""
        for row in self.rows:
            server = next(s for s in self.servers if s.name == row["server"])
            if row["load"] in ("connections", "idle") and row["clients"] == server.most_clients:
                row["stopped"] = server.stopped

    def run(self):
        points = [(point, self.weight(point)) for point in self.points()]
        progress = Progress([weight for _, weight in points])
        begin, begun, left_out = time.monotonic(), set(), []
        for point, weight in points:
            elapsed = time.monotonic() - begin
            late = progress.done > 0 and elapsed * (progress.done + weight) / progress.done > 1.2 * self.options.budget
            if self.options.budget and late and (point.load, point.delay) in begun:
                left_out.append(str(point))
                progress.all -= weight
                continue
            # A point that takes longer than its share of the time has fewer rounds.
            share = (progress.done + weight) / progress.all
            until = begin + self.options.budget * share if self.options.budget else float("inf")
            self.measure(point, progress, weight, until)
            begun.add((point.load, point.delay))
            progress.end_step(weight)
        if left_out:
            message(f"the time was up, so these points are missing: {'; '.join(left_out)}")
        if sys.stderr.isatty():
            sys.stderr.write("\r\033[K")


def reason_for_stop(session):
    next_one, error = session.clients + 1, session.last_error()
    if session.how == "machine":
        return f"the load generator has no descriptor for client {next_one:,}"
    if session.how == "silent":
        return f"client {next_one:,} gets no answer while the others are connected"
    if 1000 <= session.clients < 1024 and not error:
        return f"closes client {next_one:,}: its descriptor would be 1,024 or more (FD_SETSIZE)"
    return f"closes client {next_one:,}" + (f" ({error})" if error else "")


def give_up(text):
    message(text)
    sys.exit(3)


# ---- the command line ------------------------------------------------------------------------------------------


def numbers(least):
    def convert(text):
        values = [int(word) for word in text.split(",")]
        if not values or min(values) < least or max(values) > 60000:
            raise ValueError
        return sorted(set(values))
    convert.__name__ = f"numbers from {least} to 60000"
    return convert


def rates(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1 or max(values) > 10_000_000:
        raise ValueError
    return sorted(set(values))


def positive(kind):
    def convert(text):
        value = kind(text)
        if not 0 < value <= 60000:
            raise ValueError
        return value
    convert.__name__ = "a number above 0"
    return convert


class Parser(argparse.ArgumentParser):
    def error(self, text):
        sys.stderr.write(f"chart: {text}\nTry: grading/chart --help\n")
        sys.exit(2)


def parse(arguments):
    parser = Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--mine", action="store_true")
    parser.add_argument("--output", default="chart", type=pathlib.Path)
    parser.add_argument("--connections", type=numbers(1))
    parser.add_argument("--idle", type=numbers(0))
    parser.add_argument("--rates", type=rates)
    parser.add_argument("--in-flight", type=numbers(1))
    parser.add_argument("--seconds", type=positive(float))
    parser.add_argument("--rounds", type=positive(int))
    parser.add_argument("--tasks", type=positive(int), default=2000)
    parser.add_argument("--draw", type=pathlib.Path)
    parser.add_argument("--timeout", dest="patience", type=positive(float), default=3)
    parser.add_argument("servers", nargs="*")
    o = parser.parse_args(arguments)
    quick = o.quick
    o.connections = o.connections or ([1, 10, 100, 1000, 10000] if quick else
                                      [1, 3, 10, 30, 100, 300, 1000, 3000, 10000])
    o.idle = o.idle or ([0, 900, 9900] if quick else [0, 100, 300, 900, 3000, 9900])
    o.rates = o.rates or ([2000, 20000, 100000] if quick else [1000, 3000, 10000, 30000, 100000])
    o.in_flight = o.in_flight or ([1, 10, 1000] if quick else [1, 10, 100, 1000])
    o.search_seconds = (0.7 if quick else 1.3) if o.seconds is None else o.seconds  # two or three searches of 0.6 s
    o.search_rounds = 2 if quick else 5
    o.seconds = o.seconds or (0.1 if quick else 0.25)
    o.rounds = o.rounds or (3 if quick else 7)
    o.budget = 80 if quick else 0
    if not o.output.parent.is_dir() or o.output.exists() and not o.output.is_dir():
        parser.error(f"cannot write to {o.output}")
    return parser, o


def lab_of(word):
    number = f"lab{int(word):02}" if word.isdigit() and len(word) < 5 else word
    return next((lab for lab in LABS if number in (lab, lab.split("-")[0])), None)


def installed(peer):
    test = PEERS[peer]
    return test is None or (os.path.exists(test) if test.startswith("/") else shutil.which(test))


def choose(parser, options):
    servers = []
    for word in options.servers or LABS + list(PEERS):
        lab = lab_of(word)
        if lab:
            servers.append(Server(lab, ROOT / lab / "solution.c", "lab", lab >= "lab06"))
        elif word in PEERS:
            if installed(word):
                servers.append(Server(word, BENCH / f"{word}{'.go' if word == 'go' else '.c'}", "peer", word == "go"))
            else:
                message(f"{word} is not installed, and is left out (grading/chart --install installs it)")
        else:
            parser.error(f"'{word}' is not a lab, nor one of {', '.join(PEERS)}")
    if options.mine:
        for lab in [s.name for s in servers if s.kind == "lab"]:
            source, starter = ROOT / lab / "server.c", ROOT / "grading/starters" / f"{lab}.c"
            if source.exists() and starter.exists() and source.read_bytes() == starter.read_bytes():
                message(f"{lab}/server.c is still the starter, and is left out")
            elif source.exists():
                servers.append(Server(f"my-{lab}", source, "mine", lab >= "lab06"))
    if len({s.name for s in servers}) < len(servers):
        parser.error("the same server twice")
    return servers


def write(options, rows):
    options.output.mkdir(exist_ok=True)
    with open(options.output / "chart.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read(path):
    try:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        give_up(str(error))
    for row in rows:
        for column, value in row.items():
            if column not in ("load", "server", "stopped") and value != "":
                row[column] = float(value) if "." in value else int(value)
    return rows


def interrupt(number, _frame):
    signal.signal(number, signal.SIG_DFL)  # the second time ends it at once
    raise Interrupted(number)


def measure(parser, options):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    servers, status = choose(parser, options), 0
    with tempfile.TemporaryDirectory(prefix="tmp.") as work:
        run = Run(options, servers, pathlib.Path(work))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, interrupt)
        try:
            run.build()
            run.run()
        except Interrupted as end:
            message("interrupted: what has been measured is drawn")
            status = 128 + end.args[0]
        run.mark_stops()
        for server in servers:
            if server.stopped:
                clients = f"{server.most_clients:,} client{'s' * (server.most_clients > 1)}"
                print(f"{server.name} stops at {clients}: {server.stopped}")
    return run.rows, status


def main():
    parser, options = parse(sys.argv[1:])
    if options.draw:
        rows, status = read(options.draw), 0
    else:
        rows, status = measure(parser, options)
        write(options, rows)
    options.output.mkdir(exist_ok=True)
    try:
        for name, sentence in draw_charts.draw(rows, options.output):
            print(f"{options.output / name}: {sentence}")
    except (OSError, subprocess.CalledProcessError) as error:
        give_up(f"gnuplot: {error}")
    sys.exit(status)


main()
