"""trace.py OPTION... LAB SOURCE... - records servers and draws them; grading/trace calls it and has its options."""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap

import check_run
import draw_page
import draw_perfetto
import draw_svg
import draw_terminal
import lanes as lane_model
import recording as recordings
import scenario as scenarios

HERE = pathlib.Path(__file__).resolve().parent
GRADING = HERE.parent
ROOT = GRADING.parent
# In any locale. A source may have bytes of any encoding, and the compiler prints its lines.
AS_TEXT = {"encoding": "utf-8", "errors": "replace"}


class DoesNotCompile(Exception):
    pass


class MachineFailed(Exception):
    pass


def work_directory():
    """LD_PRELOAD is a list, in which spaces and colons separate the names."""
    return tempfile.TemporaryDirectory(dir="/tmp" if re.search(r"[\s:]", tempfile.gettempdir()) else None)


def build_recorder(work):
    """Built anew each time: it takes a second, and there is nothing to keep."""
    library = work / "record_calls.so"
    built = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-fno-omit-frame-pointer", "-shared", "-fPIC",
                            "-ftls-model=initial-exec", "-o", library, HERE / "record_calls.c", HERE / "record_functions.c"],
                           capture_output=True, **AS_TEXT)
    if built.returncode != 0:
        raise MachineFailed(f"the recorder does not compile:\n{built.stderr}")
    return library


def build_server(source, work):
    """Without optimisation and with frame pointers: so that each call has its line, and its callers' lines."""
    shutil.copy(source, work / "server.c")
    built = subprocess.run(["make", "-s", "-C", work, "-f", GRADING / "lab.mk", "SOURCE=server.c",
                            f"CC={os.environ.get('GRADE_CC') or 'gcc'}", "server-trace"], capture_output=True, **AS_TEXT)
    if built.returncode != 0:
        raise DoesNotCompile("".join(line for line in built.stderr.splitlines(True) if not line.startswith("make: ")))
    return work / "server-trace"


def record_scenario(lab, source, work):
    server = build_server(source, work)
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    # setpriv: if this script is killed, so is the server. env: only the server is recorded.
    command = ["setpriv", "--pdeathsig", "KILL", "env", f"LD_PRELOAD={build_recorder(work)}",
               f"TIMELINE_FILE={work / 'calls'}", str(server)]
    run = scenarios.Scenario(command, str(work), environment, lab >= "lab06")
    run.run()
    if run.port and not recordings.read_calls(work / "calls")[1]:
        raise MachineFailed("nothing was recorded: the recorder could not be loaded into the server")
    return recordings.assemble(lab, run, work / "calls", server, work / "server.c",
                               f"{lab}: who waits for whom")


def draw(recording, options):
    lanes, left_out = lane_model.all_lanes(recording)
    use_color = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in ("", "dumb")
    columns = options.columns or (shutil.get_terminal_size().columns if sys.stdout.isatty() else 80)
    print(recording["title"])
    picture, signs = draw_terminal.draw(recording, lanes, max(60, columns), use_color)
    print(picture)
    print(draw_terminal.legend(signs))
    for sentence in draw_terminal.longest_waits(lanes):
        print(textwrap.fill(sentence, 80, subsequent_indent="        "))
    for sentence in (left_out, recording["outcome"], *lane_model.repeated_most(recording)):
        if sentence:
            print(textwrap.fill(sentence, 80, break_long_words=False))
    if options.output:
        write_files(recording, lanes, pathlib.Path(options.output))


MAX_WRITTEN = 10000  # calls: the files of a check with ten thousand clients would have 60 MB


def without_the_rest(recording, lanes):
    """The recording as it is written: if there are too many calls, those of the drawn clients, and the first ones."""
    calls = recording["calls"]
    if len(calls) <= MAX_WRITTEN:
        return recording | {"calls_left_out": 0}
    drawn = {lane["name"] for lane in lanes if lane["kind"] == "client"}
    calls = [call for call in calls
             if all(not (name or "").startswith("client ") or name in drawn for name in (call["on"], call["accepted"]))]
    calls = [call | {"ready": [name for name in call["ready"] if not name.startswith("client ") or name in drawn]}
             for call in calls[:MAX_WRITTEN]]
    return recording | {"calls": calls, "calls_left_out": len(recording["calls"]) - len(calls),
                        "clients": [c for c in recording["clients"] if f"client {c['name']}" in drawn]}


