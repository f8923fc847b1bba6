"""A real Chromium, headless, by WebDriver: Debian's chromium and chromedriver."""
import base64
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request

KEYS = {"tab": "\ue004", "enter": "\ue007", "escape": "\ue00c", "left": "\ue012", "right": "\ue014", "home": "\ue011",
        "end": "\ue010"}


class Browser:
    def __init__(self):
        self.profile = tempfile.mkdtemp()
        log = open(os.path.join(self.profile, "driver.log"), "w+")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=log, stderr=log)
        # It prints its port when it is ready.
        port, tries = None, 0
        while port is None and tries < 30000 and self.driver.poll() is None:
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
        with urllib.request.urlopen(request, timeout=600) as response:
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

    def devtools(self, command, **parameters):
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def set_screen(self, width, height=900, scheme="light", media=""):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.devtools("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])

    def follow(self, link):
        """A change of the address is reported to the page later: so it is done here as well."""
        self.run("location.hash = arguments[0]; window.dispatchEvent(new HashChangeEvent('hashchange'))", link)

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait()
            shutil.rmtree(self.profile, ignore_errors=True)
