"""The scenario that every server is drawn in: four clients, and five searches in labs 6 to 8.

Time passes here as on a stage: the pauses between the steps are there to be seen, and nothing is decided by
them: at the end, a server that is still busy gets time to finish. Everything happens on 127.0.0.1.
"""
import os
import pathlib
import selectors
import signal
import socket
import struct
import subprocess
import time

BACKENDS = ("user", "query", "stock")
ANSWER_SECONDS = 0.2  # how long a backend takes for an answer
END_SECONDS = 1.4     # of the scenario without searches
SEARCHES_END_SECONDS = 2.7
START_SECONDS = 10.0  # for a server that does not print its port
GRACE_SECONDS = 5.0   # for a server that is still busy at the end, or does not end after SIGINT
SPIN_SECONDS = 0.5    # of CPU time: a server that uses more before it rests, spins


# What each client does, by time in seconds. Each closes when all it has sent is answered, but A only at 0.9, and
# D resets its connection.
def script(with_searches):
    steps = [(0.0, "A", "connect"),
             (0.1, "B", "connect"), (0.1, "B", b"hello from B\n"),
             (0.2, "C", "connect")]
    steps += [(0.2 + 0.15 * i, "C", bytes([byte])) for i, byte in enumerate(b"slow!\n")]
    steps += [(0.3, "D", "connect"), (0.3, "D", b"bye"), (0.5, "D", "reset"),
              (0.8, "A", b"hello from A\n"), (0.9, "A", "done")]
    if with_searches:
        steps += [(1.2, name, action) for name in "EFGHI" for action in ("connect", b"search " + name.encode() + b"\n")]
        steps += [(1.5, "F", "reset")]
    return sorted(steps, key=lambda step: step[0])


class Client:
    def __init__(self, name):
        self.name, self.events, self.socket, self.sent, self.received = name, [], None, b"", b""
        self.port, self.leaves_when_answered = None, name != "A"

    def is_answered(self):
        return self.sent.endswith(b"\n") and self.received.endswith(b"\n") and self.sent


