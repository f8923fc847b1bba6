#!/usr/bin/env python3
"""click-through-report.py RESULTS [DIR] - operates RESULTS/report.html in a real Chromium, by mouse and by
keyboard only, and compares what it shows with the JSON.

Uses WebDriver with Debian's chromedriver. Saves screenshots to DIR, if given.
"""
import base64
import json
import os
import statistics
import sys

from browser import Browser

results = os.path.realpath(sys.argv[1])
screenshots = sys.argv[2] if len(sys.argv) > 2 else None
count = [0, 0]


def save(name):
    if screenshots:
        browser.screenshot(os.path.join(screenshots, name + ".png"))


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

# The lowest contrast between text and what is behind it, and that text.
LOWEST_CONTRAST = """
    const parse = color => color.match(/[\\d.]+/g).map(Number);
    const light = color => { const [r, g, b] = color.slice(0, 3).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
      return .2126 * r + .7152 * g + .0722 * b; };
    let lowest = [21, ""];
    for (const element of document.querySelectorAll("body *")) {
      if (![...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()) || !element.checkVisibility() ||
          element.closest("script, option, select:disabled, .hidden, .skip, noscript")) continue;
      let behind = element, back = [0, 0, 0, 0];
      while (behind && (back = parse(getComputedStyle(behind).backgroundColor), back.length === 4 && back[3] === 0)) behind = behind.parentElement;
      const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind ? back : [255, 255, 255])].sort((a, b) => b - a);
      const contrast = (one + .05) / (other + .05);
      if (contrast < lowest[0]) lowest = [contrast, element.tagName + "." + element.className + ": " + element.textContent.slice(0, 40)];
    }
    return lowest;"""

