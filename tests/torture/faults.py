"""The faults. Each is begun, lasts a while, and is ended; after that the cluster has to work without a hand.

A fault hits at most one datanode for longer than a moment: three replicas promise no more. `all` kills everything at once, which
loses what was acknowledged but not durable.
"""
import re
import signal

DATANODES = "datanodes"
EVERY = "every"


class Fault:
    """`hold`: shortest and longest time in seconds. `supervised`: the daemon may end itself, and is started again, as by a
    service manager."""

    name = ""
    needs = None
    targets = EVERY
    hold = (1, 12)
    supervised = False

    def __init__(self, place, target, random):
        self.place = place
        self.target = target
        self.random = random
        self.note = ""

    @property
    def hits(self):
        """The daemons that it hits."""
        return {"all": self.place.names, "datanodes": self.place.datanodes}.get(self.target, [self.target])

    def begin(self):
        raise NotImplementedError

    def end(self):
        raise NotImplementedError


class Kill(Fault):
    name = "kill -9"

    def begin(self):
        self.place.kill(self.target)

    def end(self):
        self.place.start_daemon(self.target)


class Restart(Fault):
    name = "stop and start"

    def begin(self):
        self.place.terminate(self.target)

    def end(self):
        self.place.start_daemon(self.target)


class KillAll(Fault):
    name = "kill -9 of all"
    targets = ("all",)
    hold = (0, 3)

    def begin(self):
        for name in self.place.names:
            self.place.processes[name].child.kill()
        for name in self.place.names:
            self.place.kill(name)

    def end(self):
        names = list(self.place.names)
        self.random.shuffle(names)
        self.note = "started again: " + " ".join(names)
        for name in names:
            self.place.start_daemon(name)


class KillTwice(Fault):
    """Killed again while it recovers."""

    name = "kill -9 while starting"
    hold = (1, 4)

    def begin(self):
        self.place.kill(self.target)
        for _ in range(3):
            self.place.start_daemon(self.target)
            self.place.pause(self.random.uniform(0.02, 1.5))
            self.place.kill(self.target)

    def end(self):
        self.place.start_daemon(self.target)


class Hang(Fault):
    name = "SIGSTOP"
    hold = (1, 20)

    def begin(self):
        self.place.signal(self.target, signal.SIGSTOP)

    def end(self):
        self.place.signal(self.target, signal.SIGCONT)


class HangDatanodes(Fault):
    """Short, so that leases and elections meet a group that comes back as one."""

    name = "SIGSTOP of all datanodes"
    targets = ("datanodes",)
    hold = (1, 8)

    def begin(self):
        for name in self.place.datanodes:
            self.place.signal(name, signal.SIGSTOP)

    def end(self):
        names = list(self.place.datanodes)
        self.random.shuffle(names)
        for name in names:
            self.place.signal(name, signal.SIGCONT)


class FullDisk(Fault):
    name = "full disk"
    needs = "disks"
    hold = (3, 15)
    supervised = True

    def begin(self):
        leave = self.random.choice((0, 4096, 300_000, 5 << 20))
        self.note = f"{leave} bytes left"
        self.place.disks.fill(self.target, leave)

    def end(self):
        self.place.disks.empty(self.target)


class ReadOnly(Fault):
    name = "read-only file system"
    needs = "disks"
    hold = (3, 12)
    supervised = True

    def begin(self):
        self.place.disks.abort(self.target)

    def end(self):
        self.place.kill(self.target)
        self.place.disks.repair(self.target)
        self.place.start_daemon(self.target)


class Cut(Fault):
    name = "cut from all"
    needs = "network"
    hold = (1, 20)

    def begin(self):
        self.place.network.cut(self.target)

    def end(self):
        self.place.network.join(self.target)


class Deaf(Fault):
    name = "one direction cut"
    needs = "network"
    hold = (3, 20)

    def begin(self):
        self.other = self.random.choice([name for name in self.place.names if name != self.target])
        self.note = f"to {self.other}"
        self.place.network.deafen(self.target, self.other)

    def end(self):
        self.place.network.undeafen(self.target, self.other)


