"""Draws the charts of grading/chart with gnuplot, as SVG, and says in a sentence what limits which server."""
import math
import re
import subprocess
import textwrap
from html import escape

# Colours of Okabe and Ito, darker or lighter where the background requires it; the shapes differ as well. The page,
# ink and grid are those of the timelines.
LIGHT = {"lab01": "#3a3f47", "lab02": "#d55e00", "lab03": "#a8407c", "lab04": "#a87b00", "lab05": "#0072b2",
         "lab06": "#00805e", "lab07": "#2b93cf", "lab08": "#6a3d9a", "peer": "#7b8592",
         "page": "#ffffff", "ink": "#1c2430", "dim": "#5c6775", "grid": "#e3e7ec"}
DARK = {"lab01": "#c3c9d1", "lab02": "#ff8a3d", "lab03": "#ee8cc4", "lab04": "#e6b422", "lab05": "#4aa8e8",
        "lab06": "#2ec79a", "lab07": "#8fd0f5", "lab08": "#b794e6", "peer": "#8d98a5",
        "page": "#0f141a", "ink": "#e6ebf1", "dim": "#9aa6b4", "grid": "#28313b"}
SHAPES = {"lab01": 2, "lab02": 7, "lab03": 9, "lab04": 5, "lab05": 7, "lab06": 5, "lab07": 11, "lab08": 13,
          "bare": 1, "libev": 6, "libuv": 4, "libevent": 8, "go": 12}
DASHES = {"bare": "(8,4)", "libev": "(2,3)", "libuv": "(6,3,2,3)", "libevent": "(12,4)", "go": "(2,6)"}
WIDTH, LINE, MARGIN = 640, 18, 14


def base_of(server):
    """lab05 of lab05-epoll and of my-lab05-epoll; a peer is itself."""
    return server.removeprefix("my-").split("-")[0]


def tint(server):
    return LIGHT.get(base_of(server), LIGHT["peer"])


# ---- what is drawn -------------------------------------------------------------------------------------------


def series_of(rows, load, x, y, **equal):
    """For each server, the points (x, y, low, high, row) that have a value."""
    series = {}
    for row in rows:
        if row["load"] != load or any(row[name] != value for name, value in equal.items()):
            continue
        value = y(row) if callable(y) else row[y]
        if value == "" or value is None or value <= 0:
            continue
        low, high = (row.get(f"{y}_low", value), row.get(f"{y}_high", value)) if isinstance(y, str) else (value, value)
        series.setdefault(row["server"], []).append((x(row) if callable(x) else row[x], value, low or value, high or value,
                                                     row))
    for points in series.values():
        points.sort(key=lambda point: point[0])
    return series


