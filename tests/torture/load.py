"""The load generator (`crates/torture`) as a child process: lines of JSON from it, commands to it."""
import json
import shutil
import subprocess
import threading
import time

# Verifying every key, beyond the limits that the load has itself.
FINISH_SECONDS_MAX = 1800
# A probe ends after its limit and the attempt that was under way then: one write and a dozen reads of 20 s each.
PROBE_SECONDS_MORE = 300
LARGE_KEY_BYTES = 24 << 20
SMALL_KEY_BYTES = 1 << 20
# Two minutes take some 3 GB at most with large keys.
PLENTY_BYTES = 10 << 30


def key_bytes_max(root):
    """Smaller keys where there is little space."""
    return LARGE_KEY_BYTES if shutil.disk_usage(root).free >= PLENTY_BYTES else SMALL_KEY_BYTES


class Load:
    def __init__(self, binary, conf, seed, options, root):
        self.log = root / "load.log"
        self.violations = []
        self.status = {}
        # Longest time without an acknowledged write since somebody set it to 0, in seconds.
        self.stall = 0
        self.answers = {}
        self.report = None
        self.probes = 0
        self.limit = options.recovery_limit
        command = [str(binary), "--config", str(conf), "--seed", str(seed), "--think-ms", str(options.think_ms),
                   "--recovery-limit", str(options.recovery_limit), "--key-bytes-max", str(key_bytes_max(root)), "--evidence", str(root / "evidence"), "--replicas"]
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        for line in self.child.stdout:
            message = json.loads(line)
            if "violation" in message:
                print(f"VIOLATION {message}", flush=True)
                self.violations.append(message)
            elif "status" in message:
                self.status = message["status"]
                self.stall = max(self.stall, self.status["stall"])
            elif "probe" in message:
                self.answers[message["probe"]] = message
            elif "report" in message:
                self.report = message["report"]

    def alive(self):
        return self.child.poll() is None

    def tail(self):
        return self.log.read_text(errors="replace")[-1500:]

    def send(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def probe(self, wait):
        """Waits until the cluster works again."""
        self.probes += 1
        self.send(f"probe {self.probes}")
        end = time.monotonic() + self.limit + PROBE_SECONDS_MORE
        while self.probes not in self.answers:
            if not self.alive() or self.violations or time.monotonic() > end:
                return {"failed": "no answer of the load"}
            wait()
        return self.answers[self.probes]

    def finish(self):
        """Stops the load, verifies every key, returns the report."""
        self.send("quiesce")
        try:
            self.child.wait(FINISH_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.violations.append({"violation": "verifying does not end"})
            return self.stop()
        self.thread.join(10)
        if self.report is None:
            self.violations.append({"violation": "the load ended without a report", "detail": self.tail()})
        return self.report

    def stop(self):
        """Ends the load where it stands, so that the evidence stays as it is."""
        self.kill()
        return {"status": self.status}

    def kill(self):
        if self.alive():
            self.child.kill()
            self.child.wait()
