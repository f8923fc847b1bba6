"""The lanes of a picture, from a recording: one per client, one per thread or process, one per coroutine.

A lane is {"kind": "client" | "task" | "coroutine", "name", "begin", "end", "segments", "marks"}. A segment is
{"begin", "end", "state", "label", "sentence", "for", "line"}; its states:
  client     idle     connected, and nothing is owed to it
             backlog  connected, and not accepted yet
             waits    it has sent something that is not answered yet; label and sentence say for whom it waits
  task       blocked  in a call that has not returned; "for": whom the call is about
             runs     between two calls, for long enough to be seen
  coroutine  waits    suspended, until the descriptor of its next call is ready
A mark is {"time", "what"}: what a client did, or that a lane was running for a moment ("runs", with "for").
"""
import collections

SLIVERS = 400  # what lasts less than this part of the whole is a mark, and not a segment

# What a call waits for that names no client.
NOBODY = {"accept": "the next client", "epoll_wait": "any client", "select": "any client", "poll": "any client",
          "pthread_cond_wait": "a signal from another thread", "pthread_mutex_lock": "a lock",
          "pthread_join": "a thread to end", "wait": "a child to end", "waitpid": "a child to end"}
VERBS = {"recv": "to send", "read": "to send", "recvfrom": "to send", "recvmsg": "to send", "readv": "to send",
         "send": "to receive", "write": "to receive", "sendto": "to receive", "sendmsg": "to receive",
         "writev": "to receive", "connect": "to accept"}
EVENTS = {"process begins", "process ends", "thread begins", "thread ends"}


def sliver(recording):
    return recording["duration"] / SLIVERS


def place(call):
    return call["lines"][0] if call["lines"] else None


def describe(call):
    """A call in a few words: "recv: client A"."""
    return f"{call['function']}: {call['on']}" if is_about_somebody(call) else call["function"]


def is_about_somebody(call):
    return bool(call["on"]) and (call["on"].startswith("client ") or call["on"].endswith(" backend"))


def waits_for(call):
    if is_about_somebody(call):
        return f"{call['on']} {VERBS.get(call['function'], '')}".rstrip()
    if call["function"] in NOBODY:
        return NOBODY[call["function"]]
    return f"{call['on']}" if call["on"] else "the kernel"


def with_article(name):
    return f"the {name}" if name in ("main thread", "parent") else name


def clause(task, call):
    """Where a task is, as the second half of a sentence."""
    where = place(call)
    line = f" (line {where[1]})" if where else ""
    return f"{with_article(task)} is in {call['function']}{line}, waiting for {waits_for(call)}"


def capitalized(text):
    return text[:1].upper() + text[1:]


# ---- tasks -----------------------------------------------------------------------------------------------------

def task_lanes(recording):
    by_task = collections.defaultdict(list)
    for call in recording["calls"]:
        by_task[call["task"]].append(call)
    for i, task in enumerate(recording["tasks"]):
        begin, end = max(0, task["begin"]), min(task["end"], recording["duration"])
        lane = {"kind": "task", "name": task["name"], "begin": begin, "end": max(begin, end), "segments": [],
                "marks": []}
        free = begin
        for call in by_task[i]:
            if call["function"] in EVENTS:
                continue
            b, e = call["begin"], recording["duration"] if call["end"] is None else call["end"]
            if e - b < sliver(recording):
                if b >= begin:
                    lane["marks"].append({"time": b, "what": "runs", "for": call["on"], "line": place(call), "callers": call["lines"][1:]})
                continue
            b, e = max(b, begin), min(e, end)
            if e <= b:
                continue
            if b - free >= 2 * sliver(recording):
                lane["segments"].append(running(free, b))
            lane["segments"].append({"begin": b, "end": e, "state": "blocked", "label": describe(call),
                                     "sentence": capitalized(clause(task["name"], call)) + ".", "line": place(call), "callers": call["lines"][1:],
                                     "for": call["on"] if is_about_somebody(call) else None, "call": call})
            free = e
        if end - free >= 2 * sliver(recording):
            lane["segments"].append(running(free, end))
        yield lane


def running(begin, end):
    return {"begin": begin, "end": end, "state": "runs", "label": "runs", "for": None, "line": None,
            "sentence": "It runs: it is in no call that can block."}


# ---- coroutines ------------------------------------------------------------------------------------------------

