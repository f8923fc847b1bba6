"""A server that is measured: its processes, and the load generator (slices.c) that is connected to it."""
import os
import re
import select
import signal
import subprocess
import tempfile


class ServerFailed(Exception):
    """The server did something that the course's servers must not do."""


def child_pids(pid):
    try:
        return [int(word) for task in os.listdir(f"/proc/{pid}/task")
                for word in open(f"/proc/{pid}/task/{task}/children").read().split()]
    except OSError:
        return []


def process_tree(pid):
    tree = [pid]
    for parent in tree:
        tree += child_pids(parent)
    return tree


def number_after(path, name):
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Session:
    """A server with its own load generator, both started for one point of a chart, each on its own processor."""

    def __init__(self, server, work, cpus, ports, suffix, patience):
        self.server, self.clients, self.how, self.slices = server, 0, "all", []
        self.process = self.generator = None
        self.pids, self.sleeps_before = [], 0
        self.errors = tempfile.TemporaryFile()
        try:
            self.process = self.start(cpus[0], [f"{work}/servers/{server.name}", "0", *ports], stderr=self.errors)
            port = self.read_port()
            self.idle_memory = self.memory()
            self.generator = self.start(cpus[-1], [f"{work}/slices", port, str(patience), suffix],
                                        stdin=subprocess.PIPE)
        except BaseException:
            self.end()
            raise

    @staticmethod
    def start(cpu, command, **files):
        # In a session of its own, so that Ctrl-C in the terminal reaches chart.py alone.
        return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(cpu), *command],
                                stdout=subprocess.PIPE, start_new_session=True, bufsize=0, **files)

    def read_port(self):
        readable = select.select([self.process.stdout], [], [], 10)[0]
        line = self.process.stdout.readline().decode(errors="replace") if readable else ""
        match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
        if match is None:
            raise ServerFailed("does not print its address")
        return match.group(1)

    def command(self, text):
        try:
            self.generator.stdin.write(f"{text}\n".encode())
            answer = self.generator.stdout.readline().decode().split(maxsplit=1)
        except BrokenPipeError:
            answer = []
        if not answer:
            raise ServerFailed("has stopped the load generator")
        if answer[0] == "wrong":
            raise ServerFailed(answer[1].strip())
        return answer[1].split() if len(answer) > 1 else []

    def connect(self, count, seconds):
        clients, self.how = self.command(f"connect {count} {seconds}")
        self.clients = int(clients)

    def last_error(self):
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").splitlines()
        return lines[-1].strip()[:120] if lines else ""

    def slice(self, active, seconds, rate):
        requests, elapsed, cpu, own, p50 = map(float, self.command(f"slice {active} {seconds} {rate}"))
        self.slices.append({"requests": int(requests), "seconds": elapsed / 1e6, "cpu": cpu, "driver": own,
                            "p50": p50})

    def memory(self):
        """In KiB, without the kernel's own; shared pages count in part."""
        return sum(number_after(f"/proc/{pid}/smaps_rollup", "Pss:") + number_after(f"/proc/{pid}/status", "VmPTE:")
                   for pid in self.pids or process_tree(self.process.pid))

    def tasks(self):
        """How many processes and threads there are."""
        tree = self.pids or process_tree(self.process.pid)
        return len(tree), sum(number_after(f"/proc/{pid}/status", "Threads:") for pid in tree)

    def sleeps(self):
        """How often a thread of the server has gone to sleep."""
        total = 0
        for pid in self.pids:
            try:
                total += sum(number_after(f"/proc/{pid}/task/{task}/status", "voluntary_ctxt_switches:")
                             for task in os.listdir(f"/proc/{pid}/task"))
            except OSError:
                pass
        return total

    def begin_measuring(self):
        self.pids = process_tree(self.process.pid)  # all clients are connected: from now on it stays as it is
        self.command("pids " + " ".join(map(str, self.pids)))
        self.sleeps_before = self.sleeps()

    def end(self):
        # The generator first, as it reports a server that ends; the whole process group, as servers have children.
        for process in (self.generator, self.process):
            if process is None:
                continue
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
            for file in (process.stdin, process.stdout):
                if file is not None:
                    try:
                        file.close()
                    except OSError:
                        pass
        self.errors.close()
