"""What the measuring scripts share: figures of daemons from /proc, and freon of the published Java client."""
import os
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
OZONE_JAVA = HERE.parent / "interop/ozone-java"
sys.path.insert(0, str(HERE.parent / "interop"))
import clients  # noqa: E402

READY_SECONDS_MAX = 300
TICKS = os.sysconf("SC_CLK_TCK")


class FreonError(RuntimeError):
    """A freon command failed, wholly or for some operations; says how."""


def daemons(cluster, names=None):
    """Process ids of all daemons, or of those named."""
    return [process.child.pid for name, process in cluster.processes.items() if names is None or name in names]


def cpu_seconds(cluster, names=None):
    """CPU time that daemons have taken since their start, user and system."""
    total = 0
    for pid in daemons(cluster, names):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def resident_mib(cluster, names=None):
    """Resident memory of daemons."""
    total = 0
    for pid in daemons(cluster, names):
        total += int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))
    return total / 1024


def freon(cluster, words):
    """Runs the Java client; returns operations per second by the timers of its report, which leave out the start of the JVM."""
    answer = clients.java(cluster.conf, "freon", *words)
    text = answer.out + answer.err
    failures = re.search(r"Failures: (\d+)", text)
    if answer.code != 0 or not failures or failures.group(1) != "0":
        raise FreonError(f"freon {' '.join(words)} ended with {answer.code}:\n{text[-3000:]}")
    # A mixture has a timer for each of its operations.
    rates = re.findall(r"type=TIMER.*?mean_rate=([\d.]+)", text) or re.findall(r"mean_rate=([\d.]+)", text)[-1:]
    return sum(map(float, rates)) if rates else None


def wait_ready(cluster):
    """Waits until keys of three replicas can be written."""
    end = time.monotonic() + READY_SECONDS_MAX
    began = time.monotonic()
    while True:
        state = clients.java(cluster.conf, "admin", "safemode", "status").out
        pipelines = clients.java(cluster.conf, "admin", "pipeline", "list", "--state", "OPEN").out
        if "out of safe mode" in state and ("THREE" in pipelines or "/3" in pipelines):
            return time.monotonic() - began
        if time.monotonic() > end:
            raise RuntimeError("the cluster is not ready in time")


def number(value, form):
    """A figure, or a dash where there is none."""
    return form.format(value) if value is not None else "–"
