"""The gdb command `coroutines`: for lab 8's coroutines what `thread apply all bt` is for threads.

A suspended coroutine's registers are on its stack, where switch_context has saved them. An unwinder presents them
to gdb as those of the caller of the selected thread's innermost frame, so that gdb itself unwinds the rest. Nothing
is written to the server's memory or registers."""
import os
import re
import socket
import struct

import gdb
import gdb.unwinder

LIMIT = 65536  # more coroutines than a list can have: it has a cycle


class Unexpected(Exception):
    """The server is not as the lab's starter has it; the text says where."""


def unsigned(value):
    return int(value.cast(gdb.lookup_type("unsigned long")))


# ---- what switch_context saves -------------------------------------------------------------------


def disassemble_switch():
    """The instructions of switch_context, from the first after the exchange of stacks to ret."""
    try:
        start = unsigned(gdb.parse_and_eval("&switch_context"))
    except gdb.error:
        raise Unexpected("it has no function switch_context")
    code, after = [], None
    with gdb.with_parameter("disassembly-flavor", "att"):
        for instruction in gdb.selected_frame().architecture().disassemble(start, count=200):
            text = re.sub(r"\s+(# |//|<).*", "", re.sub(r"\s+", " ", instruction["asm"].strip()))
            code.append(text)
            if re.fullmatch(r"mov \(?%r\w+\)?,%rsp|mov sp, x\d+", text):
                after = len(code)
            elif re.match(r"ret|jmp \*|br ", text):
                break
    if after is None:
        raise Unexpected("its switch_context does not load a stack pointer")
    return code[after:]


class Switch:
    """Follows the end of switch_context: which registers it would load from a suspended coroutine's stack."""

    def __init__(self):
        self.code = disassemble_switch()
        self.is_aarch64 = gdb.selected_frame().architecture().name() == "aarch64"

    def registers(self, sp):
        """The registers as they will be when switch_context has returned."""
        self.sp, self.loaded = sp, {}
        for text in self.code:
            if not (self.step_aarch64(text) if self.is_aarch64 else self.step_x86(text)):
                raise Unexpected(f"its switch_context has an instruction that this command does not know: {text}")
        return self.loaded

    def word(self, address):
        return struct.unpack("Q", gdb.selected_inferior().read_memory(address, 8).tobytes())[0]

    def step_x86(self, text):
        if found := re.fullmatch(r"popq? %(\w+)", text):
            self.loaded[found[1]] = self.word(self.sp)
            self.sp += 8
        elif found := re.fullmatch(r"movq? (0x\w+)?\(%rsp\),%(r\w+)", text):
            self.loaded[found[2]] = self.word(self.sp + int(found[1] or "0", 16))
        elif found := re.fullmatch(r"(?:addq? \$(0x\w+)|leaq? (0x\w+)\(%rsp\)),%rsp", text):
            self.sp += int(found[1] or found[2], 16)
        elif re.fullmatch(r"retq?", text):
            self.loaded.update(rip=self.word(self.sp), rsp=self.sp + 8)
        elif found := re.fullmatch(r"jmpq? \*%(\w+)", text):
            self.loaded.update(rip=self.loaded.get(found[1], 0), rsp=self.sp)
        else:
            return re.match(r"ldmxcsr|fldcw|nop|endbr64", text)
        return True

    def step_aarch64(self, text):
        if found := re.fullmatch(r"ld[rp] ([xd]\d+)(?:, ([xd]\d+))?, \[sp(?:, #(\w+))?\](?:, #(\w+))?", text):
            for i, name in enumerate(filter(None, (found[1], found[2]))):
                if name.startswith("x"):
                    self.loaded[name] = self.word(self.sp + int(found[3] or "0", 0) + 8 * i)
            self.sp += int(found[4] or "0", 0)
        elif found := re.fullmatch(r"add sp, sp, #(\w+)", text):
            self.sp += int(found[1], 0)
        elif found := re.fullmatch(r"(?:ret|br)(?: (x\d+))?", text):
            self.loaded.update(pc=self.loaded.get(found[1] or "x30", 0), sp=self.sp)
        else:
            return re.match(r"msr fpcr", text)
        return True


