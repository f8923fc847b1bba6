"""Draws lanes as SVG: one strip per recording, on one time axis. Light and dark, with patterns and words, so that
nothing depends on colour alone."""
from html import escape

from draw_terminal import time_step

LIGHT = {"A": "#1a6fd4", "B": "#c2570c", "C": "#12855a", "D": "#a03aa8", "E": "#0e7c86", "F": "#7c6a0a", "G": "#5458d6",
         "H": "#b23a48", "I": "#4f7a1f"}
DARK = {"A": "#6db1ff", "B": "#ff9d5c", "C": "#4fd19b", "D": "#e08ae8", "E": "#4fc9d4", "F": "#d6bf4a", "G": "#a0a3ff",
        "H": "#ff8f9c", "I": "#a6d36b"}
NAME_WIDTH, RIGHT, CHARACTER = 118, 14, 6.6  # CHARACTER: the width of one at 12 px, a little more than the average

STYLE = """
text { font: 12px ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: var(--ink); }
text.title { font-size: 15px; font-weight: 600; }
text.name { font-weight: 500; }
text.inverse { fill: var(--page); }
text.small { fill: var(--dim); }
text.wait { fill: var(--wait-ink); font-weight: 600; }
text.busy { fill: var(--busy-ink); }
.page { fill: var(--page); }
.grid { stroke: var(--grid); }
.idle { stroke-width: 3; }
.backlog { stroke-width: 3; stroke-dasharray: 2 4; }
rect.waits { fill: var(--wait); stroke: var(--wait-line); }
rect.busy { fill: var(--busy); stroke: var(--server); }
.hatch { stroke: var(--wait-line); stroke-width: 1.6; }
.nobody { fill: var(--free); stroke: var(--free-line); }
.runs { fill: var(--ink); }
.suspended { stroke-dasharray: 3 2; }
.edge { stroke: var(--ink); stroke-width: 1.5; }
.mark { stroke: var(--page); stroke-width: 0.8; }
"""


def style():
    light = "--page:#ffffff;--ink:#1c2430;--dim:#5c6775;--grid:#e3e7ec;--wait:#fde3e1;--wait-line:#c5281c;" \
            "--wait-ink:#8f1409;--busy:#f7eeda;--busy-ink:#6b4d00;--free:#f1f3f6;--free-line:#b9c1cb;"
    dark = "--page:#0f141a;--ink:#e6ebf1;--dim:#9aa6b4;--grid:#28313b;--wait:#47161a;--wait-line:#ff7a70;" \
           "--wait-ink:#ffc4bf;--busy:#33290f;--busy-ink:#f0cf83;--free:#1b232c;--free-line:#475462;"
    light += "".join(f"--{name}:{color};" for name, color in LIGHT.items()) + "--server:#8a6400;"
    dark += "".join(f"--{name}:{color};" for name, color in DARK.items()) + "--server:#e3b341;"
    return f"svg {{ {light} color-scheme: light dark; }}\n" \
           f"@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}\n{STYLE}"


def color(name):
    letter = (name or "").removeprefix("client ")
    return f"var(--{letter})" if letter in LIGHT else "var(--server)"


def short(name):
    return (name or "").removeprefix("the ")


