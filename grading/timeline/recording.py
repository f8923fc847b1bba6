"""Turns what record_calls.so has written, and what the scenario has seen, into one recording (README.md has its
format): descriptors become clients, return addresses become lines of the source."""
import ctypes
import json
import pathlib
import re
import subprocess

MAX_CALLS, MAX_READY, MAX_FRAMES, NAME_SIZE = 65536, 8, 5, 20
MAGIC = 0x54494D45
EPOLL_CTL_DEL = 2


class Call(ctypes.Structure):  # struct recorded_call
    _fields_ = [("begin", ctypes.c_int64), ("end", ctypes.c_int64), ("pid", ctypes.c_int32), ("tid", ctypes.c_int32),
                ("function", ctypes.c_char * NAME_SIZE), ("fd", ctypes.c_int32), ("error", ctypes.c_int32),
                ("port", ctypes.c_int32), ("ready_count", ctypes.c_int32), ("result", ctypes.c_int64),
                ("size", ctypes.c_int64), ("data", ctypes.c_uint64), ("stack", ctypes.c_uint64),
                ("frames", ctypes.c_uint64 * MAX_FRAMES), ("ready", ctypes.c_uint64 * MAX_READY)]


class Header(ctypes.Structure):  # struct recording, without its calls
    _fields_ = [("magic", ctypes.c_uint32), ("call_size", ctypes.c_uint32), ("calls_offset", ctypes.c_uint32),
                ("max_calls", ctypes.c_uint32), ("pid", ctypes.c_int32), ("begun", ctypes.c_uint32),
                ("program_offset", ctypes.c_uint64)]


def read_calls(path):
    """The header, or None if the server recorded nothing, and the calls that have begun."""
    data = pathlib.Path(path).read_bytes() if pathlib.Path(path).exists() else b""
    if len(data) < ctypes.sizeof(Header):
        return None, []
    header = Header.from_buffer_copy(data)
    if header.magic != MAGIC or header.call_size != ctypes.sizeof(Call):
        return None, []
    count = min(header.begun, MAX_CALLS)
    calls = [Call.from_buffer_copy(data, header.calls_offset + i * header.call_size) for i in range(count)]
    return header, sorted((call for call in calls if call.begin), key=lambda call: call.begin)


# ---- which descriptor is what --------------------------------------------------------------------------------

class Descriptors:
    """What each descriptor of each process refers to, as the calls are replayed in the order in which they end."""

    def __init__(self, names_by_port):
        self.names, self.tables, self.epoll_data = names_by_port, {}, {}

    def table(self, pid):
        return self.tables.setdefault(pid, {})

    def name(self, pid, fd):
        return self.table(pid).get(fd)

    def name_of_ready(self, call, what):
        """epoll_wait reports what epoll_ctl was given."""
        fd = self.epoll_data.get((call.pid, what)) if call.function == b"epoll_wait" else what
        return self.name(call.pid, fd) if fd is not None else None

    def fork(self, parent, child):
        self.tables[child] = dict(self.table(parent))

    def apply(self, call):
        table, function, result = self.table(call.pid), call.function.decode(), call.result
        if not call.end or call.error and function != "connect":  # a connect may still succeed: EINPROGRESS
            return
        if function == "accept":
            table[result] = self.names.get(call.port, f"port {call.port}")
        elif function == "connect":
            table[call.fd] = self.names.get(call.port, f"port {call.port}")
        elif function == "listen":
            table[call.fd] = "the listener"
        elif function == "socket":
            table[result] = "a new socket"
        elif function == "eventfd":
            table[result] = "an eventfd"
        elif function == "epoll_create":
            table[result] = "epoll"
        elif function == "pipe":
            table[call.ready[0]] = table[call.ready[1]] = "a pipe"
        elif function == "dup" and call.fd in table:
            table[result] = table[call.fd]
        elif function == "epoll_ctl" and call.size != EPOLL_CTL_DEL:
            self.epoll_data[(call.pid, call.data)] = call.fd


# ---- which line ------------------------------------------------------------------------------------------------

def resolve_lines(program, source, addresses):
    """By address: [function, line] for each level of inlining, the innermost first; only lines of this source."""
    result = {}
    if not addresses:
        return result
    lines = subprocess.run(["addr2line", "-a", "-f", "-i", "-e", program] + [hex(a) for a in addresses],
                           capture_output=True, encoding="utf-8", errors="replace").stdout.splitlines()
    current, function = None, None
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]+", line):
            current, function = int(line, 16), None
            result[current] = []
        elif function is None:
            function = line
        else:
            path, _, number = line.partition(" ")[0].rpartition(":")
            if number.isdigit() and pathlib.Path(path).name == source:
                result[current].append([function, int(number)])
            function = None
    return result


# ---- calls that repeat -----------------------------------------------------------------------------------------

MAX_CYCLE = 6        # a loop of so many calls
MIN_TIMES = 16       # repeated so often at least
MOMENTS = 1000       # what lasts less than this part of the whole cannot be seen in a picture