# ---- unwinding -----------------------------------------------------------------------------------


class FrameId:
    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class Unwinder(gdb.unwinder.Unwinder):
    def __init__(self):
        super().__init__("suspended coroutine")
        self.registers = None

    def __call__(self, pending_frame):
        try:
            if self.registers is None or int(pending_frame.read_register("sp")) != self.thread_sp:
                return None
        except gdb.error:  # a damaged stack
            return None
        word = gdb.lookup_type("unsigned long")
        sp = self.registers["rsp" if "rsp" in self.registers else "sp"]
        # Below the coroutine's frames: gdb rejects a caller that is not above its callee.
        frame_id = FrameId(gdb.Value(sp - 64).cast(word), pending_frame.read_register("pc"))
        info = pending_frame.create_unwind_info(frame_id)
        for name, value in self.registers.items():
            info.add_saved_register(name, gdb.Value(value).cast(word))
        return info

    def backtrace(self, registers):
        """The lines of `bt` for these registers."""
        level = gdb.selected_frame().level()
        try:
            self.thread_sp = int(gdb.newest_frame().read_register("sp"))
            self.registers = registers
            gdb.invalidate_cached_frames()
            frames = count_frames(gdb.newest_frame().older())
            text = gdb.execute(f"backtrace {frames + 1}", to_string=True) if frames else ""
        finally:
            self.registers = None
            gdb.invalidate_cached_frames()
            gdb.execute(f"frame {level}", to_string=True)
        lines = without_note(text)
        first = next((i for i, line in enumerate(lines) if line.startswith("#1 ")), len(lines))
        return [re.sub(r"^#(\d+) *", lambda found: f"#{int(found[1]) - 1}".ljust(4), line)
                for line in lines[first:]]


def without_note(backtrace):
    """The lines of a limited backtrace, without gdb's note that there are further frames."""
    return [line for line in backtrace.splitlines() if not line.startswith("(More stack frames")]


def count_frames(frame):
    """How many there are up to where the coroutine began: what is above may be anything."""
    count = 0
    try:
        while frame is not None and count < 100:
            count += 1
            if frame.name() == "coroutine_main":
                break
            frame = frame.older()
    except gdb.error:  # a damaged stack: up to here
        pass
    return count


unwinder = Unwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


# ---- clients -------------------------------------------------------------------------------------


def peers(pid):
    """The peer of each TCP connection, by its inode."""
    found = {}
    try:
        with open(f"/proc/{pid}/net/tcp") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                address, port = words[2].split(":")
                host = socket.inet_ntoa(struct.pack("=I", int(address, 16)))
                found[words[9]] = f"{host}:{int(port, 16)}"
    except OSError:
        pass
    return found


def peer_of(pid, fd, by_inode):
    try:
        inode = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(f"/proc/{pid}/fd/{fd}"))
    except OSError:
        return None
    return by_inode.get(inode[1]) if inode else None


# ---- the lists -----------------------------------------------------------------------------------


def has_field(value, name):
    return name in [field.name for field in value.type.strip_typedefs().fields()]


def member(value, name):
    if not has_field(value, name):
        raise Unexpected(f"its struct {value.type.strip_typedefs().tag} has no member {name}")
    return value[name]


def list_of(head, first, link, next_link):
    """The elements of a list of queue(3)."""
    element, elements = member(head, first), []
    while int(element) != 0:
        elements.append(element)
        if len(elements) > LIMIT:
            raise Unexpected("a list of coroutines does not end")
        element = member(member(element.dereference(), link), next_link)
    return elements


def all_workers():
    symbol = gdb.lookup_static_symbol("workers") or gdb.lookup_global_symbol("workers")
    if symbol is None:
        raise Unexpected("it has no array named workers")
    value = symbol.value()
    if value.type.strip_typedefs().code != gdb.TYPE_CODE_ARRAY:
        raise Unexpected("its workers is not an array")
    first, last = value.type.strip_typedefs().range()
    return [value[i] for i in range(first, last + 1)]


