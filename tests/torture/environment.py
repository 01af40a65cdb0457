"""What faults need of the machine: file systems and network namespaces of the daemons' own, and a clock that can be moved.

Each is used where the machine permits it, and said to be missing where it does not.
"""
import os
import pathlib
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
# Sparse: takes the space that is used.
DISK_BYTES = 3 << 30
# A frame to this address goes nowhere.
NOWHERE = "02:00:00:00:00:99"


def run(*command, check=True):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done


def works(*commands):
    """Whether commands that leave nothing behind succeed here."""
    try:
        return all(run(*command, check=False).returncode == 0 for command in commands)
    except FileNotFoundError:
        return False


class Disks:
    """A file system in a file for each daemon, so that it can be full, read-only or broken alone."""

    def __init__(self, root, names):
        self.images = {name: root / "disks" / f"{name}.img" for name in names}
        self.points = {name: root / "data" / name for name in names}
        self.ballast = {name: self.points[name] / "ballast" for name in names}

    @staticmethod
    def permitted(root):
        image, point = root / "probe.img", root / "probe"
        point.mkdir()
        try:
            with image.open("wb") as file:
                file.truncate(16 << 20)
            good = works(("mkfs.ext4", "-q", "-F", image), ("mount", "-o", "loop", image, point), ("umount", point))
        finally:
            image.unlink()
            point.rmdir()
        return good

    def create(self):
        for name, image in self.images.items():
            image.parent.mkdir(exist_ok=True)
            with image.open("wb") as file:
                file.truncate(DISK_BYTES)
            run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
            self.mount(name)

    def mount(self, name):
        self.points[name].mkdir(parents=True, exist_ok=True)
        run("mount", "-o", "loop,discard", self.images[name], self.points[name])

    def unmount(self, name):
        run("umount", self.points[name])

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
        second = 100 + os.getpid() % 100
        self.bridge = f"ozt{tag}"
        self.gateway = f"10.{second}.7.1"
        self.spaces = {name: f"ozt{tag}-{name}" for name in names}
        self.addresses = {name: f"10.{second}.7.{10 + i}" for i, name in enumerate(names)}

    @staticmethod
    def permitted():
        name = f"ozp{os.getpid() % 10000}"
        good = works(("ip", "netns", "add", name), ("ip", "netns", "exec", name, "ip", "link", "set", "lo", "up"),
                     ("ip", "link", "add", name, "type", "bridge"), ("ip", "link", "del", name))
        works(("ip", "netns", "del", name))
        return good

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

    @staticmethod
    def permitted():
        return shutil.which("gcc") is not None

    def create(self):
        run("gcc", "-O2", "-shared", "-fPIC", "-o", self.library, HERE / "clock.c", "-ldl")
        for name in self.files:
            self.jump(name, 0)

    def launcher(self, name):
        return ["env", f"LD_PRELOAD={self.library}", f"TORTURE_CLOCK={self.files[name]}"]

    def jump(self, name, seconds):
        """The time of day is off by this much from now on."""
        with self.files[name].open("r+b" if self.files[name].exists() else "wb") as file:
            file.write(int(seconds * 1e9).to_bytes(8, "little", signed=True))