def coroutine_lanes(recording):
    """A stack that is no thread's own is a coroutine's; when it serves a new client, it is a new coroutine."""
    lanes, latest = [], {}
    accepted = {call["accepted"]: call["end"] for call in recording["calls"] if call["accepted"]}
    for call in recording["calls"]:
        stack = call["stack"]
        if stack is None:
            continue
        lane = latest.get((call["task"], stack))
        serves = call["on"] if call["on"] and call["on"].startswith("client ") else None
        if lane is None or lane["ended"] or serves and lane["serves"] and serves != lane["serves"]:
            lane = {"kind": "coroutine", "name": "", "serves": serves, "begin": max(0, call["begin"]), "segments": [],
                    "marks": [], "ended": False, "task": call["task"]}
            # It was created when its client was accepted, or soon after.
            born = accepted.get(serves, lane["begin"])
            if lane["begin"] - born >= sliver(recording):
                lane["segments"].append(suspended(lane, born, lane["begin"], call))
                lane["begin"] = born
            latest[(call["task"], stack)] = lane
            lanes.append(lane)
        elif call["begin"] - lane["end"] >= sliver(recording):
            lane["segments"].append(suspended(lane, lane["end"], call["begin"], call))
        lane["serves"] = lane["serves"] or serves
        lane["marks"].append({"time": call["begin"], "what": "runs", "for": call["on"], "line": place(call), "callers": call["lines"][1:]})
        lane["end"] = call["end"] if call["end"] is not None else recording["duration"]
        lane["last"] = call
        lane["ended"] = call["function"] == "close" and serves is not None
    for lane in lanes:
        if not lane["ended"] and recording["duration"] - lane["end"] >= sliver(recording):
            lane["segments"].append(suspended(lane, lane["end"], recording["duration"], lane["last"]))
            lane["end"] = recording["duration"]
        thread = with_article(recording["tasks"][lane["task"]]["name"])
        who = lane["serves"].removeprefix("client ") if lane["serves"] else ""
        lane["name"] = f"coroutine {who}".rstrip()
        lane["on_thread"] = thread
        for segment in lane["segments"]:
            segment["sentence"] = f"{capitalized(lane['name'])} {segment['sentence']}; {thread} is free for others."
    return sorted((lane for lane in lanes if lane["serves"]), key=lambda lane: (lane["name"], lane["begin"]))


def suspended(lane, begin, end, call):
    return {"begin": begin, "end": end, "state": "waits", "label": describe(call), "line": place(call), "callers": call["lines"][1:],
            "for": call["on"] if is_about_somebody(call) else None,
            "sentence": f"is suspended until it can {call['function']}: it waits for {waits_for(call)}"}


# ---- clients ---------------------------------------------------------------------------------------------------

class Waiting:
    """Why a client waits: what the server was doing meanwhile."""

    def __init__(self, recording, tasks):
        self.recording, self.tasks = recording, tasks
        self.calls = recording["calls"]
        self.acceptors = {call["task"] for call in self.calls if call["function"] == "accept"}

    def breakpoints(self, begin, end):
        times = {begin, end}
        for lane in self.tasks:
            times |= {t for s in lane["segments"] for t in (s["begin"], s["end"]) if begin < t < end}
        for request in self.recording["requests"]:
            times |= {t for t in (request["begin"], request["end"]) if t is not None and begin < t < end}
        return sorted(times)

    def segment_at(self, task, time):
        for segment in self.tasks[task]["segments"]:
            if segment["begin"] <= time < segment["end"]:
                return segment
        return None

    def request_at(self, client, time):
        for request in self.recording["requests"]:
            words = request["request"].split(" ")[0]
            if words == client and request["begin"] <= time < (request["end"] or self.recording["duration"]):
                return request
        return None

    def accepted_at(self, client):
        for call in self.calls:
            if call["accepted"] == f"client {client}":
                return call["end"]
        return None

    def owner(self, client, time):
        """The task that has called something for this client last."""
        latest = None
        for call in self.calls:
            if call["begin"] > time:
                break
            if call["on"] == f"client {client}":
                latest = call
        return latest

    def reason(self, client, time):
        """Whom it waits for, in one or two words, and in a sentence."""
        request = self.request_at(client, time)
        if request:
            name = f"the {request['backend']} backend"
            return name, f"Client {client} waits for {name}, which the server has asked for it."
        accepted = self.accepted_at(client)
        if accepted is None or accepted > time:
            for task in sorted(self.acceptors):
                segment = self.segment_at(task, time)
                if segment and segment["state"] == "blocked" and segment["call"]["function"] != "accept":
                    return self.because(client, task, segment, "is in the backlog: ")
            return "the server", f"Client {client} is in the backlog: the server has not accepted it yet."
        last = self.owner(client, time)
        if last is None:
            return "the server", f"Client {client} has been accepted, and the server has called nothing for it since."
        pending = any(r["begin"] <= time < (r["end"] or time + 1) for r in self.recording["requests"])
        begun = any(r["request"].split(" ")[0] == client and r["begin"] <= time for r in self.recording["requests"])
        if last["function"].startswith("re") and pending and not begun:
            return "a free worker", f"Client {client}'s search is in the queue: all workers wait for backends."
        task = last["task"]
        segment = self.segment_at(task, time)
        if segment and segment["state"] == "blocked" and segment["for"] != f"client {client}":
            return self.because(client, task, segment, "waits: ")
        return "the server", f"Client {client} waits for the server."

    def reasons(self, client, begin, end):
        """(begin, end, whom, sentence), without pieces that are too short to be seen."""
        pieces = []
        points = self.breakpoints(begin, end)
        for first, second in zip(points, points[1:]):
            whom, sentence = self.reason(client, (first + second) / 2)
            is_short = second - first < 5 * sliver(self.recording)
            if pieces and (is_short or pieces[-1][2] == whom):
                pieces[-1][1] = second
            else:
                pieces.append([first, second, whom, sentence])
        return pieces

    def because(self, client, task, segment, how):
        name = self.tasks[task]["name"]
        whom = segment["for"] if segment["for"] else with_article(name)
        return whom, f"Client {client} {how}{clause(name, segment['call'])}."


