"""The lanes of a picture, from a recording: one per client, one per thread or process, one per coroutine.

A lane is {"kind": "client" | "task" | "coroutine", "name", "begin", "end", "segments", "marks"}. A segment is
{"begin", "end", "state", "label", "sentence", "for", "line"}; its states:
  client     idle     connected, and nothing is owed to it
             backlog  connected, and not accepted yet
             waits    it has sent something that is not answered yet; label and sentence say for whom it waits
  task       blocked  in a call that has not returned; "for": whom the call is about
             runs     between two calls, for long enough to be seen
  coroutine  waits    suspended, until the call that it is in the middle of can go on
  both       repeats  makes the same calls again and again
             unrecorded  the recording is full: what it does is not known
A mark is {"time", "what"}: what a client did, or that a lane was running for a moment ("runs", with "for").
"""
import collections
import math

SOON = 0.1     # seconds: on a busy machine a server is as slow as that
SPINS = 1000   # who repeats calls so often without progress spins
FINEST = 5000  # if there are many marks, those closer than this part of the whole are one
MANY_MARKS = 1000
SLIVERS = 400  # what lasts less than this part of the whole is a mark, and not a segment

# What a call waits for that names no client.
NOBODY = {"accept": "the next client", "epoll_wait": "any client", "select": "any client", "poll": "any client",
          "pthread_cond_wait": "a signal from another thread", "pthread_mutex_lock": "a lock",
          "pthread_join": "a thread to end", "wait": "a child to end", "waitpid": "a child to end"}
BACKENDS = ("the user backend", "the query backend", "the stock backend")  # in the order in which they are asked
VERBS = {"recv": "to send", "read": "to send", "recvfrom": "to send", "recvmsg": "to send", "readv": "to send",
         "send": "to receive", "write": "to receive", "sendto": "to receive", "sendmsg": "to receive",
         "writev": "to receive", "connect": "to accept"}
GONE = {"closes", "resets", "is reset", "is closed by the server", "cannot connect"}
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


def is_receive(call):
    return call["function"].startswith(("recv", "read"))


def is_send(call):
    return call["function"].startswith(("send", "write"))


def capitalized(text):
    return text[:1].upper() + text[1:]


# ---- calls that repeat, and the end of the recording ---------------------------------------------------------

def in_words(call):
    """ "send on client A (line 96: EAGAIN)" """
    on = f" on {call['on']}" if is_about_somebody(call) else ""
    details = ([f"line {place(call)[1]}"] if place(call) else []) + ([call["error"]] if call["error"] else [])
    return call["function"] + on + (f" ({': '.join(details)})" if details else "")


def cycles(calls):
    """The repeated calls among those of one task: a list for each loop."""
    result = []
    for call in calls:
        if "times" not in call:
            continue
        if result and result[-1][0]["times"] == call["times"] and call["begin"] < result[-1][0]["end"]:
            result[-1].append(call)
        else:
            result.append([call])
    return result


def repeats(cycle):
    """A segment for calls that repeat."""
    about = next((call for call in cycle if is_about_somebody(call)), cycle[0])
    names = " and ".join(dict.fromkeys(in_words(call) for call in cycle))
    return {"begin": cycle[0]["begin"], "end": max(call["end"] for call in cycle), "state": "repeats",
            "label": f"{describe(about)} × {about['times']:,}", "line": place(about), "callers": about["lines"][1:],
            "for": about["on"] if is_about_somebody(about) else None, "names": names, "times": about["times"],
            "progress": any(is_progress(call) for call in cycle),
            "sentence": f"It repeats {names}: {about['times']:,} times."}


def unrecorded(recording, begin, end):
    return {"begin": begin, "end": end, "state": "unrecorded", "label": f"the recording is full: {how_full(recording)}",
            "for": None, "line": None,
            "sentence": f"The recording is full, after {how_full(recording)}: what it does from here on is not known."}


def how_full(recording):
    count = sum(call.get("times", 1) for call in recording["calls"])
    return f"{count:,} calls in {max(0, recording['recorded_until']):.2f} s"


def is_progress(call):
    return call["function"] == "accept" and not call["error"] or \
        (is_receive(call) or is_send(call)) and is_about_somebody(call) and (call["result"] or 0) > 0


