#!/usr/bin/env python3
"""click-through-report.py RESULTS [DIR] - operates RESULTS/report.html in a real Chromium, by mouse and by
keyboard only, and compares what it shows with the JSON.

Uses WebDriver with Debian's chromedriver. Saves screenshots to DIR, if given.
"""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request

results = os.path.realpath(sys.argv[1])
screenshots = sys.argv[2] if len(sys.argv) > 2 else None
KEYS = {"tab": "\ue004", "enter": "\ue007", "escape": "\ue00c"}


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp()
        log = open(os.path.join(self.profile, "driver.log"), "w+")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=log, stderr=log)
        # It prints its port when it is ready.
        port, tries = None, 0
        while port is None and tries < 3000 and self.driver.poll() is None:
            log.seek(0)
            for line in log.read().splitlines():
                if "started successfully on port" in line:
                    port = int(line.rsplit(" ", 1)[1].rstrip("."))
            try:
                self.driver.wait(0.01)
            except subprocess.TimeoutExpired:
                tries += 1
        self.base = f"http://127.0.0.1:{port}/session"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,1000",
                            f"--user-data-dir={self.profile}/profile"]}
        session = self.call("POST", "", {"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}}})
        self.base += "/" + session["sessionId"]

    def call(self, method, path, body=None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["value"]

    def run(self, script, *arguments):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def press(self, key, times=1, shift=False):
        presses = [{"type": kind, "value": KEYS.get(key, key)} for _ in range(times) for kind in ("keyDown", "keyUp")]
        if shift:
            presses = [{"type": "keyDown", "value": "\ue008"}, *presses, {"type": "keyUp", "value": "\ue008"}]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": presses}]})

    def click(self, css):
        element = self.call("POST", "/element", {"using": "css selector", "value": css})
        self.call("POST", f"/element/{next(iter(element.values()))}/click")

    def type(self, css, text):
        element = self.call("POST", "/element", {"using": "css selector", "value": css})
        self.call("POST", f"/element/{next(iter(element.values()))}/value", {"text": text})

    def choose(self, css, value):
        self.click(f'{css} option[value="{value}"]')

    def screenshot(self, name):
        if screenshots:
            with open(os.path.join(screenshots, name + ".png"), "wb") as file:
                file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)


count = [0, 0]


def ok(name, passed, seen=None):
    count[not passed] += 1
    print(("ok" if passed else "not ok") + f" - report: {name}" + ("" if passed else f"\n    seen: {seen!r}"), flush=True)


with open(os.path.join(results, ".class/class-results.json")) as file:
    students = json.load(file)
labs = [result["lab"] for result in students[0]["labs"]]
# The check that the most students failed, and its lab.
failed = [(r["lab"], c["name"]) for s in students for r in s["labs"] for c in r["checks"] if c["status"] == "failed"]
lab, check = max(sorted(set(failed)), key=failed.count)
students_failed = [s["student"] for s in students for r in s["labs"] if r["lab"] == lab
       for c in r["checks"] if c["name"] == check and c["status"] == "failed"]

browser = Browser()
try:
    browser.call("POST", "/url", {"url": f"file://{results}/report.html"})
    rows = "return [...document.querySelectorAll('#grid tbody tr')].map(r => r.children[0].textContent)"
    browser.screenshot("1-top")
    shown = browser.run(rows)
    ok(f"the table lists all {len(students)} students", len(shown) == len(students), len(shown))
    summary = browser.run("return document.getElementById('summary').textContent")
    ok("the summary counts them", summary.startswith(f"{len(students)} students"), summary)
    browser.choose("#lab", lab)
    browser.choose("#most-lab", lab)
    titles = browser.run("return [...document.querySelectorAll('#most summary')].map(s => s.textContent)")
    ok("the most failed check is listed", any(t.startswith(f"{check}: failed by {len(students_failed)} of") for t in titles), titles)
    browser.click("#most summary")
    ok("it opens and shows evidence", browser.run("return document.querySelector('#most details').open && document.querySelectorAll('#most details[open] li').length > 0"))
    browser.screenshot("2-most-failed")
    browser.choose("#check", check)
    shown = browser.run(rows)
    clean = browser.run("return JSON.parse(document.getElementById('data').textContent).students.map(s => s.student)")
    ok("the filter by check shows the students that failed it", len(shown) == len(students_failed), shown)
    shown_count = browser.run("return document.getElementById('count').textContent")
    ok("and their number", shown_count == f"{len(students_failed)} of {len(students)} students", shown_count)
    browser.click("#grid td.failed button")
    browser.screenshot("3-details")
    ok("a click on a failure shows its details", browser.run("return document.getElementById('details').open && document.getElementById('details-text').textContent.length > 20"))
    browser.press("escape")
    ok("Escape closes them and restores the focus", browser.run("return !document.getElementById('details').open && document.activeElement.closest('td') !== null"))
    browser.choose("#check", "")
    name = sorted(shown)[0]
    browser.type("#search", name[:20])
    shown = browser.run(rows)
    ok("the search finds a student", shown and all(name[:20].lower() in s.lower() for s in shown), shown)
    browser.run("document.getElementById('search').value = ''; document.getElementById('search').oninput()")
    browser.choose("#which", "full")
    full = sum(r["score"] == 100 for s in students for r in s["labs"] if r["lab"] == lab)
    ok("the filter shows students with full marks", len(browser.run(rows)) == full, full)
    browser.choose("#which", "all")
    browser.click("#sort-score")
    numbers = [int(n) for n in browser.run("return [...document.querySelectorAll('#grid tbody td.number')].map(d => d.textContent)") if n != "–"]
    ok("sorted by points, the highest first", numbers == sorted(numbers, reverse=True) and numbers, numbers)
    ok("and announced to screen readers", browser.run("return document.querySelector('#grid th[aria-sort=descending] button').id") == "sort-score")
    browser.screenshot("4-table")

    # By keyboard only, from the top: the first stop leads to the table, and every control can be reached.
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    browser.call("POST", "/refresh")
    browser.press("tab")
    ok("the first Tab stop skips to the table", browser.run("return document.activeElement.className") == "skip")
    browser.press("enter")
    stops = []
    for _ in range(8):
        browser.press("tab")
        stops.append(browser.run("const e = document.activeElement; return e.id || e.getAttribute('aria-label')"))
    ok("then the controls and the table, in order", stops[:7] == ["lab", "search", "which", "check", "Students by checks", "sort-student", "sort-score"], stops)
    browser.press("tab", shift=True)
    browser.press("enter")
    ok("Enter sorts", browser.run("return document.querySelector('#grid th[aria-sort=ascending], #grid th[aria-sort=descending]') !== null && document.activeElement.id") == "sort-score")
    nameless = browser.run("""return [...document.querySelectorAll('button, select, input')].filter(e =>
        !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label')).length""")
    ok("every control has a name", nameless == 0, nameless)
    ok("cells have header cells", browser.run("return document.querySelectorAll('#grid thead th:not([scope=col]), #grid tbody th:not([scope=row])').length") == 0)
    ok("the table has a caption, the page a language and one h1", browser.run("return document.querySelector('#grid caption') !== null && document.documentElement.lang === 'en' && document.querySelectorAll('h1').length === 1"))

    # On a narrow screen only the table scrolls horizontally, not the page.
    browser.call("POST", "/window/rect", {"width": 500, "height": 900})
    ok("a narrow screen needs no horizontal scrolling", browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1"),
       browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"))
    browser.screenshot("5-narrow")
    requests = [json.loads(entry["message"])["message"] for entry in browser.call("POST", "/se/log", {"type": "performance"})]
    urls = {m["params"]["request"]["url"] for m in requests if m["method"] == "Network.requestWillBeSent"
            and not m["params"]["documentURL"].startswith(("chrome:", "chrome-untrusted:"))}  # the browser's own start page
    ok("the page makes no network requests", all(url.startswith(("file:", "data:")) for url in urls), sorted(urls))
    errors = [entry["message"] for entry in browser.call("POST", "/se/log", {"type": "browser"}) if entry["level"] in ("SEVERE", "WARNING")]
    ok("no errors in the console", not errors, errors)
    ok("no script from a submission has run", clean and not browser.run("return document.querySelector('#grid script, #grid img, #most script, #most img') !== null"))
finally:
    browser.close()
sys.exit(count[1] > 0)