def is_ready(worker, coroutine):
    """Whether it is in the queue of those that can continue, if there is such a queue."""
    try:
        return any(int(other) == int(coroutine) for other in list_of(worker["ready"], "stqh_first", "ready_link",
                                                                     "stqe_next"))
    except (gdb.error, Unexpected):
        return False


def mappings(pid):
    with open(f"/proc/{pid}/maps") as file:
        return [tuple(int(end, 16) for end in line.split()[0].split("-")) for line in file]


def running_in(coroutine, current, threads, maps):
    """The thread that runs this coroutine, if any: its stack pointer is in the coroutine's stack."""
    if int(current) != int(coroutine):
        return None
    saved = unsigned(member(coroutine.dereference(), "stack_pointer"))
    for thread, sp in threads:
        if any(start <= saved < end and start <= sp < end for start, end in maps):
            return thread
    return None


def stack_pointers():
    """Each thread with its stack pointer."""
    selected, found = gdb.selected_thread(), []
    level = gdb.selected_frame().level()
    for thread in gdb.selected_inferior().threads():
        if thread.is_stopped():
            thread.switch()
            found.append((thread, int(gdb.newest_frame().read_register("sp"))))
    selected.switch()
    gdb.execute(f"frame {level}", to_string=True)
    return found


def thread_backtrace(thread):
    selected, level = gdb.selected_thread(), gdb.selected_frame().level()
    thread.switch()
    try:
        return without_note(gdb.execute(f"backtrace {count_frames(gdb.newest_frame())}", to_string=True))
    finally:
        selected.switch()
        gdb.execute(f"frame {level}", to_string=True)


# ---- the command ---------------------------------------------------------------------------------


class Coroutines(gdb.Command):
    """List all coroutines of lab 8's server, each with its client and its call stack.
A suspended coroutine is in no thread's backtrace: its stack shows what it waits for."""

    def __init__(self):
        super().__init__("coroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if gdb.selected_thread() is None:
            raise gdb.GdbError("The server is not running.")
        try:
            print("\n".join(self.lines()))
        except Unexpected as error:
            raise gdb.GdbError(f"The coroutines of this server cannot be listed: {error}.")
        except (gdb.error, OSError) as error:
            raise gdb.GdbError(f"The coroutines of this server cannot be listed: {error}.")

    def lines(self):
        pid = gdb.selected_inferior().pid
        switch, threads, maps, by_inode = Switch(), stack_pointers(), mappings(pid), peers(pid)
        number = 0
        for index, worker in enumerate(all_workers()):
            current = member(worker, "current")
            for coroutine in reversed(list_of(member(worker, "coroutines"), "lh_first", "link", "le_next")):
                number += 1
                who = f"worker {index + 1}"
                if has_field(coroutine.dereference(), "client"):
                    fd = int(coroutine["client"])
                    peer = peer_of(pid, fd, by_inode)
                    who += f", client {fd}" + (f" = {peer}" if peer else "")
                thread = running_in(coroutine, current, threads, maps)
                if thread is not None:
                    yield f"Coroutine {number} ({who}), running in thread {thread.num}:"
                    yield from thread_backtrace(thread)
                else:
                    state = "ready" if is_ready(worker, coroutine) else "suspended"
                    registers = switch.registers(unsigned(member(coroutine.dereference(), "stack_pointer")))
                    yield f"Coroutine {number} ({who}), {state}:"
                    yield from self.stack(registers)
                yield ""
        if number == 0:
            yield "There are no coroutines."

    def stack(self, registers):
        pc = registers["rip" if "rip" in registers else "pc"]
        block = gdb.block_for_pc(pc)
        if block is not None and block.function is not None and block.start == pc:
            return [f"(it has not started; it will begin in {block.function.name})"]
        return unwinder.backtrace(registers)


Coroutines()