class Strip:
    """The lanes of one recording, drawn from y downwards."""

    def __init__(self, recording, lanes, y, width, duration, lane_height):
        self.recording, self.lanes, self.top, self.height = recording, lanes, y, lane_height
        self.scale = (width - NAME_WIDTH - RIGHT) / duration
        self.duration = duration
        self.parts, self.names = [], []

    def x(self, time):
        return round(NAME_WIDTH + max(0, min(time, self.duration)) * self.scale, 1)

    def label(self, x1, x2, y, texts, css, marks=()):
        """The first of the texts that fits, where no mark is in its way."""
        edges = [x1] + sorted(m for m in marks if x1 < m < x2) + [x2]
        room, start = max((b - a, -a) for a, b in zip(edges, edges[1:]))
        text = next((t for t in texts if t and len(t) * CHARACTER + 10 <= room), None)
        if text:
            self.parts.append(f'<text class="{css}" x="{6 - start:.1f}" y="{y + 4.2:.1f}">{escape(text)}</text>')

    def rect(self, b, e, y, height, css, extra=""):
        self.parts.append(f'<rect class="{css}" x="{b}" y="{y - height / 2:.1f}" width="{max(e - b, 1):.1f}" '
                          f'height="{height:.1f}" rx="2" {extra}/>')

    def draw_client(self, lane, y):
        marks = [self.x(m["time"]) for m in lane["marks"]]
        tint = color(lane["name"])
        for s in lane["segments"]:
            b, e = self.x(s["begin"]), self.x(s["end"])
            if s["state"] == "waits":
                title = f"<title>{escape(s['sentence'])}</title>"
                height = self.height - 6
                self.parts.append(f'<g>{title}')
                # Waiting for a backend is the service itself; waiting for anyone else is what servers differ in.
                whom = short(s["for"])
                is_service = whom.endswith(" backend")
                self.rect(b, e, y, height, "busy" if is_service else "waits")
                if not is_service:
                    self.rect(b, e, y, height, "", 'fill="url(#hatch)"')
                texts = [f"waits for {whom}", whom] + ([whom.split(" ")[0]] if is_service else [])
                text, place = self.find_place(b, e, marks, texts)
                if text and is_service:
                    self.parts.append(f'<text class="busy" x="{place + 3:.1f}" y="{y + 4.2:.1f}">{escape(text)}</text>')
                elif text:
                    self.parts.append(f'<rect class="waits" stroke="none" style="stroke:none" x="{place:.1f}" y="{y - 7:.1f}" '
                                      f'width="{len(text) * CHARACTER + 6:.1f}" height="14" rx="2"/>')
                    self.parts.append(f'<text class="wait" x="{place + 3:.1f}" y="{y + 4.2:.1f}">{escape(text)}</text>')
                self.parts.append("</g>")
            else:
                self.parts.append(f'<line class="{s["state"]}" x1="{b}" x2="{e}" y1="{y}" y2="{y}" stroke="{tint}">'
                                  f'<title>{escape(s["sentence"])}</title></line>')
        for m in lane["marks"]:
            self.mark(self.x(m["time"]), y, m, tint)

    def find_place(self, b, e, marks, texts):
        """The first text that fits without covering a mark, and where; otherwise (None, None)."""
        edges = [b + 4] + sorted(m + 6 for m in marks if b - 2 <= m < e) + [e]
        for text in texts:
            for first, second in zip(edges, edges[1:]):
                if second - first - 8 >= len(text) * CHARACTER:
                    return text, first
        return None, None

    def mark(self, x, y, mark, tint):
        what = mark["what"]
        title = f"<title>{escape(what)}{': ' + escape(repr(mark['text'])[1:-1]) if mark.get('text') else ''}</title>"
        if what == "sends":  # above the line; an answer is below it: both may come at once
            shape = f'<path class="mark" fill="{tint}" d="M{x - 4.5} {y - 9}h9l-4.5 8z">{title}</path>'
        elif what == "receives":
            shape = f'<path class="mark" fill="{tint}" d="M{x - 4.5} {y + 9}h9l-4.5 -8z">{title}</path>'
        elif what in ("resets", "is reset", "cannot connect"):
            shape = f'<path class="edge" d="M{x - 4} {y - 4}l8 8m0 -8l-8 8">{title}</path>'
        else:
            shape = f'<path class="edge" d="M{x} {y - 6}v12">{title}</path>'
        self.parts.append(shape)

    def draw_task(self, lane, y):
        for s in lane["segments"]:
            b, e = self.x(s["begin"]), self.x(s["end"])
            title = f"<title>{escape(s['sentence'])}</title>"
            self.parts.append(f"<g>{title}")
            height = self.height - 8
            dash = " suspended" if s["state"] == "waits" else ""
            if s["state"] in ("runs", "repeats"):
                self.rect(b, e, y, height, "runs")
            elif s["state"] == "unrecorded":
                self.parts.append(f'<path class="edge" stroke-dasharray="2 2" d="M{b} {y - height / 2:.1f}v{height:.1f}"/>')
            elif s["for"]:
                self.rect(b, e, y, height, dash.strip(), f'fill="{color(s["for"])}" fill-opacity="0.22" '
                                                         f'stroke="{color(s["for"])}"')
            else:
                self.rect(b, e, y, height, "nobody" + dash)
            function = s["label"].split(":")[0]
            whom = short(s["for"])
            texts = [s["label"].replace(": the ", ": "), whom]
            texts += [whom.split(" ")[0]] if whom.endswith(" backend") else [function]
            if s["state"] == "repeats":
                texts = [texts[0], f"× {s['times']:,}"]
            self.label(b, e, y, texts + ["the recording is full"] * (s["state"] == "unrecorded"),
                       "inverse" if s["state"] == "repeats" else "" if s["for"] else "small", [self.x(m["time"]) for m in lane["marks"]])
            self.parts.append("</g>")
        drawn = None
        for m in lane["marks"]:
            x = self.x(m["time"])
            if drawn is not None and abs(x - drawn[0]) < 0.8 and drawn[1] == m["for"]:
                continue
            drawn = (x, m["for"])
            is_client = m["for"] and m["for"].startswith("client ")
            stroke = color(m["for"]) if is_client else "var(--dim)"
            reach = self.height / 2 - (2 if is_client else 7)
            self.parts.append(f'<path stroke="{stroke}" stroke-width="{2 if is_client else 1}" d="M{x} {y - reach:.1f}v{2 * reach:.1f}"/>')

    def draw(self):
        y, kind = self.top, None
        for lane in self.lanes:
            if kind is not None and lane["kind"] != kind:
                y += self.height / 3
            kind = lane["kind"]
            middle = y + self.height / 2
            tint = f' style="fill:{color(lane["name"])}"' if kind == "client" else ""
            self.names.append(f'<text class="name" x="{NAME_WIDTH - 10}" y="{middle + 4.2:.1f}" text-anchor="end"{tint}>'
                              f'{escape(lane["name"][:18])}</text>')
            if kind == "task":
                b, e = self.x(lane["begin"]), self.x(lane["end"])
                self.parts.append(f'<line class="grid" x1="{b}" x2="{e}" y1="{middle}" y2="{middle}"/>')
            self.draw_client(lane, middle) if kind == "client" else self.draw_task(lane, middle)
            y += self.height
        edge = NAME_WIDTH - 6
        self.parts.append(f'<g class="names"><rect class="page" y="{self.top - 2}" width="{edge}" height="{y - self.top + 4:.1f}"/>'
                          + "".join(self.names) + "</g>")
        return y


