"""Used by count-costs: count-one.py SERVER CLIENTS... - prints a line for each number of clients: this number, how
many system calls and how many user-space instructions an echo costs the server, and the number of echoes.

Each figure is the difference of two runs of the server, under strace or callgrind: one with rounds in which each
client sends a line and receives it, and one with the same rounds without lines. So starting, connecting, closing and
all that the counting itself adds cancel out. Nothing depends on timing: the server is stopped (SIGSTOP) while the
clients send, so that it finds all lines at once, and the next step begins when all its threads are asleep.

Exit status: 0 counted, 1 the server failed, 3 the machine did."""

import array
import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

LINE = b"x" * 63 + b"\n"
ROUNDS = {1: 50}  # by the number of clients
OTHERWISE = 10
PATIENCE = 600  # seconds for one step, on the busiest machine


class ServerFailed(Exception):
    pass


class Server:
    """A server and all its descendants, started by a tool that counts."""

    def __init__(self, tool, server):
        die_with_parent = ["setpriv", "--pdeathsig", "KILL"]
        self.tool = subprocess.Popen([*die_with_parent, *tool, *die_with_parent, server, "0"],
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.under_strace = tool[0] == "strace"
        if not select.select([self.tool.stdout], [], [], PATIENCE)[0]:
            raise ServerFailed("it does not print its address")
        line = self.tool.stdout.readline().decode(errors="replace")
        if not (address := re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)):
            raise ServerFailed(f"it does not print its address, but {line!r}")
        self.port = int(address[1])

    def processes(self):
        """Their ids, a parent before its children. Without strace, its own process is the tool's."""
        found, tool = [self.tool.pid], self.tool.pid
        for pid in found:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has just ended
        return [pid for pid in found if pid != tool or not self.under_strace]

    def threads(self):
        """The state of each thread, and how often it has been switched away from."""
        states = {}
        for pid in self.processes():
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    text = Path(f"/proc/{pid}/task/{task}/status").read_text()
                    state = re.search(r"^State:\s+(\w)", text, re.M)[1]
                    if state != "Z" and state != "X":
                        states[task] = state, re.findall(r"ctxt_switches:\s+(\d+)", text)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return states

    def wait_until_all(self, state):
        """Waits until all threads are in this state at the same moment: each is when it is looked at, and has not
        run when it is looked at again, after all the others."""
        before = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            now = self.threads()
            if not now:
                raise ServerFailed("it has ended")
            if now == before and all(s in state for s, _ in now.values()):
                return
            before = now
            time.sleep(0.0003)
        raise ServerFailed(f"its threads are not all in state {state}: {now}")

    def wait_until_idle(self):
        self.wait_until_all("S")

    def signal(self, number):
        for pid in self.processes():
            os.kill(pid, number)

    def stop(self):
        self.signal(signal.SIGSTOP)
        self.wait_until_all("Tt")

    def go_on(self):
        """Afterwards no thread is in state S before it waits again."""
        self.signal(signal.SIGCONT)

    def kill(self):
        """A parent before its children: it must not run again when they end."""
        while self.tool.poll() is None and (processes := self.processes()):
            for pid in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.001)
        try:
            self.tool.wait(PATIENCE if self.under_strace else 1)
        except subprocess.TimeoutExpired:
            self.tool.kill()
            self.tool.wait()
        self.tool.stdout.close()


def send_lines(clients):
    for client in clients:
        client.sendall(LINE)
    if len(clients) == 1:
        return
    for client in clients:  # until the server's kernel has acknowledged it, so that the server will find it
        unacknowledged = array.array("i", [1])
        deadline = time.monotonic() + PATIENCE
        while unacknowledged[0] != 0:
            fcntl.ioctl(client, termios.TIOCOUTQ, unacknowledged)
            if time.monotonic() > deadline:
                raise TimeoutError
            time.sleep(0.0003)


def receive_lines(clients):
    for client in clients:
        received = b""
        while len(received) < len(LINE) and (piece := client.recv(len(LINE))):
            received += piece
        if received != LINE:
            raise ServerFailed(f"it sent back {received!r} instead of {LINE!r}")


def do_round(server, clients, lines):
    # Stopped only if one process has several clients: what stops a child is a signal for its parent.
    together = len(clients) > 1 and len(server.processes()) == 1
    if together:
        server.stop()
    if lines:
        send_lines(clients)
    if together:
        server.go_on()
    if lines:
        receive_lines(clients)
    server.wait_until_idle()


def run(tool, program, clients, rounds, lines):
    """One run of the server. The first round of both kinds is with lines: functions are linked when they are first
    called."""
    server = Server(tool, program)
    try:
        server.wait_until_idle()
        sockets = []
        for _ in range(clients):
            sockets.append(socket.create_connection(("127.0.0.1", server.port), PATIENCE))
            server.wait_until_idle()
        do_round(server, sockets, True)
        for _ in range(rounds):
            do_round(server, sockets, lines)
        if server.under_strace:
            return
        for client in sockets:
            client.close()
            server.wait_until_idle()
        os.kill(server.processes()[0], signal.SIGTERM)
        server.tool.wait(PATIENCE)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise ServerFailed("it does not answer") from None
    finally:
        server.kill()


def count_calls(program, folder, *how):
    result = folder / "calls"
    run(["strace", "-f", "-qq", "-c", "-U", "name,calls", "-o", result], program, *how)
    return int(re.search(r"^total\s+(\d+)", result.read_text(), re.M)[1])


def count_instructions(program, folder, *how):
    folder = Path(tempfile.mkdtemp(dir=folder))
    run(["valgrind", "--command-line-only=yes", "-q", "--tool=callgrind", "--trace-children=yes",
         f"--callgrind-out-file={folder}/%p"], program, *how)
    return sum(int(re.search(r"^totals: (\d+)", file.read_text(), re.M)[1]) for file in folder.iterdir())


def main():
    program = sys.argv[1]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory() as folder:
        for clients in map(int, sys.argv[2:]):
            rounds = ROUNDS.get(clients, OTHERWISE)
            costs = []
            for count in count_calls, count_instructions:
                with_lines, without = (count(program, Path(folder), clients, rounds, lines) for lines in (True, False))
                costs.append((with_lines - without) / (clients * rounds))
            print(clients, f"{costs[0]:.2f} {costs[1]:.0f}", clients * rounds, flush=True)


try:
    main()
except ServerFailed as failure:
    sys.exit(f"{Path(sys.argv[1]).name}: {failure}")