browser = Browser()
try:
    browser.call("POST", "/url", {"url": f"file://{results}/report.html"})
    rows = "return [...document.querySelectorAll('#grid tbody tr')].map(r => r.children[0].textContent)"
    save("1-top")
    shown = browser.run(rows)
    ok(f"the table lists all {len(students)} students", len(shown) == len(students), len(shown))
    summary = browser.run("return document.getElementById('summary').textContent")
    ok("the summary counts them", summary.startswith(f"{len(students)} students"), summary)
    ok("all labs are shown at first, with the total", len(labs) == 1 or browser.run(
        "return document.getElementById('lab').value === '' && document.querySelectorAll('#grid tbody tr:first-child td.lab').length") == len(labs))
    browser.choose("#lab", lab)
    browser.choose("#most-lab", lab)
    titles = browser.run("return [...document.querySelectorAll('#most summary')].map(s => s.textContent)")
    ok("the most failed check is listed", any(t.startswith(f"{check}: failed by {len(students_failed)} of") for t in titles), titles)
    browser.click("#most summary")
    ok("it opens and shows evidence", browser.run("return document.querySelector('#most details').open && document.querySelectorAll('#most details[open] li').length > 0"))
    save("2-most-failed")
    browser.choose("#check", check)
    shown = browser.run(rows)
    clean = browser.run("return JSON.parse(document.getElementById('data').textContent).students.map(s => s.student)")
    ok("the filter by check shows the students that failed it", len(shown) == len(students_failed), shown)
    shown_count = browser.run("return document.getElementById('count').textContent")
    ok("and their number", shown_count == f"{len(students_failed)} of {len(students)} students", shown_count)
    browser.click("#grid td.failed button")
    save("3-details")
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
    numbers = [float(n) for n in browser.run("return [...document.querySelectorAll('#grid tbody td.points')].map(d => d.textContent)") if n != "–"]
    ok("sorted by points, the highest first", numbers == sorted(numbers, reverse=True) and numbers, numbers)
    ok("and announced to screen readers", browser.run("return document.querySelector('#grid th[aria-sort=descending] button').id") == "sort-score")
    save("4-table")

    # By keyboard only, from the top: the first stop leads to the table, and every control can be reached.
    browser.run("document.activeElement.blur(); scrollTo(0, 0)")
    browser.call("POST", "/refresh")
    browser.press("tab")
    ok("the first Tab stop skips to the table", browser.run("return document.activeElement.className") == "skip")
    browser.press("enter")
    stops = []
    for _ in range(7 if len(labs) == 1 else 6):
        browser.press("tab")
        stops.append(browser.run("const e = document.activeElement; return e.id || e.getAttribute('aria-label')"))
    controls = ["lab", "search", "which", "check"] if len(labs) == 1 else ["lab", "search", "which"]
    ok("then the controls and the table, in order", stops == [*controls, "Students by checks", "sort-student", "sort-score"], stops)
    browser.press("enter")
    ok("Enter sorts", browser.run("return document.querySelector('#grid th[aria-sort=ascending], #grid th[aria-sort=descending]') !== null && document.activeElement.id") == "sort-score")
    nameless = browser.run("""return [...document.querySelectorAll('button, select, input')].filter(e =>
        !(e.labels && e.labels.length) && !e.textContent.trim() && !e.getAttribute('aria-label')).length""")
    ok("every control has a name", nameless == 0, nameless)
    ok("cells have header cells", browser.run("return document.querySelectorAll('#grid thead th:not([scope=col]), #grid tbody th:not([scope=row])').length") == 0)
    ok("the table has a caption, the page a language and one h1", browser.run("return document.querySelector('#grid caption') !== null && document.documentElement.lang === 'en' && document.querySelectorAll('h1').length === 1"))

    # Statistics, per lab and for the total.
    def shown_statistics(name):
        return browser.run("""const card = document.querySelector(`#distribution [aria-label="${arguments[0]}"]`);
            return card && Object.fromEntries([...card.querySelectorAll(".stats div")].map(d => [d.querySelector("dt").textContent,
                Number(d.querySelector("dd").textContent)]))""", name)

    def expected_statistics(numbers):
        quartiles = statistics.quantiles(numbers, n=4, method="inclusive") if len(numbers) > 1 else numbers * 3
        names = ("lower quartile", "median", "upper quartile", "mean")
        return dict(zip(names, (*quartiles, statistics.mean(numbers))))

    for name, numbers in [("Total", [s["total"] for s in students])] + [
            (f"{int(lab[3:5])} {lab[6:]}", [r["score"] for s in students for r in s["labs"] if r["lab"] == lab]) for lab in labs]:
        numbers = [number for number in numbers if number is not None]
        if not numbers or len(labs) == 1 and name == "Total":
            continue
        shown, expected = shown_statistics(name), expected_statistics(numbers)
        ok(f"mean, median and quartiles: {name}", shown and all(abs(shown[key] - expected[key]) <= .051 for key in expected), (shown, expected))

    # Each number leads to its students, and as many of them are shown.
    links = browser.run("return [...document.querySelectorAll('a[href^=\"#show?\"]')].filter(a => !a.closest('dd, tbody')).map(a => a.getAttribute('href'))")
    bad = []
    for number in range(len(links)):
        text, shown = browser.run("""const a = [...document.querySelectorAll('a[href^="#show?"]')].filter(a => !a.closest('dd, tbody'))[arguments[0]];
            if (!a) return [null, null];
            const text = a.textContent; a.click(); window.dispatchEvent(new HashChangeEvent('hashchange'));
            return [text, document.getElementById('count').textContent];""", number)
        if text is not None and text.split()[0] != shown.split()[0]:
            bad.append((links[number], text, shown))
    ok(f"each number leads to so many students ({len(links)} links)", len(links) > 8 and not bad, bad)
    ok("and the focus is then at the table", browser.run("return document.activeElement.id") == "grid-part")

    # Untouched starters.
    untouched = browser.run("return data.students.filter(s => s.labs.some(r => r.untouched)).map(s => s.student)")
    browser.follow(f"#show?which=starter&lab={labs[0]}")
    notes = browser.run("return [...document.querySelectorAll('#grid td.note')].map(n => n.textContent)")
    ok("untouched starters are shown as such", untouched and notes and all("untouched starter" in note for note in notes), (untouched, notes))

    # Similar submissions, side by side.
    pairs = browser.run("return Object.values(data.similar).flatMap(s => s.pairs || []).length")
    if pairs:
        browser.click(".pairs summary")
        passage = browser.run("""return new Promise(done => {
            const rows = () => [...document.querySelectorAll('.passage tbody tr')].filter(row => row.cells.length === 4);
            const look = () => rows().length ? done(rows().map(row => [...row.cells].map(cell => cell.textContent))) : requestAnimationFrame(look);
            look(); })""")
        ok("a pair opens and shows lines side by side", passage and any(row[1] == row[3] and row[1].strip() for row in passage), passage[:5])
        folded = browser.run("return document.querySelectorAll('.passage .fold').length")
        if folded:
            browser.click(".passage .fold button")
        ok("lines of the starter can be unfolded, and are grey", folded and browser.run(
            "return document.querySelectorAll('.passage .fold').length < arguments[0] && document.querySelector('.passage td.given') !== null", folded), folded)
        text = browser.run("return document.getElementById('similar').textContent")
        ok("no verdict is given", "not a verdict" in text and not any(word in text.lower() for word in ("plagiar", "cheat", "copied")))
    ok("pairs are listed", pairs > 0, pairs)

    # A narrow screen: only the table scrolls horizontally, and names and points stay in view.
    longest = max((s["student"] for s in students), key=len)
    for width in (400, 1280):
        for scheme in ("light", "dark"):
            browser.set_screen(width, scheme=scheme)
            browser.follow(f"#show?lab={lab}")
            ok(f"{width} px, {scheme}: no horizontal scrolling", browser.run("return document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1"),
               browser.run("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"))
            cells = """const outside = [], box = document.querySelector('.scroll').getBoundingClientRect();
                for (const cell of document.querySelectorAll('#grid tbody th, #grid tbody td.points')) {
                    const { left, right, width } = cell.getBoundingClientRect();
                    if (left < box.left - 1 || right > Math.min(box.right, innerWidth) || width < 20) outside.push(cell.textContent);
                } return outside;"""
            outside = browser.run(cells)
            browser.run("document.querySelector('.scroll').scrollLeft = 1e6")
            outside += browser.run(cells)
            browser.run("document.querySelector('.scroll').scrollLeft = 0")
            ok(f"{width} px, {scheme}: names (up to {len(longest)} characters) and points stay in view", not outside, outside)
            lowest, text = browser.run(LOWEST_CONTRAST)
            ok(f"{width} px, {scheme}: contrast is at least 4.5", lowest >= 4.5, (lowest, text))
            save(f"5-{width}-{scheme}")
    browser.set_screen(1040, height=200, scheme="dark", media="print")  # paper is longer
    cut = browser.run("const box = document.querySelector('.scroll'); return [box.scrollHeight - box.clientHeight, box.scrollWidth - box.clientWidth]")
    ok("in print, the whole table is there", max(cut) <= 1, cut)
    ok("without controls, dark on white", browser.run("return !document.querySelector('.tools').checkVisibility() && getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)")
    pages = len(base64.b64decode(browser.devtools("Page.printToPDF", preferCSSPageSize=True)["data"]))
    ok("and can be printed", pages > 10000, pages)
    save("6-print")
    browser.set_screen(1280)
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
