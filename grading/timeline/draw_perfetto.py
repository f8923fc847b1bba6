"""Writes lanes in the Trace Event Format, for ui.perfetto.dev and chrome://tracing."""
import json

PROCESSES = {"client": (1, "clients"), "task": (2, "server"), "coroutine": (3, "coroutines")}


def draw(recording, lanes):
    events = [{"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}
              for pid, name in PROCESSES.values()]
    for number, lane in enumerate(lanes, 1):
        pid = PROCESSES[lane["kind"]][0]
        events.append({"ph": "M", "name": "thread_name", "pid": pid, "tid": number, "args": {"name": lane["name"]}})
        for segment in lane["segments"]:
            name = f"waits for {segment['for']}" if segment["state"] == "waits" and lane["kind"] == "client" \
                else segment["label"] or segment["state"]
            events.append({"ph": "X", "name": name, "pid": pid, "tid": number, "ts": segment["begin"] * 1e6,
                           "dur": (segment["end"] - segment["begin"]) * 1e6, "args": {"what": segment["sentence"]}})
        for mark in lane["marks"]:
            events.append({"ph": "i", "s": "t", "name": mark["what"], "pid": pid, "tid": number,
                           "ts": mark["time"] * 1e6, "args": {"text": mark.get("text") or mark.get("for") or ""}})
    return json.dumps({"displayTimeUnit": "ms", "otherData": {"title": recording["title"]},
                       "traceEvents": events}) + "\n"
