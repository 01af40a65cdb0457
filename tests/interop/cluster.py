"""Clusters made of the binary under test: all in one process (`ozone local run`), or a process for each daemon."""
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
DATANODES = 3
# Each open container reserves this much, on a machine that may have little.
CONTAINER_SIZE = "512MB"
# A daemon that has not closed its ports and files after this time fails the suite.
STOP_SECONDS_MAX = 90
START_SECONDS_MAX = 180


def end_on_sigterm():
    """SIGTERM ends a suite as an exception does, so that its `finally` blocks stop the daemons, which have sessions of their own."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def cpu_seconds(pid):
    """User and system time of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_ports(count):
    """Consecutive ports below the range that systems give to outgoing connections, so that a restart finds them free again."""
    while True:
        first = random.randrange(20000, 32000 - count)
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind((HOST, port))
            return first
        except OSError:
            continue


def read_site(conf):
    """The settings in a configuration directory."""
    root = ElementTree.parse(pathlib.Path(conf) / "ozone-site.xml").getroot()
    return {p.findtext("name"): p.findtext("value") or "" for p in root.iter("property")}


def write_site(conf, settings):
    conf.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"  <property><name>{escape(key)}</name><value>{escape(str(value))}</value></property>\n"
                   for key, value in sorted(settings.items()))
    (conf / "ozone-site.xml").write_text(f"<configuration>\n{rows}</configuration>\n")


class Process:
    """One daemon process with its log file."""

    def __init__(self, command, log):
        with log.open("ab") as out:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
        self.command = command
        self.log = log

    def alive(self):
        return self.child.poll() is None

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{' '.join(self.command)} did not stop in {STOP_SECONDS_MAX} s, see {self.log}") from None

    def kill(self):
        self.child.kill()
        self.child.wait()


class Cluster:
    """What both kinds have in common. `root` holds everything: conf/, data, logs."""

    def __init__(self, binary, root, settings):
        self.binary = str(binary)
        self.root = root
        self.settings = {"ozone.scm.container.size": CONTAINER_SIZE} | settings
        self.processes = {}

    @property
    def conf(self):
        """The configuration directory for clients."""
        raise NotImplementedError

    @property
    def om(self):
        return read_site(self.conf)["ozone.om.address"]

    def host(self, _name):
        """Where a daemon listens."""
        return HOST

    def launcher(self, _name):
        """Words before the command of a daemon."""
        return []

    def spawn(self, name, *words):
        log = self.root / f"{name}.log"
        self.processes[name] = Process([*self.launcher(name), self.binary, *words], log)
        return self.processes[name]

    def wait_for(self, what, holds, *processes):
        end = time.monotonic() + START_SECONDS_MAX
        while not holds():
            for process in processes:
                if not process.alive():
                    tail = process.log.read_text(errors="replace")[-3000:]
                    raise RuntimeError(f"{' '.join(process.command)} ended with {process.child.returncode}:\n{tail}")
            if time.monotonic() > end:
                raise RuntimeError(f"{what}: not within {START_SECONDS_MAX} s, see the logs in {self.root}")
            time.sleep(0.05)

    def stop(self):
        for process in reversed(list(self.processes.values())):
            if process.alive():
                process.stop()
        self.processes = {}

    def kill(self):
        """kill -9 of everything at once."""
        for process in self.processes.values():
            process.child.kill()
        for process in self.processes.values():
            process.child.wait()
        self.processes = {}

    def cpu_seconds(self):
        """What the daemons have used so far."""
        return sum(cpu_seconds(process.child.pid) for process in self.processes.values() if process.alive())

    def find(self, name):
        """Directories or files of this name below the cluster's data."""
        return sorted(self.root.rglob(name))


def listens(address):
    host, port = address.rsplit(":", 1)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, int(port))) == 0


class Local(Cluster):
    """`ozone local run`."""

    kind = "local run"

    def __init__(self, binary, root, settings):
        super().__init__(binary, root, settings)
        self.scm_port = free_ports(2)

    @property
    def conf(self):
        return self.root / "data" / "conf"

    def start(self):
        overrides = [word for key, value in self.settings.items() for word in ("-D", f"{key}={value}")]
        process = self.spawn("local", *overrides, "local", "run", "--data-dir", str(self.root / "data"),
                             "--scm-port", str(self.scm_port), "--om-port", str(self.scm_port + 1))
        site = self.conf / "ozone-site.xml"
        self.wait_for("ozone local run", lambda: site.exists() and listens(self.om), process)