def repeated_most(recording):
    """In sentences: what the server repeats, and that the recording is full."""
    found = []
    for i, task in enumerate(recording["tasks"]):
        own = [call for call in recording["calls"] if call["task"] == i]
        found += [(with_article(task["name"]), repeats(cycle)) for cycle in cycles(own)]
    found = [(who, segment) for who, segment in found if not segment["progress"]]
    sentences = []
    who, most = max(found, key=lambda f: f[1]["times"], default=(None, {"times": 0}))
    if most["times"] >= SPINS:
        sentences.append(f"{capitalized(who)} spins: {most['names']}, {most['times']:,} times in "
                         f"{most['end'] - most['begin']:.2f} s.")
    full = recording["recorded_until"]
    if full is not None:
        sentences.append(f"The recording is full: {how_full(recording)}; {recording['unrecorded_calls']:,} came later.")
        if not sentences[1:]:
            kinds = collections.Counter()
            for call in recording["calls"]:
                kinds[(with_article(recording["tasks"][call["task"]]["name"]), in_words(call))] += call.get("times", 1)
            (who, call), times = kinds.most_common(1)[0]
            sentences.append(f"Most often {who} called {call}: {times:,} times.")
    return sentences


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
        merged = {id(cycle[0]): repeats(cycle) for cycle in cycles(by_task[i])}
        for call in by_task[i]:
            if call["function"] in EVENTS:
                continue
            if "times" in call:
                segment = merged.get(id(call))
                if segment and segment["end"] - max(segment["begin"], free) >= sliver(recording):
                    if segment["begin"] - free >= 2 * sliver(recording):
                        lane["segments"].append(running(free, segment["begin"]))
                    lane["segments"].append(segment | {"begin": max(segment["begin"], free)})
                    free = segment["end"]
                if call["begin"] >= begin:
                    lane["marks"].append({"time": call["begin"], "what": "runs", "for": call["on"], "line": place(call), "callers": call["lines"][1:]})
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
        until = end if recording["recorded_until"] is None else min(end, recording["recorded_until"])
        if until - free >= 2 * sliver(recording):
            lane["segments"].append(running(free, until))
        if end - max(free, until) >= sliver(recording):
            lane["segments"].append(unrecorded(recording, max(free, until), end))
        yield lane


def running(begin, end):
    return {"begin": begin, "end": end, "state": "runs", "label": "runs", "for": None, "line": None,
            "sentence": "It runs: it is in no call that can block."}


# ---- coroutines ------------------------------------------------------------------------------------------------

def coroutine_lanes(recording):
    """A stack that is no thread's own is a coroutine's; when it serves a new client, it is a new coroutine."""
    lanes, latest = [], {}
    accepted = {call["accepted"]: call["end"] for call in recording["calls"] if call["accepted"]}
    full = recording["duration"] if recording["recorded_until"] is None else recording["recorded_until"]
    for call in recording["calls"]:
        stack = call["stack"]
        if stack is None:
            continue
        lane = latest.get((call["task"], stack))
        serves = call["on"] if call["on"] and call["on"].startswith("client ") else None
        if lane is None or lane["ended"] or serves and lane["serves"] and serves != lane["serves"]:
            lane = {"kind": "coroutine", "name": "", "serves": serves, "begin": max(0, call["begin"]), "segments": [],
                    "marks": [], "ended": False, "task": call["task"], "last": None}
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
        if "times" in call and lane["end"] - call["begin"] >= sliver(recording) and \
                not (lane["segments"] and lane["segments"][-1]["end"] > call["begin"]):
            lane["segments"].append(repeats([call]))
        lane["last"] = call
        lane["ended"] = call["function"] == "close" and serves is not None
    for lane in lanes:
        if not lane["ended"] and full - lane["end"] >= sliver(recording):
            lane["segments"].append(suspended(lane, lane["end"], full, None))
            lane["end"] = full
        if not lane["ended"] and recording["duration"] - full >= sliver(recording):
            lane["segments"].append(unrecorded(recording, max(full, lane["end"]), recording["duration"]))
            lane["end"] = recording["duration"]
        thread = with_article(recording["tasks"][lane["task"]]["name"])
        who = lane["serves"].removeprefix("client ") if lane["serves"] else ""
        lane["name"] = f"coroutine {who}".rstrip()
        lane["on_thread"] = thread
        for segment in lane["segments"]:
            if segment["state"] == "waits":
                segment["sentence"] = f"{capitalized(lane['name'])} {segment['sentence']}; {thread} is free for others."
    return sorted((lane for lane in lanes if lane["serves"]), key=lambda lane: (lane["name"], lane["begin"]))


