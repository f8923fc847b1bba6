"""Draws lanes as one HTML page without any other file: pictures at several zooms, the source, and the steps."""
import html
import json
import pathlib

import draw_svg

WIDTHS = (1180, 2360, 4720, 9440)


def draw(recording, lanes, title, description, notes):
    template = (pathlib.Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    pictures = [{"svg": draw_svg.draw(recording, lanes, title, description, width),
                 "scale": (width - draw_svg.NAME_WIDTH - draw_svg.RIGHT) / recording["duration"]} for width in WIDTHS]
    kept = ("task", "function", "begin", "end", "on", "result", "error", "lines", "times")
    data = {"left": draw_svg.NAME_WIDTH, "pictures": pictures,
            "lanes": [{key: value for key, value in lane.items()} | {"segments": [
                {k: v for k, v in s.items() if k != "call"} for s in lane["segments"]]} for lane in lanes],
            "recording": recording | {"notes": notes, "calls": [{k: c[k] for k in kept if k in c} for c in recording["calls"]]}}
    # "</script>" in a server's source must not end ours.
    text = json.dumps(data).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return template.replace("@TITLE@", html.escape(title)).replace("@DATA@", text)