class Scenario:
    """Runs one server through the script. Afterwards: clients, requests (at backends), start, outcome."""

    def __init__(self, command, directory, environment, with_searches):
        self.command, self.directory, self.environment = command, directory, environment
        self.selector = selectors.DefaultSelector()
        self.clients, self.requests, self.answers = {}, [], []
        self.steps = script(with_searches)
        self.seconds = SEARCHES_END_SECONDS if with_searches else END_SECONDS
        self.backends = [self.listen(name) for name in BACKENDS] if with_searches else []
        self.backend_ports = {b.getsockname()[1]: name for b, name in zip(self.backends, BACKENDS)}

    # ---- backends: each answers every line after ANSWER_SECONDS ---------------------------------------------

    def listen(self, name):
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, (self.accept_call, name))
        return listener

    def accept_call(self, listener, name):
        call, _ = listener.accept()
        call.setblocking(False)
        self.selector.register(call, selectors.EVENT_READ, (self.receive_request, (name, bytearray())))

    def receive_request(self, call, state):
        name, line = state
        try:
            data = call.recv(4096)
        except OSError:
            data = b""
        if not data:
            self.selector.unregister(call)
            call.close()
            return
        line += data
        if line.endswith(b"\n"):
            words = bytes(line[:-1])
            request = {"backend": name, "request": words.decode(errors="replace"), "begin": self.now(), "end": None}
            self.requests.append(request)
            self.answers.append((self.now() + ANSWER_SECONDS, call, words + b" " + name.encode() + b"\n", request))
            line.clear()

    def send_answers(self):
        while self.answers and self.answers[0][0] <= self.now():
            _, call, answer, request = self.answers.pop(0)
            try:
                call.send(answer)
                request["end"] = self.now()
            except OSError:
                pass  # the server has given this call up

    # ---- clients ---------------------------------------------------------------------------------------------

    def now(self):
        return time.monotonic() - self.start

    def note(self, client, what, data=b""):
        client.events.append({"time": self.now(), "what": what, "bytes": len(data),
                              "text": data[:60].decode(errors="backslashreplace")})

    def act(self, name, action):
        client = self.clients.setdefault(name, Client(name))
        if action == "connect":
            self.connect(client)
        elif client.socket is None:
            return
        elif action == "done":
            client.leaves_when_answered = True
            self.leave_if_answered(client)
        elif action == "reset":
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close(client, "resets")
        else:
            try:
                client.socket.send(action)
                client.sent += action
                self.note(client, "sends", action)
            except OSError:
                self.close(client, "is reset")

    def connect(self, client):
        client.socket = socket.socket()
        try:
            client.socket.settimeout(1)
            client.socket.connect(("127.0.0.1", self.port))
        except OSError:
            client.socket.close()
            client.socket = None
            self.note(client, "cannot connect")
            return
        client.socket.setblocking(False)
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.port = client.socket.getsockname()[1]
        self.note(client, "connects")
        self.selector.register(client.socket, selectors.EVENT_READ, (self.receive, client))

    def receive(self, _, client):
        try:
            data = client.socket.recv(65536)
        except OSError:
            self.close(client, "is reset")
            return
        if not data:
            self.close(client, "is closed by the server")
            return
        client.received += data
        self.note(client, "receives", data)
        self.leave_if_answered(client)

    def leave_if_answered(self, client):
        if client.socket is not None and client.leaves_when_answered and client.is_answered():
            self.close(client, "closes")

    def close(self, client, what):
        self.selector.unregister(client.socket)
        client.socket.close()
        client.socket = None
        self.note(client, what)

    # ---- the run ---------------------------------------------------------------------------------------------

    def serve_until(self, moment):
        while (left := moment - self.now()) > 0 and self.server.poll() is None:
            if self.answers:
                left = min(left, max(0, self.answers[0][0] - self.now()))
            for key, _ in self.selector.select(min(left, 0.05)):
                function, argument = key.data
                function(key.fileobj, argument)
            self.send_answers()

    def serve_until_it_rests(self):
        """Until all its threads and processes are found asleep, several times in a row."""
        before, end, rests = None, self.now() + GRACE_SECONDS, 0
        while rests < 3 and self.now() < end and self.server.poll() is None:
            states, used = task_states(self.server.pid)
            before = used if before is None else before
            rests = rests + 1 if states <= {"S", "Z"} else 0
            if used - before > SPIN_SECONDS:
                break
            self.serve_until(self.now() + 0.02)

    def run(self):
        arguments = ["0"] + [str(b.getsockname()[1]) for b in self.backends]
        self.server = subprocess.Popen(self.command + arguments, cwd=self.directory, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       start_new_session=True)
        os.set_blocking(self.server.stdout.fileno(), False)
        os.set_blocking(self.server.stderr.fileno(), False)
        self.messages = b""
        try:
            self.start = time.monotonic()
            self.wait_until_it_listens()
            for stream in (self.server.stdout, self.server.stderr):
                self.selector.register(stream, selectors.EVENT_READ, (self.drain, None))
            self.start = time.monotonic() + 0.05
            for moment, name, action in self.steps if self.port else []:
                self.serve_until(moment)
                if self.server.poll() is not None:
                    break
                self.act(name, action)
            if self.port:
                self.serve_until(self.seconds)
                self.serve_until_it_rests()
            self.end()
            self.add_messages()
        finally:
            try:
                os.killpg(self.server.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.server.wait()
            for key in list(self.selector.get_map().values()):
                key.fileobj.close()

    def wait_until_it_listens(self):
        self.port = None
        output, end = b"", time.monotonic() + START_SECONDS
        while time.monotonic() < end and b"\n" not in output:
            ended = self.server.poll() is not None
            output += self.server.stdout.read() or b""
            if ended:
                break
            time.sleep(0.005)
        words = output.split(b"\n")[0].rpartition(b":")
        if words[0] == b"listening on 127.0.0.1" and words[2].isdigit():
            self.port = int(words[2])
        self.first_line = output.split(b"\n")[0].decode(errors="backslashreplace")

    def drain(self, stream, _):
        """What the server prints must not make it wait for us."""
        data = stream.read()
        if not data:  # it has closed its end
            self.selector.unregister(stream)
        else:
            self.messages = (self.messages + data)[-2000:]

    def add_messages(self):
        """What it has said at last, if it ended by itself: most servers say why."""
        for stream in (self.server.stdout, self.server.stderr):
            self.messages += stream.read() or b"" if not stream.closed else b""
        lines = self.messages.decode(errors="backslashreplace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "")
        if last and self.ended_early:
            printable = "".join(c if c.isprintable() else "?" for c in last[:200])
            self.outcome += f' Its last line: "{printable}".'

    def end(self):
        """The server's end in one sentence; SIGINT if it has not ended by itself."""
        self.stop_time = self.now()
        status = self.server.poll()
        self.ended_early = status is not None or not self.port
        if status is not None:
            self.outcome = f"The server ended by itself: {ending(status)}."
            return
        if not self.port:
            self.outcome = f'The server did not print "listening on 127.0.0.1:PORT" within {START_SECONDS:g} seconds: "{self.first_line}".'
            return
        os.kill(self.server.pid, signal.SIGINT)
        try:
            self.server.wait(GRACE_SECONDS)
            self.outcome = f"After SIGINT the server ended: {ending(self.server.returncode)}."
        except subprocess.TimeoutExpired:
            self.outcome = f"The server did not end within {GRACE_SECONDS:g} seconds after SIGINT."


def task_states(session):
    """The states of all threads in this session, and the CPU time in seconds that they have used: proc(5)."""
    states, used = set(), 0
    for file in pathlib.Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        try:
            fields = file.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == session:
            states.add(fields[0])
            used += int(fields[11]) + int(fields[12])
    return states, used / os.sysconf("SC_CLK_TCK")


def ending(status):
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"
