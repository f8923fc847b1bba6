"""Draws lanes with characters: who waits for whom, in the width of a terminal, with colour or without."""
COLORS = {"A": 33, "B": 208, "C": 35, "D": 170, "E": 37, "F": 142, "G": 69, "H": 173, "I": 108}
WAITS, RESET, BOLD, DIM = "\033[97;41m", "\033[0m", "\033[1m", "\033[2m"
NAME_WIDTH = 13
SHORTEST = 0.05  # seconds: on a busy machine anybody waits for less
EVENT_MARKS = {"connects": "├", "sends": ">", "receives": "<", "closes": "┤", "resets": "x", "is reset": "x",
               "is closed by the server": "┤", "half-closes": "┐", "cannot connect": "x"}


class Row:
    """Cells of one character each, with a style; None: the terminal's own."""

    def __init__(self, width):
        self.cells = [(" ", None)] * width
        self.signs = [None] * width  # those of the legend; None: a label, or nothing

    def fill(self, first, last, character, style=None):
        for i in range(max(0, first), min(last, len(self.cells))):
            self.cells[i] = (character, style)
            self.signs[i] = character

    def mark(self, position, character, style):
        self.cells[position] = (character, style)
        self.signs[position] = "A" if character.isupper() else character

    def write(self, first, text, style=None):
        for i, character in enumerate(text):
            self.cells[first + i] = (character, style)
            self.signs[first + i] = None

    def text(self, use_color):
        if not use_color:
            return "".join(c for c, _ in self.cells).rstrip()
        result, current = "", None
        for character, style in self.cells:
            if style != current:
                result += RESET + (style or "")
                current = style
            result += character
        return result + RESET


def color_of(name):
    letter = (name or "").removeprefix("client ")
    return f"\033[38;5;{COLORS[letter]}m" if letter in COLORS else None


def short(name):
    return (name or "").removeprefix("the ")


def write_label(row, first, last, marks, texts, style):
    """The first of these texts that fits between two marks, where there is most room."""
    edges = [first - 1] + sorted(m for m in marks if first <= m < last) + [last]
    room, start = max((b - a - 1, -a) for a, b in zip(edges, edges[1:]))
    text = next((t for t in texts if len(t) <= room), "")
    row.write(1 - start, text, style)


def mark_of(lane, mark):
    """Its character and its style; None if there is nothing to see."""
    if lane["kind"] == "client":
        return EVENT_MARKS.get(mark["what"], "·"), BOLD
    if mark["for"] and mark["for"].startswith("client ") and len(mark["for"]) == len("client A"):
        return mark["for"][-1], BOLD + (color_of(mark["for"]) or "")
    return None


def draw_client(row, segment, b, e, marks, name):
    if segment["state"] == "waits":
        whom = short(segment["for"])
        row.fill(b, e, "░", WAITS)
        write_label(row, b + 1, e, marks, (f"waits for {whom}", whom, whom.split(" ")[0]), WAITS)
    else:
        row.fill(b, e, "─" if segment["state"] == "idle" else "┄", color_of(name))


def draw_task(row, segment, b, e, marks):
    whom = segment["for"]
    if segment["state"] == "runs":
        row.fill(b, e, "█", BOLD)
        return
    if segment["state"] == "repeats":
        row.fill(b, e, "█", BOLD + (color_of(whom) or ""))
        write_label(row, b + 1, e - 1, marks, (f" {segment['label'].replace(': the ', ': ')} ",
                                               f" × {segment['times']:,} ", "×"), BOLD)
        return
    if segment["state"] == "unrecorded":
        row.fill(b, e, " ")
        b += b in marks and b + 1 < e
        row.mark(b, "╎", DIM)
        write_label(row, b + 1, e, marks, (segment["label"], "the recording is full", "full", "?"), DIM)
        return
    row.fill(b, e, "━" if whom else "─", color_of(whom) or (None if whom else DIM))
    row.mark(b, "┝" if whom else "┌", row.cells[b][1])
    function = segment["label"].split(":")[0]
    texts = (segment["label"].replace(": the ", ": "), *([short(whom).split(" ")[0]] if whom and "backend" in whom else []),
             function)
    write_label(row, b + 1, e, marks, texts, color_of(whom))