def suspended(lane, begin, end, following):
    call = waited_for(lane["last"], following, lane["serves"])
    return {"begin": begin, "end": end, "state": "waits", "label": describe(call), "line": place(call), "callers": call["lines"][1:],
            "for": call["on"] if is_about_somebody(call) else None,
            "sentence": f"is suspended until it can {call['function']}: it waits for {waits_for(call)}"}


def waited_for(last, following, serves):
    """The call in which a coroutine is suspended between these two. The following one need not be it: after a timeout,
    or when the server stops, a coroutine closes the descriptor that it has waited for."""
    if last and last["error"] in ("EAGAIN", "EINPROGRESS", "EALREADY"):
        return last
    about_backend = last and last["on"] in BACKENDS and last["function"] != "close"
    if following and following["function"] in VERBS and not (about_backend and following["on"] != last["on"]):
        return following
    if last and is_send(last) and last["size"] and 0 <= (last["result"] or 0) < last["size"]:
        return last
    # It has done all that it could, and the rest is up to the other side.
    on = last["on"] if last and is_about_somebody(last) and last["function"] != "close" else serves
    return {"function": "recv", "on": on, "lines": []}


# ---- clients ---------------------------------------------------------------------------------------------------

def searches_in(client):
    """When it has sent what searches: (time, the words so far)."""
    line = ""
    for event in client["events"]:
        if event["what"] == "sends":
            lines = (line + event["text"]).split("\n")
            line = lines[-1]
            for text in lines:
                if text.startswith("search "):
                    yield event["time"], text.removeprefix("search ")