def merge_repeated(calls, duration):
    """A server that spins makes the same calls again and again: each of these once, with `times`, if no picture could
    show them separately. Keeps the order in which the calls began."""
    by_task, result = {}, []
    for call in calls:
        by_task.setdefault(call["task"], []).append(call)
    for own in by_task.values():
        numbers = {}  # a small number for each kind of call: they are compared often
        kinds = [numbers.setdefault(json.dumps([v for k, v in call.items() if k not in ("begin", "end")]), len(numbers))
                 if call["end"] is not None else -1 for call in own]
        i = 0
        while i < len(own):
            size, times = cycle_at(kinds, i)
            stop = i + size * times
            last = own[stop - 1]["end"]
            if times >= MIN_TIMES and last - own[i]["begin"] < times * duration / MOMENTS:
                result += [call | {"end": own[stop - size + k]["end"], "times": times}
                           for k, call in enumerate(own[i:i + size])]
                i = stop
            else:
                result.append(own[i])
                i += 1
    return sorted(result, key=lambda call: call["begin"])


def cycle_at(kinds, i):
    """How long the cycle is that begins here, and how often it is run through."""
    for size in range(1, MAX_CYCLE + 1):
        end = i + size
        while end < len(kinds) and kinds[end] == kinds[end - size] != -1:
            end += 1
        times = (end - i) // size
        if times >= MIN_TIMES:
            return size, times
    return 1, 1


# ---- tasks -------------------------------------------------------------------------------------------------------

def find_tasks(calls, first_pid, last):
    """The server's processes and threads, in the order in which they began."""
    tasks = {}
    for call in calls:
        key = call.pid, call.tid
        if key not in tasks:
            tasks[key] = {"pid": call.pid, "tid": call.tid, "begin": call.begin, "end": None}
        if call.function in (b"thread ends", b"process ends"):
            tasks[key]["end"] = call.end or call.begin
    single = len({pid for pid, _ in tasks}) == 1
    workers = processes = 0
    for (pid, tid), task in tasks.items():
        if (pid, tid) == (first_pid, first_pid):
            task["name"] = "main thread" if single else "parent"
        elif tid == pid:
            processes += 1
            task["name"] = f"child {processes}"
        else:
            workers += 1
            task["name"] = f"thread {workers}"
        task["end"] = task["end"] or last
    return tasks


def assemble(lab, scenario, path, program, source, title):
    """The recording, as README.md describes it. scenario: a finished Scenario."""
    header, calls = read_calls(path)
    names = {client.port: f"client {client.name}" for client in scenario.clients.values() if client.port}
    names |= {b: f"the {name} backend" for b, name in scenario.backend_ports.items()}
    start = scenario.start * 1e9

    def seconds(time):
        return round((time - start) / 1e9, 6)

    last = max([scenario.stop_time * 1e9 + start] + [max(c.begin, c.end) for c in calls])
    tasks = find_tasks(calls, header.pid if header else 0, last)
    index = {key: i for i, key in enumerate(tasks)}
    offset = header.program_offset if header else 0
    lines = resolve_lines(program, pathlib.Path(source).name,
                          sorted({a - offset - 1 for c in calls for a in c.frames if a > offset}))
    descriptors, described = Descriptors(names), []
    events = sorted([(c.end or last + 1, 1, i) for i, c in enumerate(calls)] +
                    [(c.begin, 0, i) for i, c in enumerate(calls)])
    on, ready = {}, {}
    for _, is_end, i in events:
        call = calls[i]
        if not is_end:
            if call.function == b"fork" and call.end and call.result > 0:
                descriptors.fork(call.pid, call.result)  # at once: the parent may close its copy before the child runs
            on[i] = descriptors.name(call.pid, call.fd) if call.fd >= 0 else None
            if call.function == b"close":  # a different thread may get the same number before it returns
                descriptors.table(call.pid).pop(call.fd, None)
            if call.function == b"connect":
                on[i] = names.get(call.port, f"port {call.port}")
        else:
            ready[i] = [descriptors.name_of_ready(call, call.ready[k]) for k in range(call.ready_count)]
            descriptors.apply(call)
    for i, call in enumerate(calls):
        where = [entry for a in call.frames if a > offset for entry in lines.get(a - offset - 1, [])]
        described.append({
            "task": index[(call.pid, call.tid)], "stack": call.stack or None, "function": call.function.decode(),
            "begin": seconds(call.begin), "end": seconds(call.end) if call.end else None,
            "descriptor": call.fd if call.fd >= 0 else None, "on": on[i],
            "accepted": names.get(call.port) if call.function == b"accept" and call.result >= 0 else None,
            "size": call.size if call.function.startswith((b"send", b"write")) else None,
            "result": call.result if call.end else None, "error": error_name(call.error),
            "ready": [name for name in ready[i] if name], "lines": where})
    duration = round(max(scenario.stop_time, 0.001), 6)
    unrecorded = max(0, header.begun - MAX_CALLS) if header else 0
    return {
        "version": 1, "lab": lab, "server": str(source), "title": title,
        "duration": duration, "outcome": scenario.outcome,
        "recorded_until": seconds(calls[-1].begin) if unrecorded else None, "unrecorded_calls": unrecorded,
        "clients": [{"name": c.name, "events": round_times(c.events)} for c in scenario.clients.values()],
        "requests": round_times(scenario.requests),
        "tasks": [{"name": t["name"], "pid": t["pid"], "tid": t["tid"], "begin": seconds(t["begin"]),
                   "end": seconds(t["end"])} for t in tasks.values()],
        "calls": merge_repeated(described, duration),
        "source": pathlib.Path(source).read_text(encoding="utf-8", errors="replace").splitlines()}


def round_times(events):
    return [{key: round(value, 6) if isinstance(value, float) else value for key, value in event.items()}
            for event in events]


def error_name(number):
    import errno
    return errno.errorcode.get(number, str(number)) if number else None
