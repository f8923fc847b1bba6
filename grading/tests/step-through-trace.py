#!/usr/bin/env python3
"""step-through-trace.py TRACE.HTML [DIR] - operates the page of a trace of lab 1 in a real Chromium, by keyboard and by
mouse, and compares what it shows with the recording in it.

Saves screenshots to DIR, if given.
"""
import json
import os
import sys

from browser import Browser

page = os.path.realpath(sys.argv[1])
screenshots = sys.argv[2] if len(sys.argv) > 2 else None


def ok(name, passed, seen=None):
    print(("ok" if passed else "not ok") + f" - page: {name}" + ("" if passed else f"\n    seen: {seen!r}"), flush=True)


def save(name):
    if screenshots:
        browser.screenshot(os.path.join(screenshots, name + ".png"))


browser = Browser()
try:
    browser.set_screen(1280, 1100)
    browser.call("POST", "/url", {"url": "file://" + page})
    text = lambda css: browser.run("return document.querySelector(arguments[0]).innerText", css)  # noqa: E731
    clock = lambda: float(text("#clock").split()[0])  # noqa: E731
    recording = json.loads(browser.run("return document.getElementById('data').textContent"))["recording"]
    b_sends = next(e["time"] for c in recording["clients"] if c["name"] == "B" for e in c["events"] if e["what"] == "sends")
    sentence = text("#sentence")
    ok("it begins where B sends", abs(clock() - b_sends) < 0.05, clock())
    ok("and says whom B waits for", "Client B is in the backlog: the main thread is in recv" in sentence
       and "waiting for client A to send" in sentence, sentence)
    here = browser.run("return [...document.querySelectorAll('#source .here')].map(e => e.innerText)")
    ok("the line of the main thread's recv is marked", len(here) == 1 and "recv(client" in here[0]
       and "main thread" in here[0], here)
    callers = browser.run("return [...document.querySelectorAll('#source .caller')].map(e => e.innerText)")
    ok("and so is its caller's", any("serve_client" in line for line in callers), callers)
    row = browser.run("return [...document.querySelectorAll('#buffers tr')].map(r => r.innerText.split('\\t'))")
    ok("B's bytes are in the kernel", ["B", "13", "13", "0", "0", "0"] in row, row)
    save("1-begin")
    before = clock()
    browser.press("right")
    later = clock()
    ok("the right arrow key goes on to the next step", later > before, (before, later))
    browser.press("left")
    ok("the left one goes back", clock() == before, clock())
    browser.press("end")
    ok("End: the end, with how the server ended", recording["outcome"] in text("#sentence"), text("#sentence"))
    browser.press("home")
    ok("Home: the beginning", clock() == 0 and "No client waits" in text("#sentence"), text("#sentence"))
    browser.click("#next")
    ok("the buttons do the same", clock() > 0, clock())
    width = browser.run("return document.querySelector('#picture svg').clientWidth")
    browser.press("+")
    ok("+ makes the picture twice as wide", browser.run("return document.querySelector('#picture svg').clientWidth") == 2 * width)
    browser.press("-")
    place = browser.run("""const r = document.querySelector('#picture').getBoundingClientRect();
        return [r.left + data.left + 0.5 * pictures[0].scale, r.top + 60]""")
    browser.call("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"},
        "actions": [{"type": "pointerMove", "x": round(place[0]), "y": round(place[1])},
                    {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]}]})
    ok("a click in the picture goes to the step nearest to it", abs(clock() - 0.5) < 0.2, clock())
    for scheme in ("light", "dark"):
        browser.set_screen(400, 900, scheme)
        browser.run("show(step)")
        sizes = browser.run("return [document.documentElement.scrollWidth, innerWidth]")
        ok(f"400 pixels, {scheme}: nothing is wider than the screen", sizes[0] <= sizes[1], sizes)
        save(f"2-400-{scheme}")
        browser.set_screen(1280, 1100, scheme)
        save(f"2-1280-{scheme}")
    errors = [entry for entry in browser.call("POST", "/se/log", {"type": "browser"}) if entry["level"] == "SEVERE"]
    ok("no error in the browser's console", not errors, errors)
    requests = [json.loads(e["message"])["message"] for e in browser.call("POST", "/se/log", {"type": "performance"})]
    urls = {m["params"]["request"]["url"] for m in requests if m["method"] == "Network.requestWillBeSent"}
    network = [url for url in urls if url.startswith(("http", "ws", "ftp"))]
    ok("no request to the network", not network and any(url.endswith("/trace.html") for url in urls), network)
finally:
    browser.close()