class Waiting:
    """Why a client waits: what the server was doing meanwhile."""

    def __init__(self, recording, tasks):
        self.recording, self.tasks = recording, tasks
        self.calls = recording["calls"]
        self.clients = {client["name"]: client for client in recording["clients"]}
        full = recording["recorded_until"]
        self.until = recording["duration"] if full is None else full  # later, nothing is known of the server
        self.accepted, self.calls_for = {}, collections.defaultdict(list)
        for call in self.calls:
            self.calls_for[call["on"]].append(call)
            if call["accepted"]:
                self.accepted.setdefault(call["accepted"], call["end"])
        self.acceptors = {call["task"] for call in self.calls if call["function"] == "accept"}
        self.callers = {call["task"] for call in self.calls if call["on"] in BACKENDS}
        # A check may have a thousand clients with three requests each, so what concerns one is looked up by its name.
        self.connections = collections.defaultdict(list)
        for connection in self.find_connections():
            self.connections[connection[0]].append(connection)
        self.searches = {name: list(searches_in(client)) for name, client in self.clients.items()}
        self.searchers = collections.defaultdict(dict)  # by the words: the clients, in their order
        for name, searches in self.searches.items():
            for _, words in searches:
                self.searchers[words][name] = None
        self.requests = collections.defaultdict(list)  # by the words of the searches that they can belong to
        for request in recording["requests"]:
            text = request["request"] + " "
            for size in (i for i, character in enumerate(text) if character == " "):
                if text[:size] in self.searchers:
                    self.requests[text[:size]].append(request)

    def breakpoints(self, client, begin, end):
        times = {begin, end}
        for lane in self.tasks:
            times |= {t for s in lane["segments"] for t in (s["begin"], s["end"]) if begin < t < end}
        for words in {words for _, words in self.searches[client]}:
            times |= {t for request in self.requests.get(words, ()) for t in (request["begin"], request["end"])
                      if t is not None and begin < t < end}
        times |= {t for connection in self.connections.get(f"client {client}", ()) for t in connection[2:]
                  if begin < t < end}
        return sorted(times)

    def segment_at(self, task, time):
        for segment in self.tasks[task]["segments"]:
            if segment["begin"] <= time < segment["end"]:
                return segment
        return None

    def find_connections(self):
        """The server's calls of backends, as [client, backend, begin, end]: for whom it calls, if that is certain.
        A coroutine calls for the client that it serves. Otherwise a thread calls for the client whose connection to the
        backend before it has just closed, or for the only one of which it has received since it last waited."""
        serves, open_now = {}, {}
        received, closed = collections.defaultdict(dict), {}  # by task: the client, and the backend before
        for call in self.calls:
            task, on = call["task"], call["on"] or ""
            connection = open_now.get((task, call["descriptor"]))
            if on.startswith("client ") and call["stack"]:
                serves[(task, call["stack"])] = on
            elif on.startswith("client ") and is_receive(call) and not call["error"]:
                received[task][on] = None
            elif connection and is_receive(call):
                received[task][connection[0]] = connection[1]
            elif connection and call["function"] == "close":
                connection[3] = call["begin"]
                closed[task] = connection[:2]
                del open_now[(task, call["descriptor"])]
            elif call["function"] == "connect" and on in BACKENDS and connection is None:
                causes = [closed.pop(task)] if task in closed else list(received[task].items())
                if call["stack"]:
                    causes = [(serves.get((task, call["stack"])), None)]
                client, before = causes[0] if len(causes) == 1 else (None, None)
                if client and (before is None or BACKENDS.index(before) < BACKENDS.index(on)):
                    received[task].pop(client, None)
                    connection = open_now[(task, call["descriptor"])] = [client, on, call["begin"], self.recording["duration"]]
                    yield connection
            elif call["function"] in ("epoll_wait", "poll", "select", "pthread_cond_wait"):
                received[task].clear()
                closed.pop(task, None)

    def search_of(self, client, time):
        """The words of the last search that it has sent; None if there is none."""
        sent = [words for when, words in self.searches[client] if when <= time]
        return sent[-1] if sent else None

    def backend_at(self, client, time):
        """The backend for whose answer it waits, if the recording says so."""
        for _, backend, begin, end in self.connections.get(f"client {client}", ()):
            if begin <= time < end:
                return backend
        asked = self.backends_asked(client, time)
        if len(set(asked)) > 1:
            return "a backend"
        return asked[0] if asked else None

    def backends_asked(self, client, time):
        """Those that have been asked for the words of its search, if it cannot be an earlier client's search."""
        words = self.search_of(client, time)
        asked = [f"the {r['backend']} backend" for r in self.requests.get(words, ())
                 if r["begin"] <= time < (r["end"] or self.recording["duration"])]
        if not asked:
            return []
        own = self.waits_since(self.clients[client], time) or 0
        others = [name for name in self.searchers[words] if name != client and self.search_of(name, time) == words]
        since = [self.waits_since(self.clients[name], time) for name in others]
        return asked if sum(begin is not None and begin < own for begin in since) < len(asked) else []

    def waits_since(self, client, time):
        """When it has sent what is not answered yet; None if it has not."""
        result = None
        for event in client["events"]:
            if event["time"] > time:
                break
            if event["what"] == "sends":
                result = event["time"]
            elif event["what"] in GONE or event["what"] == "receives":
                result = None
        return result

    def all_workers_wait(self, time):
        """Whether each thread that calls backends is in such a call, and no other one waits for something to do."""
        for task in range(len(self.tasks)):
            segment = self.segment_at(task, time)
            if segment and segment["state"] == "blocked" and segment["call"]["function"] == "pthread_cond_wait":
                return False
        segments = [self.segment_at(task, time) for task in self.callers]
        return bool(segments) and all(s and s["state"] == "blocked" and s["for"] in BACKENDS for s in segments)

    def accepted_at(self, client):
        return self.accepted.get(f"client {client}")

    def owner(self, client, time):
        """The task that has called something for this client last."""
        latest = None
        for call in self.calls_for[f"client {client}"]:
            if call["begin"] <= time:
                latest = call
        return latest

    def reason(self, client, time):
        """Whom it waits for, in one or two words, and in a sentence."""
        backend = self.backend_at(client, time)
        if backend:
            relation = "which the server has asked for it" if backend in BACKENDS else "the server has asked several"
            return backend, f"Client {client} waits for {backend}, {relation}."
        accepted = self.accepted_at(client)
        if accepted is None or accepted > time:
            for task in sorted(self.acceptors):
                segment = self.segment_at(task, time)
                if segment and segment["state"] == "blocked" and segment["call"]["function"] != "accept":
                    return self.because(client, task, segment, "is in the backlog: ")
            if accepted is None and time > self.until:
                return "the server", f"Client {client} waits for the server, whose calls are not recorded any more."
            return "the server", f"Client {client} is in the backlog: the server has not accepted it yet."
        last = self.owner(client, time)
        if last is None:
            return "the server", f"Client {client} has been accepted, and the server has called nothing for it since."
        task = last["task"]
        if is_receive(last) and task not in self.callers and self.all_workers_wait(time):
            return "a free worker", f"Client {client}'s search is in the queue: all workers wait for backends."
        segment = self.segment_at(task, time)
        if segment and segment["state"] == "blocked" and segment["for"] != f"client {client}":
            return self.because(client, task, segment, "waits: ", last, time)
        if segment and segment["state"] == "blocked" and is_send(segment["call"]):
            return "itself", f"Client {client} does not read: {clause(self.tasks[task]['name'], segment['call'])}."
        name = with_article(self.tasks[task]["name"])
        if segment and segment["state"] == "repeats" and not segment["progress"]:
            return name, f"Client {client} waits: {name} repeats {segment['names']}."
        if segment and segment["state"] == "unrecorded":
            return "the server", f"Client {client} waits for the server, whose calls are not recorded any more."
        return "the server", f"Client {client} waits for the server."

    def unread(self, client, time, end):
        """How many bytes it has sent that the server has not read; 0 if they are about to be read: its call ends soon."""
        sends = [e for e in self.clients[client]["events"] if e["what"] == "sends" and e["time"] <= time]
        if not sends or end - sends[-1]["time"] < SOON:
            return 0
        return sum(e["bytes"] for e in sends) - sum(
            call["result"] * call.get("times", 1) for call in self.calls_for[f"client {client}"]
            if is_receive(call) and call["end"] is not None and call["end"] <= time and call["result"] > 0)

    def reasons(self, client, begin, end):
        """(begin, end, whom, sentence), without pieces that are too short to be seen."""
        pieces = []
        points = self.breakpoints(client, begin, end)
        for first, second in zip(points, points[1:]):
            whom, sentence = self.reason(client, (first + second) / 2)
            is_short = second - first < 5 * sliver(self.recording)
            if pieces and (is_short or pieces[-1][2] == whom):
                pieces[-1][1] = second
            else:
                pieces.append([first, second, whom, sentence])
        return pieces

    def because(self, client, task, segment, how, last=None, time=None):
        """last: the last call for this client, if it has been accepted."""
        name, call = self.tasks[task]["name"], segment["call"]
        whom = segment["for"] if segment["for"] else with_article(name)
        if last and call["function"] in ("epoll_wait", "poll", "select"):
            what = f"{with_article(name)} is in {in_words(call)}"
            if last["error"] == "EAGAIN" and is_send(last):
                return whom, f"Client {client} waits: there was no room for more of its answer, and {what}."
            unread = self.unread(client, time, segment["end"])
            if unread > 0:
                it_waits = "waiting for a new event" if call["function"] == "epoll_wait" else "which does not report them"
                are = f"{unread:,} bytes that it has sent are" if unread > 1 else "a byte that it has sent is"
                return whom, f"Client {client} waits: {are} unread, and {what}, {it_waits}."
        return whom, f"Client {client} {how}{clause(name, call)}."