class Slow(Fault):
    name = "slow connection"
    needs = "network"
    hold = (5, 20)

    def begin(self):
        rate = self.random.choice(("64kbit", "512kbit", "4mbit"))
        self.note = rate
        self.place.network.slow(self.target, rate)

    def end(self):
        self.place.network.unslow(self.target)


class ClockJump(Fault):
    name = "clock jump"
    needs = "clock"
    hold = (3, 15)

    def begin(self):
        seconds = self.random.choice((-3600, -30, 30, 3600, 86400))
        self.note = f"{seconds:+d} s"
        self.place.clock.jump(self.target, seconds)

    def end(self):
        self.place.clock.jump(self.target, 0)


class FlipBlock(Fault):
    """For good, on a node that runs or not: no replica is repaired, so that one of a container has to be enough."""

    name = "bit flip in a block file"
    targets = DATANODES
    hold = (0, 4)

    def begin(self):
        damaged = self.place.damaged
        files = [file for file in self.place.files(self.target, "*.block") if file.parent.parent.name not in damaged]
        self.stopped = self.random.random() < 0.3
        if self.stopped:
            self.place.kill(self.target)
        self.note = "no file"
        self.random.shuffle(files)
        for file in files:
            try:
                self.note = f"container {file.parent.parent.name}, {flip(file, self.random)}"
            except (FileNotFoundError, ValueError):
                # Deleted meanwhile, or empty.
                continue
            damaged.add(file.parent.parent.name)
            break

    def end(self):
        if self.stopped:
            self.place.start_daemon(self.target)


class FlipFile(Fault):
    """In a file of a stopped daemon, which has to refuse what it cannot trust. Then the file is restored."""

    hold = (3, 9)
    supervised = True

    def choose(self):
        """A file, and the part of it in which a flip is."""
        raise NotImplementedError

    def begin(self):
        self.place.kill(self.target)
        self.found = self.choose()
        if self.found:
            self.file, first, end = self.found
            self.offset = self.random.randrange(first, end)
            self.bit = self.random.randrange(8)
            self.log = self.place.log_size(self.target)
            xor(self.file, self.offset, self.bit)
        self.place.start_daemon(self.target)

    def end(self):
        self.place.kill(self.target)
        if self.found:
            told = [line for line in self.place.log_since(self.target, self.log) if self.file.name in line]
            self.note = f"{self.file.name} at {self.offset}: {'refused' if told else 'not noticed'}"
            if self.file.exists():
                xor(self.file, self.offset, self.bit)
        else:
            self.note = "no file"
        self.place.start_daemon(self.target)


class FlipLog(FlipFile):
    name = "bit flip in a Raft log"

    def choose(self):
        files = []
        for file in self.place.files(self.target, "log_*"):
            used = used_bytes(file)
            if re.fullmatch(r"log_\d+-\d+", file.name):
                files.append((file, 8, used))
            elif used > 20_000:
                # A damaged last entry looks like one that was never finished; no entry takes half of so much.
                files.append((file, 8, used // 2))
        files = [row for row in files if row[1] < row[2]]
        return self.random.choice(sorted(files)) if files else None


class FlipTable(FlipFile):
    name = "bit flip in a RocksDB table"

    def choose(self):
        files = [(file, 0, file.stat().st_size) for file in self.place.files(self.target, "*.sst")]
        return self.random.choice(sorted(files)) if files else None


def used_bytes(file):
    """Bytes before the zeros that a segment is filled with ahead of use."""
    return len(file.read_bytes().rstrip(b"\0"))


def xor(file, offset, bit):
    with file.open("r+b") as data:
        data.seek(offset)
        old = data.read(1)[0]
        data.seek(offset)
        data.write(bytes([old ^ (1 << bit)]))


def flip(file, random):
    offset, bit = random.randrange(file.stat().st_size), random.randrange(8)
    xor(file, offset, bit)
    return f"{file.name} byte {offset} bit {bit}"


ALL = (Kill, Restart, KillAll, KillTwice, Hang, HangDatanodes, FullDisk, ReadOnly, Cut, Deaf, Slow, ClockJump, FlipBlock, FlipLog,
       FlipTable)