def axis(parts, duration, width, top, bottom):
    scale = (width - NAME_WIDTH - RIGHT) / duration
    step, unit = time_step(duration, 10)
    i, lines, words = 0, [], []
    while i * step <= duration:
        x = round(NAME_WIDTH + i * step * scale, 1)
        lines.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        words.append(f'<text class="small" x="{x}" y="{bottom + 16:.1f}" text-anchor="middle">'
                     f'{i * step / unit:g}{(" s" if unit == 1 else " ms") if i == 0 else ""}</text>')
        i += 1
    parts[:0] = lines
    parts += words


def legend(y, width):
    """The signs; returns the parts, and where the next thing may begin."""
    parts, x = [], NAME_WIDTH
    box = '<rect y="-7" width="18" height="14" rx="2" {}/>'
    signs = [('<line x2="18" stroke="var(--A)" stroke-width="3"/>', 22, "connected"),
             ('<path class="mark" fill="var(--A)" d="M0 -9h9l-4.5 8z"/>', 12, "sends"),
             ('<path class="mark" fill="var(--A)" d="M0 9h9l-4.5 -8z"/>', 12, "is answered"),
             ('<path class="edge" d="M0 -4l8 8m0 -8l-8 8"/>', 12, "resets"),
             (box.format('class="waits"') + box.format('fill="url(#hatch)"'), 22, "waits for someone else"),
             (box.format('class="busy"'), 22, "waits for a backend"),
             (box.format('fill="var(--server)" fill-opacity="0.22" stroke="var(--server)"'), 22, "in a call for a backend"),
             (box.format('fill="var(--A)" fill-opacity="0.22" stroke="var(--A)"'), 22, "the server is in a call for A (each client has a colour)"),
             (box.format('class="nobody"'), 22, "in a call for no client in particular"),
             (box.format('class="suspended" fill="var(--A)" fill-opacity="0.22" stroke="var(--A)"'), 22,
              "a coroutine that is suspended: no thread is in the call"),
             ('<path stroke="var(--A)" stroke-width="2" d="M2 -7v14"/>', 8, "runs for A, for a moment"),
             ('<path stroke="var(--dim)" d="M2 -4v8"/>', 8, "runs, for no client")]
    for shape, sign_width, words in signs:
        if x + sign_width + len(words) * 6.2 > width:
            x, y = NAME_WIDTH, y + 22
        parts.append(f'<g transform="translate({x:.1f} {y})">{shape}</g>'
                     f'<text class="small" x="{x + sign_width:.1f}" y="{y + 4.2}">{words}</text>')
        x += sign_width + len(words) * 6.2 + 16
    return parts, y + 22


