"""Records what a check does to a server: the harness writes what its clients and backends do (core/timeline.h), and
record_calls.so what the server does. The check's last server is drawn: if the check failed, it failed there."""
import json
import os
import pathlib
import subprocess

import recording as recordings

MAX_CLIENTS = 16  # drawn; a check may have thousands
GRADING = pathlib.Path(__file__).resolve().parent.parent


class Client:
    def __init__(self, name, port):
        self.name, self.port, self.events = name, port, []


class CheckRun:
    """What recordings.assemble() needs to know of a run, as Scenario provides it."""


class NothingToDraw(Exception):
    pass


def record_check(lab, source, check, work, library):
    environment = os.environ | {"GRADE_JOBS": "1", "GRADE_TIMELINE": str(work), "GRADE_TIMELINE_LIBRARY": str(library)}
    graded = subprocess.run(["bash", GRADING / "grade", "--file", source, "--json", work / "results.json", "--check", check, lab],
                            env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                            errors="replace")
    if graded.returncode != 0:
        raise NothingToDraw(graded.stderr.strip() or graded.stdout.strip())
    results = json.loads((work / "results.json").read_text(encoding="utf-8"))[0]
    if results["verdict"] == "does-not-compile":
        raise NothingToDraw(results["compiler"] + "the server does not compile")
    result = next(c for c in results["checks"] if c["name"] == check)
    run, calls = read_events(work, check)
    run.outcome = outcome(check, result)
    # The program that was graded is gone; the same command builds the same one.
    subprocess.run(["cp", source, work / "server.c"], check=True)
    subprocess.run(["make", "-s", "-C", work, "-f", GRADING / "lab.mk", "SOURCE=server.c",
                    f"CC={os.environ.get('GRADE_CC') or 'gcc'}", "server"], check=True, stderr=subprocess.DEVNULL)
    return recordings.assemble(lab, run, calls, work / "server", work / "server.c", f"{lab}, {check}: who waits for whom")


def outcome(check, result):
    if result["status"] == "failed":
        return f"{check} failed: expected {result['expected']}; received {result['received']}."
    return f"{check} {result['status']}."


def read_events(work, check):
    """The last server of the last process that ran this check."""
    found = []
    for path in work.glob("events.*"):
        lines = path.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]  # it may have been killed while writing
        if events and events[0].get("check") == check and any("server" in e for e in events):
            found.append(events)
    if not found:
        raise NothingToDraw(f"{check} started no server, or only under a tool such as valgrind")
    events = max(found, key=lambda events: events[0]["time"])
    first = max(i for i, e in enumerate(events) if "server" in e)
    calls = pathlib.Path(events[first]["server"])
    if not calls.exists() and events[first]["recorded"]:
        raise NothingToDraw("nothing was recorded: the recorder could not be loaded into the server")
    if not calls.exists():
        raise NothingToDraw(f"{check}'s last server runs under a tool such as valgrind, where its calls are not recorded")
    run = CheckRun()
    run.start = events[first]["time"]
    run.backend_ports = {e["port"]: e["backend"] for e in events if e.get("what") == "listens"}
    run.clients, run.requests = {}, []
    pending = {}
    for event in events[first + 1:]:
        time = event["time"] - run.start
        if "client" in event:
            name = event["client"].removeprefix("client ")
            client = run.clients.setdefault(name, Client(name, event["port"]))
            client.port = client.port or event["port"]
            client.events.append({"time": time, "what": event["what"], "bytes": event["bytes"], "text": event["text"]})
        elif event.get("what") == "is asked":
            pending[event["port"]] = {"backend": event["backend"], "request": event["text"], "begin": time, "end": None}
            run.requests.append(pending[event["port"]])
        elif event.get("what") in ("answers", "is given up") and event["port"] in pending:
            pending.pop(event["port"])["end"] = time
    run.hidden_clients = max(0, len(run.clients) - MAX_CLIENTS)
    header, recorded = recordings.read_calls(calls)
    run.stop_time = max([e["time"] - run.start for e in events[first:]] +
                        [max(c.begin, c.end) / 1e9 - run.start for c in recorded])
    if header and run.stop_time > 0 and recorded:
        begin = next((c.begin for c in recorded if c.function == b"listen"), recorded[0].begin) / 1e9
        shift = max(0, begin - run.start)  # the picture begins when the server listens
        run.start += shift
        run.stop_time -= shift
        for client in run.clients.values():
            for e in client.events:
                e["time"] -= shift
        for r in run.requests:
            r["begin"] -= shift
            r["end"] = r["end"] and r["end"] - shift
    return run, calls
