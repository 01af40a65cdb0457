"""What faults need of the machine: file systems and network namespaces of the daemons' own, and a clock that can be moved.

Each is made and tried out before the daemons start; where the machine does not permit it, it is left out, and the report says why.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# A frame to this address goes nowhere.
NOWHERE = "02:00:00:00:00:99"
# Something else may look at a file system just when it should go.
UNMOUNT_SECONDS_MAX = 30
TRY_SECONDS_MAX = 60
# What `Network.try_out` sends through each connection.
GREETING = "hello"


def run(*command, check=True):
    try:
        done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as missing:
        done = subprocess.CompletedProcess(command, 127, "", str(missing))
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done


class Disks:
    """A file system in a file for each daemon, so that it can be full, read-only or broken alone."""

    def __init__(self, root, names, size_bytes):
        # Sparse: an image takes the space that is used.
        self.size_bytes = size_bytes
        self.images = {name: root / "disks" / f"{name}.img" for name in names}
        self.points = {name: root / "data" / name for name in names}
        self.ballast = {name: self.points[name] / "ballast" for name in names}

    def create(self):
        for name, image in self.images.items():
            image.parent.mkdir(exist_ok=True)
            with image.open("wb") as file:
                file.truncate(self.size_bytes)
            run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
            self.mount(name)

    def try_out(self):
        """All that faults will do to a disk."""
        name = next(iter(self.images))
        self.fill(name, 0)
        self.empty(name)
        self.abort(name)
        self.repair(name)
        (self.points[name] / "probe").touch()
        (self.points[name] / "probe").unlink()

    def mount(self, name):
        self.points[name].mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop,discard", self.images[name], self.points[name])

    def unmount(self, name):
        end = time.monotonic() + UNMOUNT_SECONDS_MAX
        while run("umount", self.points[name], check=time.monotonic() > end).returncode:
            time.sleep(0.2)

    def fill(self, name, leave_bytes):
        """Takes all space but `leave_bytes`."""
        taken, step = 0, shutil.disk_usage(self.points[name]).free - leave_bytes
        with self.ballast[name].open("wb") as file:
            while step >= 4096:
                try:
                    os.posix_fallocate(file.fileno(), taken, step)
                    taken += step
                except OSError:
                    # The daemon, or the file system itself, took some meanwhile.
                    step //= 2

    def empty(self, name):
        self.ballast[name].unlink(missing_ok=True)

    def abort(self, name):
        """The file system turns read-only under the daemon, as after an error of the disk."""
        run("mount", "-o", "remount,abort", self.points[name])

    def repair(self, name):
        """What an administrator does then, while the daemon is down."""
        self.unmount(name)
        run("e2fsck", "-p", self.images[name], check=False)
        self.mount(name)

    def close(self):
        for name in self.images:
            run("umount", "-l", self.points[name], check=False)


class Network:
    """A namespace for each daemon, all on one bridge; clients stay outside."""

    def __init__(self, names):
        tag = os.getpid() % 10000
        # Of 198.18.0.0/15, which is kept free for tests.
        third = os.getpid() % 250
        self.bridge = f"ozt{tag}"
        self.gateway = f"198.18.{third}.1"
        self.spaces = {name: f"ozt{tag}-{name}" for name in names}
        self.addresses = {name: f"198.18.{third}.{10 + i}" for i, name in enumerate(names)}

    def create(self):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        run("ip", "addr", "add", f"{self.gateway}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for name, space in self.spaces.items():
            run("ip", "netns", "add", space)
            run("ip", "link", "add", self.outer(name), "type", "veth", "peer", "name", "eth0", "netns", space)
            run("ip", "link", "set", self.outer(name), "master", self.bridge, "up")
            run("ip", "-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
            run("ip", "-n", space, "link", "set", "lo", "up")

    def try_out(self):
        """Whether everybody reaches everybody (a firewall may look at bridges, too), and all that faults will do."""
        for name, other in zip(self.spaces, [*list(self.spaces)[1:], None], strict=True):
            self.talk(name, other)
        name, other = list(self.spaces)[:2]
        for begin, end in ((self.cut, self.join), (lambda n: self.deafen(n, other), lambda n: self.undeafen(n, other)),
                           (lambda n: self.slow(n, "4mbit"), self.unslow)):
            begin(name)
            end(name)
        self.talk(name, other)

    def talk(self, name, other):
        """Something listens at `name`, and `other`, or a client outside, hears it."""
        listen = (f"import socket; s = socket.create_server(({self.addresses[name]!r}, 7)); print(flush=True); "
                  f"s.settimeout({TRY_SECONDS_MAX}); s.accept()[0].sendall(b{GREETING!r})")
        hear = (f"import socket; s = socket.create_connection(({self.addresses[name]!r}, 7), {TRY_SECONDS_MAX}); "
                "print(s.recv(99).decode())")
        server = subprocess.Popen([*self.launcher(name), sys.executable, "-c", listen], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            server.stdout.readline()
            heard = run(*(self.launcher(other) if other else []), sys.executable, "-c", hear)
        finally:
            server.kill()
            server.wait()
        if heard.stdout.strip() != GREETING:
            raise RuntimeError(f"{other or 'a client'} does not reach {name}")

    def outer(self, name):
        return f"{self.bridge}{name}"

    def launcher(self, name):
        return ["nsenter", f"--net=/run/netns/{self.spaces[name]}"]

    def cut(self, name):
        """From everybody."""
        run("ip", "link", "set", self.outer(name), "down")

    def join(self, name):
        run("ip", "link", "set", self.outer(name), "up")

    def deafen(self, name, other):
        """What `name` sends to `other` is lost; the other direction works."""
        run("ip", "-n", self.spaces[name], "neigh", "replace", self.addresses[other], "lladdr", NOWHERE, "nud", "permanent",
            "dev", "eth0")

    def undeafen(self, name, other):
        run("ip", "-n", self.spaces[name], "neigh", "del", self.addresses[other], "dev", "eth0", check=False)

    def slow(self, name, rate):
        """Limits what comes to the daemon and what leaves it."""
        limit = ("root", "tbf", "rate", rate, "burst", "16kb", "latency", "400ms")
        run("tc", "qdisc", "replace", "dev", self.outer(name), *limit)
        run("tc", "-n", self.spaces[name], "qdisc", "replace", "dev", "eth0", *limit)

    def unslow(self, name):
        run("tc", "qdisc", "del", "dev", self.outer(name), "root", check=False)
        run("tc", "-n", self.spaces[name], "qdisc", "del", "dev", "eth0", "root", check=False)

    def close(self):
        for name, space in self.spaces.items():
            run("ip", "link", "del", self.outer(name), check=False)
            run("ip", "netns", "del", space, check=False)
        run("ip", "link", "del", self.bridge, check=False)


class Clock:
    """A time of day that can be moved for each daemon while it runs (clock.c)."""

    def __init__(self, root, names):
        self.library = root / "clock.so"
        self.files = {name: root / f"{name}.clock" for name in names}

    def create(self):
        run("gcc", "-O2", "-shared", "-fPIC", "-o", self.library, HERE / "clock.c", "-ldl")
        for name in self.files:
            self.jump(name, 0)

    def try_out(self):
        """Whether a process follows."""
        name = next(iter(self.files))
        self.jump(name, 1_000_000)
        told = run(*self.launcher(name), sys.executable, "-c", "import time; print(time.time())").stdout
        self.jump(name, 0)
        if float(told) - time.time() < 500_000:
            raise RuntimeError("a process does not see the time that it is given")

    def close(self):
        pass

    def launcher(self, name):
        return ["env", f"LD_PRELOAD={self.library}", f"TORTURE_CLOCK={self.files[name]}"]

    def jump(self, name, seconds):
        """The time of day is off by this much from now on."""
        with self.files[name].open("r+b" if self.files[name].exists() else "wb") as file:
            file.write(int(seconds * 1e9).to_bytes(8, "little", signed=True))