def client_lane(recording, client, waiting):
    events = client["events"]
    if not events:
        return None
    gone = [e["time"] for e in events if e["what"] in
            ("closes", "resets", "is reset", "is closed by the server", "cannot connect")]
    begin, end = max(0, events[0]["time"]), gone[0] if gone else recording["duration"]
    lane = {"kind": "client", "name": f"client {client['name']}", "begin": begin, "end": end, "segments": [],
            "marks": [{"time": e["time"], "what": e["what"], "text": e["text"]} for e in events]}
    accepted = waiting.accepted_at(client["name"])
    sent = received = 0
    by_lines = recording["lab"] >= "lab06"  # half a line is owed no answer there
    since = None
    times = [(e["time"], e) for e in events] + [(end, None)]
    cursor = begin

    def add(state, b, e, label="", sentence="", whom=None):
        if e - b < sliver(recording):
            return
        last = lane["segments"][-1] if lane["segments"] else None
        if last and last["state"] == state and last["label"] == label and b - last["end"] < sliver(recording):
            last["end"] = e
        else:
            lane["segments"].append({"begin": b, "end": e, "state": state, "label": label, "sentence": sentence,
                                     "for": whom, "line": None})

    def add_idle(b, e):
        middle = min(max(accepted if accepted is not None else e, b), e)
        add("backlog", b, middle, "in the backlog", f"Client {client['name']} is connected, and not accepted yet.")
        add("idle", middle, e, "", f"Client {client['name']} is connected; the server owes it nothing.")

    for time, event in times:
        time = min(time, end)
        if since is None:
            add_idle(cursor, time)
        cursor = time
        what = event["what"] if event else "end"
        if what == "sends":
            sent = sent + event["text"].count("\n") if by_lines else sent + event["bytes"]
        elif what == "receives":
            received = received + event["text"].count("\n") if by_lines else received + event["bytes"]
        if sent > received and since is None:
            since = time
        is_over = what in ("receives", "end") or time >= end
        if since is not None and is_over:
            b = since
            for first, second, whom, sentence in waiting.reasons(client["name"], b, time):
                add("waits", first, second, whom, sentence, whom)
            since = None if what == "receives" and received >= sent or what == "end" else time
    return lane


MAX_LANES = 16  # of each kind; a check may have thousands of clients


def wait_of(lane):
    return sum(s["end"] - s["begin"] for s in lane["segments"] if s["state"] == "waits")


def selected(lanes):
    """The first ones, and those that wait longest; and how many are left out."""
    if len(lanes) <= MAX_LANES:
        return lanes, 0
    longest = sorted(range(len(lanes)), key=lambda i: -wait_of(lanes[i]))[:MAX_LANES // 4]
    kept = sorted(set(range(MAX_LANES - len(longest))) | set(longest))
    return [lanes[i] for i in kept], len(lanes) - len(kept)


def all_lanes(recording):
    """The lanes, and in words what is left out."""
    tasks = list(task_lanes(recording))
    waiting = Waiting(recording, tasks)
    clients = [lane for c in recording["clients"] if (lane := client_lane(recording, c, waiting))]
    result, left_out = [], []
    for kind, lanes in (("clients", clients), ("threads or processes", tasks), ("coroutines", coroutine_lanes(recording))):
        kept, hidden = selected(lanes)
        result += kept
        left_out += [f"{hidden} more {kind}"] if hidden else []
    return result, f"Not drawn: {', '.join(left_out)}." if left_out else ""
