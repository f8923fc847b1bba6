"""What `make debug` tells gdb before the server starts: gdb -x grading/lib/debug.py --args ./server-debug PORT ..."""
import os
import re

import gdb

COROUTINES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "coroutines.py")

SETTINGS = [
    "set breakpoint pending on",  # no question when a server has no serve_client
    "set max-value-size unlimited",  # struct client holds buffers of 64 KiB
    "set debuginfod enabled off",  # no question, and no requests to a network
    # Lab 2: parent and children are debugged together, and continue together.
    "set detach-on-fork off",
    "set follow-fork-mode parent",
    "set schedule-multiple on",
    # What servers expect, and what ends them. SIGINT stays gdb's: Ctrl-C stops the server in gdb.
    "handle SIGCHLD SIGTERM SIGHUP SIGUSR1 SIGUSR2 SIGALRM nostop noprint pass",
    "handle SIGPIPE nostop noprint pass",
]


class SignalKills(gdb.Function):
    """$_signal_kills(NUMBER): the process neither ignores nor handles this signal."""

    def __init__(self):
        super().__init__("_signal_kills")

    def invoke(self, number):
        with open(f"/proc/{gdb.selected_inferior().pid}/status") as file:
            masks = re.findall(r"^Sig(?:Ign|Cgt):\s*(\w+)", file.read(), re.M)
        return not any(int(mask, 16) >> (int(number) - 1) & 1 for mask in masks)


def before_prompt():
    """Returns to the parent when a child has ended: `continue` would have nothing to continue."""
    ended = gdb.selected_inferior()
    alive = [inferior.num for inferior in gdb.inferiors() if inferior.pid != 0]
    if ended.pid == 0 and alive:
        gdb.execute(f"inferior {min(alive)}")
        gdb.execute(f"remove-inferiors {ended.num}")


def main():
    for setting in SETTINGS:
        try:
            gdb.execute(setting, to_string=True)
        except gdb.error:  # a gdb that does not have it
            pass
    SignalKills()
    gdb.events.before_prompt.connect(before_prompt)
    gdb.execute(f"source {COROUTINES}")
    gdb.execute("catch signal SIGPIPE", to_string=True)
    gdb.execute("condition $bpnum $_signal_kills(13)")
    gdb.execute("break serve_client")
    print("Type run. gdb stops whenever serve_client is called. Ctrl-C stops the server, and then\n"
          "'signal SIGTERM' lets it end as usual.")


main()
