"""The cluster under torture: separate processes, each in surroundings of its own."""
import fnmatch
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "interop"))

import cluster  # noqa: E402

import environment  # noqa: E402

# Small, so that blocks, containers and log segments are begun and ended often.
SETTINGS = {
    "ozone.scm.container.size": "64MB",
    "ozone.scm.block.size": "8MB",
    "hdds.container.ratis.segment.size": "4MB",
    "hdds.container.ratis.segment.preallocated.size": "256KB",
    "hdds.ratis.snapshot.threshold": 300,
    "hdds.container.ratis.log.purge.gap": 200,
    "ozone.om.ratis.segment.size": "1MB",
    "ozone.om.ratis.segment.preallocated.size": "64KB",
    "ozone.om.ratis.snapshot.auto.trigger.threshold": 500,
    "ozone.om.ratis.log.purge.gap": 300,
    "ozone.scm.ha.ratis.segment.size": "1MB",
    "ozone.scm.ha.ratis.segment.preallocated.size": "64KB",
    "ozone.scm.ha.ratis.snapshot.threshold": 100,
    "ozone.block.deleting.service.interval": "10s",
    "hdds.scm.block.deleting.service.interval": "5s",
    "hdds.datanode.block.deleting.service.interval": "5s",
    "ozone.scm.pipeline.creation.interval": "5s",
    # A datanode that could not make its part of a pipeline blocks it for this long.
    "ozone.scm.pipeline.allocated.timeout": "20s",
    "ozone.scm.pipeline.scrub.interval": "5s",
    # The default, 1 GB, is a third of a datanode's disk here.
    "ozone.scm.datanode.ratis.volume.free-space.min": "64MB",
    "hdds.pipeline.report.interval": "5s",
    "hdds.node.report.interval": "5s",
    "hdds.container.report.interval": "30s",
    "hdds.heartbeat.initial-interval": "1s",
}


class Place(cluster.Separate):
    """`disks`, `network` and `clock` are None where the machine does not permit them; `missing` says so."""

    def __init__(self, binary, root, wanted, settings, disk_bytes):
        root.mkdir(parents=True, exist_ok=True)
        self.names = ["scm1", "om1", *(f"dn{i}" for i in range(1, cluster.DATANODES + 1))]
        self.missing = []
        # Containers of which one replica is damaged.
        self.damaged = set()
        self.disks = self.network = self.clock = None
        try:
            self.disks = self.made(wanted, "disks", lambda: environment.Disks(root, self.names, disk_bytes))
            self.network = self.made(wanted, "network", lambda: environment.Network(self.names))
            self.clock = self.made(wanted, "clock", lambda: environment.Clock(root, self.names))
            super().__init__(binary, root, SETTINGS | settings)
        except BaseException:
            self.close_surroundings()
            raise

    def made(self, wanted, kind, make):
        """Surroundings that work, or None."""
        if kind not in wanted:
            return None
        part = make()
        try:
            part.create()
            part.try_out()
        except (RuntimeError, OSError, ValueError) as problem:
            part.close()
            self.missing.append(f"{kind} ({problem})")
            return None
        except BaseException:
            part.close()
            raise
        return part

    def host(self, name):
        return self.network.addresses[name] if self.network else cluster.HOST

    def launcher(self, name):
        words = self.network.launcher(name) if self.network else []
        return words + (self.clock.launcher(name) if self.clock else [])

    def format(self, name, kind):
        mark = self.root / f"{name}.formatted"
        if not mark.exists():
            (self.root / "data" / name).mkdir(parents=True, exist_ok=True)
            self.format_now(name, kind)
            mark.touch()

    def files(self, name, pattern):
        """Of this name in the directory of a daemon, which may delete some meanwhile."""
        found = []
        for directory, _, files in os.walk(self.root / "data" / name):
            found += [pathlib.Path(directory, file) for file in fnmatch.filter(files, pattern)]
        return sorted(found)

    def log_size(self, name):
        return (self.root / f"{name}.log").stat().st_size

    def log_since(self, name, size):
        with (self.root / f"{name}.log").open("rb") as log:
            log.seek(size)
            return log.read().decode(errors="replace").splitlines()

    def pause(self, seconds):
        time.sleep(seconds)

    def kill(self, name):
        self.processes[name].kill()

    def terminate(self, name):
        self.processes[name].stop()

    def signal(self, name, number):
        self.processes[name].child.send_signal(number)

    def ended(self):
        """Daemons that run no more."""
        return [name for name in self.names if not self.processes[name].alive()]

    def close(self):
        for process in self.processes.values():
            if process.alive():
                process.kill()
        self.close_surroundings()

    def close_surroundings(self):
        for part in (self.disks, self.network):
            if part:
                part.close()