def draw_lane(lane, width, column):
    row = Row(width)
    marks = {min(column(m["time"]), width - 1): found for m in lane["marks"] if (found := mark_of(lane, m))}
    row.fill(column(lane["begin"]), column(lane["end"]), "─" if lane["kind"] == "client" else "·", DIM)
    for segment in lane["segments"]:
        b, e = column(segment["begin"]), column(segment["end"])
        if e > b and lane["kind"] == "client":
            draw_client(row, segment, b, e, marks, lane["name"])
        elif e > b:
            draw_task(row, segment, b, e, marks)
    for position, cell in marks.items():
        row.mark(position, *cell)
    return row


def time_step(duration, most=8):
    """The distance of the marks on the time axis, and its unit, in seconds."""
    steps = [m * 10 ** e for e in range(-5, 5) for m in (1, 2, 5)]
    return next(s for s in steps if duration / s <= most), 1 if duration >= 0.2 else 0.001


def axis(duration, width, column):
    row = Row(width)
    step, unit = time_step(duration)
    i = 0
    while i * step <= duration:
        text = f"{i * step / unit:g}"
        position = column(i * step)
        if position + len(text) <= width:
            row.write(position, text)
        i += 1
    return row


def draw(recording, lanes, columns, use_color):
    """The picture, as text that ends with a newline, and its signs: pairs of a lane's kind and a character."""
    width = columns - NAME_WIDTH - 1
    duration = recording["duration"]

    def column(time):
        return min(width, max(0, round(time / duration * width)))

    rows, kind, signs = [], None, set()
    for lane in lanes:
        if lane["kind"] != kind and kind is not None:
            rows.append("")
        kind = lane["kind"]
        name = lane["name"][:NAME_WIDTH].ljust(NAME_WIDTH)
        if use_color and kind == "client":
            name = (color_of(lane["name"]) or "") + name + RESET
        row = draw_lane(lane, width, column)
        signs |= {(kind, sign) for sign in row.signs if sign}
        rows.append(f"{name} {row.text(use_color)}".rstrip())
    unit = "seconds" if time_step(duration)[1] == 1 else "milliseconds"
    rows.append(unit.ljust(NAME_WIDTH) + " " + axis(duration, width, column).text(use_color))
    return "\n".join(rows) + "\n", signs


CLIENT_SIGNS = [("├", "connects"), ("┄", "in the backlog"), ("─", "connected"), (">", "sends"), ("░", "waits"),
                ("<", "is answered"), ("┐", "half-closes"), ("┤", "closes"), ("x", "resets")]
SERVER_SIGNS = [("A", "calls for A"), ("┝━", "in a call for A"), ("┌─", "in another call"), ("█·", "runs"),
                ("╎", "full")]


def legend(signs):
    """Those of the signs that occur. Three lines at most: those of the server fit in one."""
    lines = []
    for heading, rows, is_client in ("clients: ", CLIENT_SIGNS, True), ("server:  ", SERVER_SIGNS, False):
        seen = {sign for kind, sign in signs if (kind == "client") == is_client}
        line = heading
        for characters, words in rows:
            found = [c for c in characters if c in seen]
            item = f"{' '.join(found) if characters == '█·' else characters} {words}"
            if found and len(line) + len(item) > 80:
                lines.append(line.rstrip())
                line = " " * len(heading)
            line += item + "  " if found else ""
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"


def longest_waits(lanes, count=3):
    """The longest waits in sentences, those of the longest first."""
    waits = [(s["end"] - s["begin"], s["sentence"]) for lane in lanes if lane["kind"] == "client"
             for s in lane["segments"] if s["state"] == "waits"]
    result, seen = [], set()
    for seconds, sentence in sorted(waits, key=lambda w: -w[0]):
        if seconds >= SHORTEST and sentence not in seen and len(result) < count:
            seen.add(sentence)
            result.append(f"For {seconds:.2f} s, {sentence[:1].lower()}{sentence[1:]}")
    return result