def number(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def at_most(series, names=None):
    """Of the largest x that at least two servers have: x, and the value of each of them."""
    counts = {}
    for name, points in series.items():
        if names is None or name in names:
            for point in points:
                counts.setdefault(point[0], {})[name] = point[1]
    several = [x for x, values in counts.items() if len(values) > 1]
    return (max(several), counts[max(several)]) if several else (None, {})


def stops(rows, load):
    """"lab04-select stops at 1,019: ...": each server that did not reach the clients that it was asked for."""
    found = {}
    for row in rows:
        if row["load"] == load and row["stopped"]:
            found.setdefault((row["clients"], row["stopped"]), []).append(row["server"])
    return "; ".join(f"{' and '.join(names)} stop{'s' * (len(names) == 1)} at {clients:,}: {reason}"
                     for (clients, reason), names in found.items())


def extremes(series, unit, low_word, high_word):
    x, values = at_most(series)
    if not values:
        return "there are not two servers to compare"
    low, high = min(values, key=values.get), max(values, key=values.get)
    return f"at {x:,}, {low} {low_word} ({number(values[low])} {unit}) and {high} {high_word} ({number(values[high])} {unit})"


def with_stops(sentence, rows, load):
    stopped = stops(rows, load)
    return sentence + (f"; {stopped}." if stopped else ".")


def cpu_sentence(rows, series):
    return with_stops("An event loop serves several clients for one wake-up, a process or a thread per client must "
                      "be woken for each request: " + extremes(series, "µs", "uses least", "most"), rows, "connections")


def rate_sentence(rows, series):
    limited = [row for row in rows if row["load"] == "connections"]
    driver = sorted({row["server"] for row in limited if row["driver_busy"] != "" and row["driver_busy"] > 0.9})
    end = f"; the load generator was the limit of {', '.join(driver)}, not the server" if driver else ""
    return f"All servers have one processor, so the CPU time per request is their limit: " \
           f"{extremes(series, 'a second', 'serves fewest', 'most')}{end}."


def idle_sentence(rows, series):
    growth = {}
    for name, points in series.items():
        if len(points) > 1 and points[0][0] < points[-1][0]:
            first, last = points[0][4], points[-1][4]
            growth[name] = (points[-1][1] / points[0][1], first["clients"] - first["busy"],
                            last["clients"] - last["busy"])
    if not growth:
        return with_stops("A loop with select scans all clients in each call, epoll reports only those that are ready",
                          rows, "idle")
    name = max(growth, key=lambda n: growth[n][0])
    factor, few, many = growth[name]
    return with_stops("A loop with select scans all clients in each call, epoll reports only those that are ready: "
                      f"from {few:,} to {many:,} idle clients, the cost of a request in {name} grew most, "
                      f"{number(factor)} times", rows, "idle")


def latency_sentence(rows, series):
    late = {}
    for row in rows:
        if row["load"] == "rate" and row["requests_per_second"] != "" and \
                row["requests_per_second"] < 0.8 * row["rate"]:
            late.setdefault(row["server"], row["rate"])
    text = "A latency counts from the moment at which the request was due, so a server that is slower than the " \
           "requests arrive falls behind without limit"
    if late:
        first = min(late.values())
        names = [name for name, rate in late.items() if rate == first]
        text += f": from {first:,} requests a second on, {', '.join(names)}"
        others = sorted({row["server"] for row in rows if row["load"] == "rate"} - set(late))
        text += f"; never {', '.join(others)}" if others else "; in the end, all of them"
    elif any(row["load"] == "rate" for row in rows):
        text += ", but at these rates none was"
    return text + "."


def memory_sentence(rows, series):
    return with_stops("A process has page tables and a stack of its own, a thread a stack, a client of a loop its "
                      "buffers: " + extremes(series, "KiB", "needs least", "most"), rows, "connections")


def tasks_sentence(rows, series):
    per_client = sorted(name for name, points in series.items() if points[-1][0] >= 10 and
                        points[-1][1] > points[-1][0] / 2)
    constant = {name: points[-1][1] for name, points in series.items() if name not in per_client}
    text = (f"{' and '.join(per_client)} have one for each client" if per_client else "No server has one per client")
    if constant:
        most = max(constant.values())
        text += f", the others a fixed number of at most {most}: {', '.join(n for n in constant if constant[n] == most)}"
    return with_stops(text, rows, "connections")


def searches_sentence(rows, _series):
    slow = series_of(rows, "searches", "clients", "requests_per_second", backend_ms=200)
    x, values = at_most(slow)
    text = "A search in lab 6 keeps one of 4 workers busy while it waits for 3 backends, one in labs 7 and 8 only memory"
    if values:
        low, high = min(values, key=values.get), max(values, key=values.get)
        text += f": with {x:,} searches at backends of 200 ms, {low} completes {number(values[low])} a second, " \
                f"{high} {number(values[high])}"
    return text + "."


# ---- gnuplot --------------------------------------------------------------------------------------------------


def shape(server):
    return SHAPES.get(base_of(server), 3)


def style(server):
    dash = DASHES.get(server) or ("(4,3)" if server.startswith("my-") else None)
    width = 2.2 if base_of(server).startswith("lab") else 1.4
    return f"lc rgb '{tint(server)}' lw {width} pt {shape(server)} ps 0.75" + (f" dt {dash}" if dash else "")


def blocks(series, prefix):
    """The data, and the plot clauses in the order in which the lines end, from top to bottom."""
    order = sorted(series, key=lambda name: -series[name][-1][1])
    data, clauses = [], []
    for i, name in enumerate(order):
        data.append(f"${prefix}{i} << EOD")
        data += [" ".join(f"{value:g}" for value in point[:4]) for point in series[name]]
        data.append("EOD")
        clauses.append(f"${prefix}{i} using 1:2 with linespoints {style(name)} title '{name}'")
        clauses.append(f"${prefix}{i} using 1:3:(0):($4-$3) with vectors nohead lc rgb '{tint(name)}' lw 1 notitle")
        if series[name][-1][4]["stopped"]:
            clauses.append(f"${prefix}{i} every ::{len(series[name]) - 1} using 1:2 with points "
                           f"lc rgb '{tint(name)}' lw 2 pt 2 ps 1.8 notitle")
    return data, clauses


def range_of(values):
    low, high = min(values), max(values)
    return f"[{low / 1.4:g}:{high * 1.6:g}]"


def panel(series, prefix, x_label, y_label, ticks, place, title="", with_key=True):
    """The gnuplot commands of one coordinate system."""
    data, clauses = blocks(series, prefix)
    xs = [point[0] for points in series.values() for point in points] or [1]
    ys = [value for points in series.values() for point in points for value in point[1:4]] or [1]
    commands = data + [
        f"set lmargin at screen {place['left']:.4f}", f"set rmargin at screen {place['right']:.4f}",
        f"set tmargin at screen {place['top']:.4f}", f"set bmargin at screen {place['bottom']:.4f}",
        f"set xlabel '{x_label}'", f"set ylabel '{y_label}'",
        f"set title '{title}'" if title else "unset title",
        f"set xrange {range_of(xs)}", f"set yrange {range_of(ys)}",
        "set xtics (" + ", ".join(f"'{text}' {at:g}" for at, text in ticks(sorted(set(xs)))) + ")",
        key_at(place) if with_key else "unset key",
        "set ytics (" + ", ".join(f"'{text}' {at:g}" for at, text in y_ticks(min(ys), max(ys))) + ")",
        "plot " + (", \\\n  ".join(clauses) if clauses else "1/0 notitle")]
    return commands


def key_at(place):
    return f"set key at screen {place['right'] + 0.01:.4f},{place['top']:.4f} left top vertical maxcols 1 Left reverse " \
           "samplen 2 spacing 1.15"


def common_key(series):
    """A key is no higher than its plot: this one has a plot of its own, without anything else in it."""
    data, clauses = blocks(series, "k")
    lines = [clause.replace("using 1:2 with", "using (NaN):(NaN) with") for clause in clauses if "notitle" not in clause]
    return [*data, key_at(ONE), f"set tmargin at screen {ONE['top']}", "set bmargin at screen 0.05",
            "unset border", "unset tics", "unset xlabel", "unset ylabel", "unset title", "unset grid",
            "set xrange [1:2]", "set yrange [1:2]", "plot " + ", ".join(lines)]


def y_ticks(low, high):
    """1, 2, 5, 10 ...; only the powers of ten if there are many."""
    decades = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    steps = (1,) if high / low > 300 else (1, 2, 5)
    return [(m * 10 ** k, f"{m * 10 ** k:,.{max(-k, 0)}f}") for k in decades for m in steps
            if low / 1.4 <= m * 10 ** k <= high * 1.6]


def plain_ticks(xs):
    ticks, last = [], 0
    for x in xs:
        if x >= 4 * last:
            ticks.append((x, f"{x:,}"))
            last = x
    return ticks


def idle_ticks(xs):
    return [(x, "0" if x == 10 else f"{x:,}") for x, _ in plain_ticks(xs)]


def gnuplot(commands, width, height):
    script = [f"set terminal svg size {width},{height} dynamic font 'sans-serif,15' background '{LIGHT['page']}'",
              f"set border 3 lc rgb '{LIGHT['dim']}'", "set tics nomirror out scale 0.5",
              f"set tics textcolor rgb '{LIGHT['ink']}'", f"set xlabel tc rgb '{LIGHT['ink']}' offset 0,0.6",
              f"set ylabel tc rgb '{LIGHT['ink']}' offset 0.5,0", f"set key tc rgb '{LIGHT['ink']}'",
              f"set title tc rgb '{LIGHT['ink']}' offset 0,-0.6", "set logscale xy",
              f"set grid lc rgb '{LIGHT['grid']}' lw 1 lt 1", "set multiplot", *commands]
    return subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True, encoding="utf-8",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


# ---- the file -------------------------------------------------------------------------------------------------


def with_css_colours(svg):
    """gnuplot's colours become variables, so that the reader's dark mode applies."""
    names = {}
    for name, value in LIGHT.items():
        r, g, b = (int(value[i:i + 2], 16) for i in (1, 3, 5))
        names[(r, g, b)] = name

    def variable(match):
        name = names.get(tuple(map(int, match.groups())))
        return f"var(--{name})" if name else match.group(0)

    svg = re.sub(r"rgb\(\s*(\d+),\s*(\d+),\s*(\d+)\)", variable, svg)
    svg = re.sub(r"#[0-9a-fA-F]{6}", lambda m: variable(re.match(r"(\d+) (\d+) (\d+)", " ".join(
        str(int(m.group(0)[i:i + 2], 16)) for i in (1, 3, 5)))), svg)
    return svg.replace('"black"', '"var(--ink)"').replace("'black'", "'var(--ink)'")


def page(name, title, sentence, plot, height, names):
    lines = textwrap.wrap(sentence, 88)
    head = MARGIN + 26
    plot = with_css_colours(plot)
    body = re.sub(r"^.*?<svg[^>]*>", "", plot, count=1, flags=re.S).rsplit("</svg>", 1)[0]
    body = re.sub(r"<title>.*?</title>|<desc>.*?</desc>", "", body, flags=re.S)
    total = head + height + len(lines) * LINE + MARGIN
    light, dark = ("".join(f"--{key}:{value};" for key, value in colours.items()) for colours in (LIGHT, DARK))
    text = "".join(f'<text class="sentence" x="{MARGIN}" y="{head + height + LINE * (i + 0.8):.0f}">{escape(line)}</text>\n'
                   for i, line in enumerate(lines))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {WIDTH} {total}" width="{WIDTH}" height="{total}" role="img" aria-labelledby="title description">
<title id="title">{escape(title)}</title>
<desc id="description">{escape(sentence)} Servers: {escape(', '.join(names))}.</desc>
<style>svg {{ {light} color-scheme: light dark; }}
@media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}
svg {{ color: var(--ink); }}
text {{ font-family: ui-sans-serif, system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; }}
.heading {{ font-size: 17px; font-weight: 600; fill: var(--ink); }}
.sentence {{ font-size: 13.5px; fill: var(--ink); }}</style>
<rect width="{WIDTH}" height="{total}" fill="var(--page)"/>
<text class="heading" x="{MARGIN}" y="{MARGIN + 14}">{escape(title)}</text>
<g transform="translate(0 {head})">
{body}</g>
{text}</svg>
"""


LEFT, RIGHT = 0.125, 0.70
ONE = {"left": LEFT, "right": RIGHT, "top": 0.97, "bottom": 0.165}


def rows_of_panels(count):
    step = 0.95 / count
    return [{"left": LEFT, "right": RIGHT, "top": 0.97 - i * step - 0.08 / count,
             "bottom": 0.97 - (i + 1) * step + 0.19 / count} for i in range(count)]


def one_panel(rows, name, title, series, x_label, y_label, ticks, sentence, output):
    if not series:
        return None
    text = sentence(rows, series)
    plot = gnuplot(panel(series, "d", x_label, y_label, ticks, ONE), WIDTH, 430)
    (output / name).write_text(page(name, title, text, plot, 430, sorted(series)), encoding="utf-8")
    return name, text


def several_panels(rows, name, title, parts, x_label, y_labels, sentence, output):
    parts = [(heading, series, label) for (heading, series), label in zip(parts, y_labels) if series]
    if not parts:
        return None
    height = max(290 * len(parts), 430)  # 13 servers fit into a key of that height
    commands, many = [], any(len(series) > 6 for _, series, _ in parts)
    for i, ((heading, series, label), place) in enumerate(zip(parts, rows_of_panels(len(parts)))):
        commands += panel(series, f"p{i}x", x_label if i == len(parts) - 1 else "", label, plain_ticks, place, heading,
                          not many)
    if many:
        commands += common_key(max((series for _, series, _ in parts), key=len))
    text = sentence(rows, parts[0][1])
    names = sorted({name for _, series, _ in parts for name in series})
    plot = gnuplot(commands, WIDTH, height)
    (output / name).write_text(page(name, title, text, plot, height, names), encoding="utf-8")
    return name, text


def draw(rows, output):
    """Writes the charts for which there are values. Returns the name and the sentence of each."""
    cpu = series_of(rows, "connections", "clients", "cpu_us")
    many = series_of(rows, "connections", "clients",
                     lambda row: max(row["kib_per_client"], 0.1) if row["clients"] >= 100 else "")
    clients = "clients, all busy"
    charts = [
        one_panel(rows, "cpu-per-request.svg", "CPU time per request", cpu, clients, "microseconds", plain_ticks,
                  cpu_sentence, output),
        one_panel(rows, "requests-per-second.svg", "Requests per second",
                  series_of(rows, "connections", "clients", "requests_per_second"), clients, "requests per second",
                  plain_ticks, rate_sentence, output),
        one_panel(rows, "idle-clients.svg", "CPU time per request, with idle clients",
                  series_of(rows, "idle", lambda row: max(row["clients"] - row["busy"], 10), "cpu_us"),
                  "idle clients, beside 100 busy ones", "microseconds", idle_ticks, idle_sentence, output),
        several_panels(rows, "latency.svg", "Latency of 100 clients, for a given rate",
                       [(heading, series_of(rows, "rate", "rate", lambda row, column=column:
                                             row[column] and row[column] / 1000)) for heading, column in
                        (("half of the requests: less than", "p50_us"), ("99 %: less than", "p99_us"),
                         ("99.9 %: less than", "p999_us"))],
                       "requests that are sent per second", ["milliseconds"] * 3, latency_sentence, output),
        one_panel(rows, "memory-per-client.svg", "Memory per client", many, clients, "KiB, without the kernel''s",
                  plain_ticks, memory_sentence, output),
        one_panel(rows, "threads.svg", "Threads, in all processes",
                  series_of(rows, "connections", "clients", "threads"), clients, "threads", plain_ticks, tasks_sentence,
                  output),
        several_panels(rows, "searches.svg", "Searches per second, in three steps",
                       [(f"each backend takes {delay} ms", series_of(rows, "searches", "clients", "requests_per_second",
                                                                    backend_ms=delay)) for delay in (0, 200)],
                       "searches at once", ["searches per second"] * 2, searches_sentence, output),
    ]
    return [chart for chart in charts if chart]