def client_lane(recording, client, waiting):
    events = client["events"]
    if not events:
        return None
    gone = [e["time"] for e in events if e["what"] in GONE]
    # The client may be told late, on a busy machine, that it is connected.
    accepted = waiting.accepted_at(client["name"])
    first = min(events[0]["time"], math.inf if accepted is None else accepted)
    events = [events[0] | {"time": first}, *events[1:]]
    begin, end = max(0, first), gone[0] if gone else recording["duration"]
    lane = {"kind": "client", "name": f"client {client['name']}", "begin": begin, "end": end, "segments": [],
            "marks": [{"time": e["time"], "what": e["what"], "text": e["text"]} for e in events]}
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
        middle = min(max(accepted if accepted is not None else waiting.until, b), e)
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
    first = MAX_LANES - MAX_LANES // 4
    longest = sorted(range(first, len(lanes)), key=lambda i: -wait_of(lanes[i]))[:MAX_LANES // 4]
    kept = sorted([*range(first), *longest])
    return [lanes[i] for i in kept], len(lanes) - len(kept)


def thin_out(lane, recording, drawn):
    """Without the marks that no picture could show beside the one before. drawn: the names of the clients' lanes."""
    if len(lane["marks"]) <= MANY_MARKS:
        return lane
    kept, seen = [], {}
    for mark in lane["marks"]:
        who = mark.get("for") if mark.get("for") in drawn else mark["what"]
        if who not in seen or mark["time"] - seen[who] >= recording["duration"] / FINEST:
            kept.append(mark)
            seen[who] = mark["time"]
    return lane | {"marks": kept}


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
    drawn = {lane["name"] for lane in result if lane["kind"] == "client"}
    result = [thin_out(lane, recording, drawn) for lane in result]
    return result, f"Not drawn: {', '.join(left_out)}." if left_out else ""