class Separate(Cluster):
    """A process and a configuration directory for each daemon."""

    kind = "separate processes"

    def __init__(self, binary, root, settings):
        super().__init__(binary, root, settings)
        self.datanodes = [f"dn{i}" for i in range(1, DATANODES + 1)]
        self.write_configuration()

    @property
    def conf(self):
        return self.root / "conf" / "client"

    def write_configuration(self):
        ports = iter(range(free_ports(64), 65536))
        address = lambda name: f"{self.host(name)}:{next(ports)}"  # noqa: E731
        datanode_address = address("scm1")
        common = {
            "hdds.scm.safemode.min.datanode": DATANODES,
            "hdds.datanode.dir.du.reserved.percent": 0,
            "hdds.heartbeat.interval": "1s",
            "hdds.scm.wait.time.after.safemode.exit": "1s",
            "ozone.om.address": address("om1"),
            "ozone.om.http-address": address("om1"),
            "ozone.om.grpc.port": next(ports),
            "ozone.om.ratis.port": next(ports),
            "ozone.scm.names": datanode_address,
            "ozone.scm.datanode.address": datanode_address,
            "ozone.scm.client.address": address("scm1"),
            "ozone.scm.block.client.address": address("scm1"),
            "ozone.scm.security.service.address": address("scm1"),
            "ozone.scm.http-address": address("scm1"),
            "ozone.scm.ratis.port": next(ports),
            "ozone.scm.grpc.port": next(ports),
        } | self.settings
        write_site(self.conf, common)
        for name in ("scm1", "om1"):
            write_site(self.root / "conf" / name, common | {"ozone.metadata.dirs": self.root / "data" / name})
        for name in self.datanodes:
            data = self.root / "data" / name
            write_site(self.root / "conf" / name, common | {
                "ozone.metadata.dirs": data / "meta",
                "ozone.scm.datanode.id.dir": data / "meta",
                "hdds.datanode.dir": data / "hdds",
                "hdds.datanode.hostname": self.host(name),
                "hdds.container.ratis.datanode.storage.dir": data / "ratis",
                "hdds.container.ipc.port": next(ports),
                "hdds.container.ratis.ipc.port": next(ports),
                "hdds.container.ratis.admin.port": next(ports),
                "hdds.container.ratis.server.port": next(ports),
                "hdds.container.ratis.datastream.port": next(ports),
                "hdds.datanode.replication.port": next(ports),
                "hdds.datanode.client.address": address(name),
                "hdds.datanode.http-address": address(name),
            })

    def config(self, name):
        return ["--config", str(self.root / "conf" / name)]

    def format(self, name, kind):
        if not (self.root / "data" / name).exists():
            self.format_now(name, kind)

    def format_now(self, name, kind):
        with (self.root / f"{name}.log").open("ab") as log:
            command = [*self.launcher(name), self.binary, *self.config(name), kind, "--init"]
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                           timeout=START_SECONDS_MAX, check=True)

    def start_daemon(self, name):
        kind = {"s": "scm", "o": "om", "d": "datanode"}[name[0]]
        return self.spawn(name, *self.config(name), kind)

    def start(self):
        settings = read_site(self.conf)
        self.format("scm1", "scm")
        scm = self.start_daemon("scm1")
        self.wait_for("SCM", lambda: listens(settings["ozone.scm.client.address"]), scm)
        self.format("om1", "om")
        om = self.start_daemon("om1")
        for name in self.datanodes:
            self.start_daemon(name)
        self.wait_for("OM", lambda: listens(settings["ozone.om.address"]), scm, om)


class Services(Separate):
    """SCM with a service id, and two Ozone Managers, each the only node of a service of its own, in one configuration."""

    kind = "separate processes with service ids"
    SERVICES = {"om1": "first", "om2": "second"}

    def write_configuration(self):
        super().write_configuration()
        common = read_site(self.conf)
        ports = iter(range(free_ports(8), 65536))
        named = {}
        for key in [key for key in common if key.startswith(("ozone.om.", "ozone.scm.")) and key.endswith(("address", ".port"))]:
            value = common.pop(key)
            if key.startswith("ozone.om."):
                named[f"{key}.first.om1"] = value
                named[f"{key}.second.om2"] = next(ports) if key.endswith(".port") else f"{HOST}:{next(ports)}"
            elif key.endswith(".http-address") or key.endswith(".port"):
                named[f"{key}.scms.scm1"] = value
            else:
                named[f"{key}.scms.scm1"] = value
                named[f"{key.removesuffix('address')}port.scms.scm1"] = value.rsplit(":", 1)[1]
        common.pop("ozone.scm.names")
        common |= named | {
            "ozone.om.service.ids": "first,second", "ozone.om.nodes.first": "om1", "ozone.om.nodes.second": "om2",
            "ozone.scm.service.ids": "scms", "ozone.scm.nodes.scms": "scm1", "ozone.scm.address.scms.scm1": HOST}
        write_site(self.conf, common)
        for name, service in self.SERVICES.items():
            write_site(self.root / "conf" / name, common | {
                "ozone.metadata.dirs": self.root / "data" / name, "ozone.om.internal.service.id": service})
        own = {"scm1": {"ozone.metadata.dirs": self.root / "data" / "scm1"}} | {
            name: {key: value for key, value in read_site(self.root / "conf" / name).items()
                   if key.startswith("hdds.") or key in ("ozone.metadata.dirs", "ozone.scm.datanode.id.dir")}
            for name in self.datanodes}
        for name, settings in own.items():
            write_site(self.root / "conf" / name, common | settings)

    @property
    def om(self):
        return read_site(self.conf)["ozone.om.address.first.om1"]

    def start(self):
        settings = read_site(self.conf)
        self.format("scm1", "scm")
        scm = self.start_daemon("scm1")
        self.wait_for("SCM", lambda: listens(settings["ozone.scm.client.address.scms.scm1"]), scm)
        for name, service in self.SERVICES.items():
            self.format(name, "om")
            om = self.start_daemon(name)
            self.wait_for("OM", lambda: listens(settings[f"ozone.om.address.{service}.{name}"]), om)  # noqa: B023
        for name in self.datanodes:
            self.start_daemon(name)


class Running(Cluster):
    """A cluster that somebody else started, known by its configuration directory: for recording."""

    kind = "running"

    def __init__(self, conf):
        super().__init__(os.devnull, pathlib.Path(conf), {})

    @property
    def conf(self):
        return self.root

    def start(self):
        pass

    def stop(self):
        pass