def write_files(recording, lanes, directory):
    title, text = recording["title"], description(recording, lanes)
    notes = lane_model.repeated_most(recording)
    recording = without_the_rest(recording, lanes)
    if recording["calls_left_out"]:
        notes.append(f"{recording['calls_left_out']:,} calls are not among the steps here.")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "trace.json").write_text(json.dumps(recording, ensure_ascii=False) + "\n", **AS_TEXT)
        (directory / "trace.svg").write_text(draw_svg.draw(recording, lanes, title, text), **AS_TEXT)
        (directory / "trace.html").write_text(draw_page.draw(recording, lanes, title, text, notes), **AS_TEXT)
        (directory / "trace.perfetto.json").write_text(draw_perfetto.draw(recording, lanes), **AS_TEXT)
    except OSError as error:
        raise MachineFailed(f"cannot write to {directory}: {error.strerror}") from error
    print(f"To step through it: {os.path.relpath(directory / 'trace.html')}")


def description(recording, lanes):
    waits = draw_terminal.longest_waits(lanes)
    return " ".join(waits) if waits else "No client waits for an answer for longer than a moment."


def write(path, text):
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, **AS_TEXT)
    except OSError as error:
        raise MachineFailed(f"cannot write {path}: {error.strerror}") from error


def what_is_new(lab):
    """": a process per client", from README.md's table."""
    found = re.search(rf"^\| \[[^]]*\]\({lab}/[^)]*\) \| ([^|]*) \|", (ROOT / "README.md").read_text(**AS_TEXT), re.M)
    return f": {found[1].strip()}" if found else ""


def draw_all(labs_and_sources, directory):
    """The pictures in the READMEs: each lab's own, and the poster."""
    strips = []
    for lab, source in labs_and_sources:
        with work_directory() as name:
            recording = record_scenario(lab, source, pathlib.Path(name))
        lanes, _ = lane_model.all_lanes(recording)
        strips.append((f"{lab}{what_is_new(lab)}", draw_svg.summary(lanes) + ".", recording, lanes))
        write(directory / lab / "pictures/timeline.svg",
              draw_svg.draw(recording, lanes, recording["title"], description(recording, lanes)))
        print(f"{lab}: {draw_svg.summary(lanes)}", flush=True)
    title = "Who waits for whom: eight servers, one scenario"
    write(directory / "grading/timeline/poster.svg",
          draw_svg.draw_poster(strips, title, " ".join(f"{lab}: {summary}" for lab, summary, _, _ in strips)))
    print(f"The pictures are in {directory / 'grading/timeline/poster.svg'} and {directory / 'lab*/pictures/timeline.svg'}.")


def main():
    sys.stdout.reconfigure(errors="replace")  # in a locale that does not have the signs of the picture
    parser = argparse.ArgumentParser()
    parser.add_argument("--check")
    parser.add_argument("--output")
    parser.add_argument("--columns", type=int)
    parser.add_argument("--all")
    parser.add_argument("sources", nargs="+")
    options = parser.parse_args()
    pairs = list(zip(options.sources[::2], options.sources[1::2]))
    try:
        if options.all:
            draw_all(pairs, pathlib.Path(options.all))
            return 0
        (lab, source), = pairs
        with work_directory() as name:
            work = pathlib.Path(name)
            if options.check:
                recording = check_run.record_check(lab, source, options.check, work, build_recorder(work))
            else:
                recording = record_scenario(lab, source, work)
        recording["server"] = os.path.relpath(source, ROOT) if ROOT in pathlib.Path(source).resolve().parents else source
        draw(recording, options)
    except DoesNotCompile as error:
        print(f"{error}trace: the server does not compile", file=sys.stderr)
        return 1
    except (MachineFailed, check_run.NothingToDraw) as error:
        print(f"trace: {error}", file=sys.stderr)
        return 3
    except BrokenPipeError:  # head(1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