def document(parts, width, height, title, description):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
            f'height="{height:.0f}" role="img" aria-labelledby="title description">\n'
            f'<title id="title">{escape(title)}</title>\n<desc id="description">{escape(description)}</desc>\n'
            f'<style>{style()}</style>\n'
            '<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<path class="hatch" d="M0 0v7"/></pattern></defs>\n'
            f'<rect class="page" width="{width}" height="{height:.0f}"/>\n' + "\n".join(parts) + "\n</svg>\n")


def draw(recording, lanes, title, description, width=960):
    strip = Strip(recording, lanes, 34, width, recording["duration"], 26)
    bottom = strip.draw() + 4
    parts = strip.parts
    axis(parts, recording["duration"], width, 34, bottom)
    parts.append(f'<text class="title" x="14" y="22">{escape(title)}</text>')
    signs, bottom = legend(round(bottom + 36), width)
    return document(parts + signs, width, bottom, title, description)


SCENARIO = (
    "A connects and is silent until 0.8 s; it leaves at 0.9 s. B sends a line at 0.1 s. C sends a byte from time to time. "
    "D sends three bytes, and",
    "gives up at 0.5 s. The servers of labs 1 to 5 send back each byte, those of labs 6 to 8 each line. They also search, "
    "for E to I: they ask three",
    "other servers, their backends (user, query, stock), one after the other, and each takes 0.2 s for an answer. F gives up "
    "at 1.5 s.")


def draw_poster(strips, title, description, width=1080):
    """strips: (heading, one sentence, recording, lanes) for each server."""
    duration = max(recording["duration"] for _, _, recording, _ in strips)
    parts = [f'<text class="title" x="14" y="26">{escape(title)}</text>']
    parts += [f'<text x="14" y="{48 + 18 * i}">{line}</text>' for i, line in enumerate(SCENARIO)]
    signs, y = legend(48 + 18 * len(SCENARIO) + 4, width)
    parts += signs
    for heading, sentence, recording, lanes in strips:
        parts.append(f'<text class="title" x="14" y="{y + 16:.1f}">{escape(heading)}</text>'
                     f'<text class="small" x="{14 + len(heading) * 8.6 + 14:.1f}" y="{y + 16:.1f}">{escape(sentence)}</text>')
        strip = Strip(recording, lanes, y + 26, width, duration, 22)
        bottom = strip.draw()
        own = strip.parts
        axis(own, duration, width, y + 26, bottom)
        parts += own
        y = bottom + 34
    return document(parts, width, y - 8, title, description)


def summary(lanes):
    """The longest wait for someone other than a backend, in a few words."""
    waits = [(s["end"] - s["begin"], lane["name"], s["for"]) for lane in lanes if lane["kind"] == "client"
             for s in lane["segments"] if s["state"] == "waits" and not s["for"].endswith(" backend")]
    seconds, who, whom = max(waits, default=(0, "", ""))
    return f"{who} waits {seconds:.1f} s for {whom}" if seconds >= 0.05 else "nobody waits for a client or for a worker"
