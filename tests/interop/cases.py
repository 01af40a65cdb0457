"""The cases of the suite. Each gets a cluster of its own; what it asserts is a sentence in the report."""
import contextlib
import getpass
import grp
import itertools
import json
import os
import pathlib
import random
import re
import threading
import time
import traceback

import checksums as content_checksums
import clients
import endpoints as http_endpoints
import operators
import transcript
from cluster import Local, Running, Separate, Services

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TRANSCRIPTS = REPOSITORY / "golden" / "transcripts"
GOLDEN = REPOSITORY / "golden"
MIB = 1 << 20
# From the start of the daemons until the first RATIS/THREE key can be written.
READY_SECONDS_MAX = 120
# Each of 256 threads holds a chunk of 4 MB.
FREON_HEAP = "3g"


class Report:
    """Counts, and prints what failed when it fails."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def check(self, sentence, holds, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED: {sentence}\n{detail}".rstrip(), flush=True)
        return holds


class Setting:
    """What a case runs in: options, directories, and the ways to get a cluster and a client."""

    def __init__(self, options, ozone, root, report):
        self.options = options
        self.ozone = ozone
        self.root = root
        self.report = report

    def cluster(self, settings=None):
        """A cluster that is started and stopped with the `with` block."""
        if self.options.conf:
            return contextlib.nullcontext(Running(self.options.conf))
        kind = Separate if self.options.separate else Local
        return started(kind(self.ozone, self.root / "cluster", settings or {}))

    def client(self, cluster, place="."):
        work = self.root / place / "work"
        work.mkdir(parents=True, exist_ok=True)
        if self.options.client == "java":
            client = clients.JavaClient(cluster.conf, work)
        else:
            client = clients.OwnClient(self.ozone, cluster.conf, work)
        client.work = work
        return contextlib.closing(client)

    def must(self, client, line):
        """A command that has to succeed; gives its standard output."""
        answer = client(line.split())
        self.report.check(f"{line}: succeeds", answer.code == 0, answer.err)
        return answer.out


@contextlib.contextmanager
def started(cluster):
    (cluster.root).mkdir(parents=True, exist_ok=True)
    try:
        cluster.start()
        yield cluster
        cluster.stop()
    finally:
        if cluster.processes:
            cluster.kill()


def await_ready(setting, cluster, client):
    """Waits until a key with three replicas can be written, and leaves nothing of the trial behind."""
    (client.work / "probe").write_text("probe\n")
    end = time.monotonic() + READY_SECONDS_MAX
    answer = None
    trial = ["sh volume create probe", "sh bucket create probe/probe --layout OBJECT_STORE",
             "sh key put probe/probe/probe probe -t RATIS -r THREE"]
    for line in trial:
        while True:
            answer = client(line.split())
            if answer.code == 0 or "ALREADY_EXISTS" in answer.err:
                break
            if time.monotonic() > end:
                raise RuntimeError(f"not ready within {READY_SECONDS_MAX} s: {line}: {answer.err}")
            time.sleep(0.2)
    (client.work / "probe").unlink()
    for line in ("sh key delete probe/probe/probe", "sh bucket delete probe/probe", "sh volume delete probe"):
        setting.must(client, line)


def random_file(path, size):
    """The same bytes for the same name, everywhere."""
    generator = random.Random(path.name)
    with path.open("wb") as out:
        while size:
            part = min(size, 16 * MIB)
            out.write(generator.randbytes(part))
            size -= part


def own_step(step, work):
    """A `%` line of a transcript. Gives what is wrong, or nothing."""
    verb, *rest = step.words
    if verb == "random":
        random_file(work / rest[0], int(rest[1]))
    elif verb == "text":
        (work / rest[0]).write_text(" ".join(rest[1:]) + "\n")
    elif verb == "lines":
        (work / rest[0]).write_text("".join(f"line {number}\n" for number in range(1, int(rest[1]) + 1)))
    elif verb == "bytes":
        (work / rest[0]).write_bytes(bytes.fromhex("".join(rest[1:])))
    elif verb == "directory":
        (work / rest[0]).mkdir()
    elif verb == "same":
        first, second = (work / name for name in rest)
        if not second.exists() or first.read_bytes() != second.read_bytes():
            return f"{rest[1]} is not byte for byte {rest[0]}"
    else:
        raise ValueError(f"no such step: {step.line}")
    return ""


def replay(*transcripts):
    """The case of some transcripts, one after the other on one cluster."""

    def case(setting):
        with setting.cluster() as cluster:
            for name in transcripts:
                replay_one(setting, cluster, name)

    return case


def replay_one(setting, cluster, name):
    """Replays a transcript, or records it."""
    path = TRANSCRIPTS / f"{name}.txt"
    steps = transcript.parse(path.read_text())
    names = (getpass.getuser(), grp.getgrgid(os.getgid()).gr_name)
    recorded, known = [], {"om": cluster.om}
    with setting.client(cluster, name) as client:
        if not setting.options.conf:
            await_ready(setting, cluster, client)
        for step in steps:
            recorded += [*step.comments, step.line]
            words, typed = step.command(known)
            if step.own and words[0] == "let":
                known = {words[1]: " ".join(words[2:])} | known
                continue
            if step.own:
                wrong = own_step(step, client.work)
                setting.report.check(f"{path.name}:{step.number}: {step.line}", not wrong, wrong)
                continue
            answer = client(words, typed)
            if setting.options.record:
                recorded += transcript.render(answer, names)
                continue
            wrong = transcript.difference(step, answer, names, client.name == "ours")
            setting.report.check(f"{path.name}:{step.number}: {step.line}", not wrong, wrong)
    if setting.options.record:
        path.write_text("\n".join(recorded) + "\n")


def bucket(setting, client, name="sizes"):
    setting.must(client, f"sh volume create {name}")
    setting.must(client, f"sh bucket create {name}/{name} --layout OBJECT_STORE")
    return f"{name}/{name}"


def sizes(setting):
    """Files at the edges of chunk and block come back byte for byte."""
    chunk, block = 4 * MIB, (256 if setting.options.full else 16) * MIB
    edges = [0, 1, chunk, chunk + 1, block, block + 1]
    with setting.cluster({"ozone.scm.block.size": f"{block // MIB}MB"}) as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        home = bucket(setting, client)
        for size, (kind, factor) in itertools.product(edges, (("RATIS", "ONE"), ("RATIS", "THREE"))):
            source, back = client.work / f"bytes{size}", client.work / "back"
            random_file(source, size)
            key = f"{home}/{factor.lower()}-{size}"
            setting.must(client, f"sh key put {key} {source.name} -t {kind} -r {factor}")
            back.unlink(missing_ok=True)
            setting.must(client, f"sh key get {key} back")
            same = back.exists() and back.read_bytes() == source.read_bytes()
            setting.report.check(f"a file of {size} bytes comes back from {kind}/{factor}", same)
            info = setting.must(client, f"sh key info {key}")
            blocks = info.count('"localID"')
            setting.report.check(f"a file of {size} bytes has its number of blocks in {kind}/{factor}",
                                 blocks == -(-size // block), info)


def run_freon(setting, cluster, client, line, runs):
    # Unless told otherwise this client makes its buckets with the layout of directories.
    answer = clients.java(cluster.conf, "freon", "-D", "ozone.client.fs.default.bucket.layout=OBJECT_STORE", *line.split(),
                          "-n", str(runs), cwd=client.work, heap=FREON_HEAP)
    done = re.search(r"Successful executions: (\d+)", answer.err)
    failed = re.search(r"Failures: (\d+)", answer.err)
    counted = bool(done and failed) and (int(done[1]), int(failed[1])) == (runs, 0)
    setting.report.check(f"freon {line}: all of {runs} runs succeed", answer.code == 0 and counted,
                         "\n".join(row for row in answer.err.splitlines() if not row.startswith("\tat"))[-3000:])


def freon(setting):
    """Freon writes and validates small and large keys, and 256 clients write at once."""
    keys = 2000 if setting.options.full else 200
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        for line, runs in (("ockg -t 8 -s 10KB -v fvol -b fbuck -p small", keys),
                           ("ockv -t 8 -v fvol -b fbuck -p small", keys),
                           ("ockg -t 2 -s 20MB -v fvol -b fbuck -p large", 4),
                           ("ockv -t 2 -v fvol -b fbuck -p large", 4),
                           ("ockg -t 256 -s 1KB -v fvol -b fbuck -p crowd", 1024)):
            run_freon(setting, cluster, client, line, runs)


def both_freons(setting):
    """Keys that our freon wrote are validated by the Java one, and the other way round."""
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        own = clients.OwnClient(setting.ozone, cluster.conf, client.work)
        place = ["-v", "fvol", "-b", "fbuck", "-t", "4"]

        def run(of, words, count):
            words = ["freon", *words, *place, "-n", str(count)]
            answer = own(words) if of == "our" else clients.java(cluster.conf, *words, cwd=client.work, heap=FREON_HEAP)
            said = answer.out + answer.err
            done = all(line in said for line in ("Failures: 0", f"Successful executions: {count}"))
            setting.report.check(f"{of} {' '.join(words)}: succeeds", answer.code == 0 and done, said[-3000:])
            return [field.split("=")[0] for field in re.search("type=TIMER, (.*)", said).group(1).split(", ")]

        for writer, reader in (("our", "the Java"), ("the Java", "our")):
            for size, count in (("10KB", 50), ("5MB", 3)):
                prefix = f"{writer.split()[-1].lower()}{size.lower()}"
                written = run(writer, ["ockg", "-s", size, "-p", prefix], count)
                read = run(reader, ["ockv", "-p", prefix], count)
                setting.report.check("both report the same figures by the same names", written == read, f"{written}\n{read}")
        refused = own(["freon", "ockv", "-p", "our10kb", "-n", "51", *place])
        setting.report.check("a key that is not there fails our ockv",
                             refused.code == 255 and "Failures of kind KEY_NOT_FOUND: 1" in refused.out, refused.out)


def listing(setting):
    """Many keys in one bucket are listed in order, in pages, from a start key and by prefix."""
    keys = 100_000 if setting.options.full else 2500
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        bucket(setting, client, "listing")
        run_freon(setting, cluster, client, "ommg --operation CREATE_KEY -t 16 -v listing -b listing", keys)

        def names(*options):
            answer = client(["sh", "key", "list", "listing/listing", *options])
            return [key["name"] for key in json.loads(answer.out)] if answer.code == 0 else [answer.err]

        every = names("--length", str(2 * keys))
        setting.report.check("key list gives every key once and in order",
                             len(every) == keys and every == sorted(set(every), key=str.encode), f"{len(every)} of {keys}")
        middle = every[len(every) // 2]
        setting.report.check("a listing goes on behind its start key",
                             names("--start", middle, "--length", "1500") == every[len(every) // 2 + 1:][:1500], middle)
        prefix = middle[:-1]
        setting.report.check("a listing keeps to its prefix", names("--prefix", prefix, "--all")
                             == [name for name in every if name.startswith(prefix)], prefix)


class Writer(threading.Thread):
    """Puts keys one after the other, and remembers those that were acknowledged."""

    def __init__(self, client, home, tag):
        super().__init__(daemon=True)
        self.client = client
        self.home = home
        self.tag = tag
        self.acknowledged = []
        self.enough = threading.Event()
        self.on = True

    def run(self):
        for number in itertools.count():
            if not self.on:
                return
            key = f"{self.home}/{self.tag}-{number}"
            source = self.client.work / f"{self.tag}-{number}"
            source.write_bytes(random.Random(key).randbytes(1 + number * 7919 % (300 * 1024)))
            factor = ("ONE", "THREE")[number % 2]
            if self.client(["sh", "key", "put", key, source.name, "-t", "RATIS", "-r", factor]).code == 0:
                self.acknowledged.append((key, source))
            if len(self.acknowledged) == 20:
                self.enough.set()


def read_back(setting, client, written, when):
    back = client.work / "back"
    for key, source in written:
        answer = client(["sh", "key", "get", key, "back", "--force"])
        same = answer.code == 0 and back.read_bytes() == source.read_bytes()
        if not setting.report.check(f"{key} reads back {when}", same, answer.err):
            return


def restart(setting):
    """What was acknowledged is there after a stop, and after kill -9 of everything while keys are written."""
    with setting.cluster() as cluster:
        with setting.client(cluster) as client:
            await_ready(setting, cluster, client)
            home = bucket(setting, client, "restart")
            written = []
            for when in ("after a stop and a start", "after kill -9 of everything"):
                writer = Writer(client, home, when.split()[1])
                writer.start()
                enough = writer.enough.wait(120)
                setting.report.check("twenty keys are written within two minutes", enough)
                if when.startswith("after kill"):
                    cluster.kill()
                    writer.on = False
                else:
                    writer.on = False
                    writer.join(120)
                    cluster.stop()
                cluster.start()
                writer.join(180)
                setting.report.check("the writer goes on after the cluster came back", not writer.is_alive())
                written += writer.acknowledged
                await_ready(setting, cluster, client)
                read_back(setting, client, written, when)


def daemons(setting):
    """Each daemon is stopped, started, and killed in turn; every key reads back. For separate processes only."""
    if not setting.options.separate:
        return
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        home = bucket(setting, client, "daemons")
        writer = Writer(client, home, "first")
        writer.start()
        setting.report.check("twenty keys are written within two minutes", writer.enough.wait(120))
        writer.on = False
        writer.join(120)
        for name in list(cluster.processes):
            for way in ("stop", "kill"):
                getattr(cluster.processes[name], way)()
                kind = {"s": "scm", "o": "om", "d": "datanode"}[name[0]]
                cluster.spawn(name, *cluster.config(name), kind)
                await_ready(setting, cluster, client)
                read_back(setting, client, writer.acknowledged, f"after {way} of {name}")


def golden_tables(path):
    return {line.split("\t")[0].strip() for line in path.read_text().splitlines()}


# Database, directory of its golden rows, table, and words of which one has to be in what the genuine scan prints.
SCANS = (
    ("om.db", "om", "keyTable", ("/disk/disk/THREE",)),
    ("om.db", "om", "volumeTable", ("/disk",)),
    ("om.db", "om", "bucketTable", ("/disk/disk",)),
    ("scm.db", "scm", "containers", ("OPEN", "CLOSED")),
    ("scm.db", "scm", "pipelines", ("RATIS",)),
    ("container.db", "datanode", "block_data", ("chunkName_",)),
    ("container.db", "datanode", "metadata", ("#BLOCKCOUNT",)),
)


def disk(setting):
    """The genuine tools read our databases and container files."""
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        home = bucket(setting, client, "disk")
        random_file(client.work / "five", 5 * MIB)
        for factor in ("ONE", "THREE"):
            setting.must(client, f"sh key put {home}/{factor} five -t RATIS -r {factor}")
        cluster.stop()
        with contextlib.closing(clients.JavaClient(cluster.conf, client.work)) as tool:
            for name, golden, table, wanted in SCANS:
                read_database(setting, tool, cluster.find(name)[0], golden, table, wanted)
            read_containers(setting, tool, cluster)


def read_database(setting, tool, path, golden, table, wanted):
    families = tool(["debug", "ldb", f"--db={path}", "list_column_families"]).out.split()
    missing = golden_tables(GOLDEN / golden / "rows.tsv") - set(families)
    setting.report.check(f"{path.name} has the genuine tables", not missing, f"missing: {missing}")
    scan = tool(["debug", "ldb", f"--db={path}", "scan", f"--cf={table}"])
    setting.report.check(f"debug ldb scan reads {table} of {path.name}",
                         scan.code == 0 and any(word in scan.out for word in wanted), scan.out[:1500] + scan.err)


def read_containers(setting, tool, cluster):
    volume = next(parent for parent in cluster.find("container.db")[0].parents if (parent / "VERSION").exists())
    files = list(volume.rglob("*.container"))
    # It verifies the checksum of each file, and leaves out those that it does not believe.
    listing = tool(["debug", "-D", f"hdds.datanode.dir={volume.parent}", "datanode", "container", "list"])
    setting.report.check("debug datanode container list believes our container files",
                         files and listing.out.count('"containerID"') == len(files), listing.out[:1500] + listing.err)


# Of two services in one configuration: the command, the exit code, and what the answer has to hold. {file} is a local file.
SERVICES = [
    ("sh volume create o3://first/one", 0, ""),
    ("sh volume create o3://second/two", 0, ""),
    ("sh volume list o3://first/", 0, '"one"'),
    ("sh volume list o3://second/", 0, '"two"'),
    ("sh volume info o3://second/one", 255, "VOLUME_NOT_FOUND"),
    ("sh volume info /one", 255, "Service ID or host name must not be omitted when multiple ozone.om.service.ids is defined."),
    ("sh volume info o3://first:9862/one", 255, "is a logical (HA) OzoneManager and does not use port information"),
    ("sh bucket create o3://first/one/fso --layout FILE_SYSTEM_OPTIMIZED", 0, ""),
    ("sh bucket create o3://second/two/leg --layout LEGACY", 0, ""),
    ("sh key put o3://first/one/fso/key file", 0, ""),
    ("sh key get o3://first/one/fso/key back1", 0, ""),
    ("fs -mkdir -p ofs://first/one/fso/dir", 0, ""),
    ("fs -put file ofs://second/two/leg/put", 0, ""),
    ("fs -cp ofs://second/two/leg/put ofs://first/one/fso/dir/copy", 0, ""),
    ("fs -cat ofs://first/one/fso/dir/copy", 0, "several services"),
    ("fs -cat o3fs://leg.two.second/put", 0, "several services"),
    ("fs -ls -R ofs://first/one/fso", 0, "ofs://first/one/fso/dir/copy"),
    ("fs -ls o3fs://fso.one.first/dir", 0, "o3fs://fso.one.first/dir/copy"),
    ("fs -ls ofs://second/one", 1, ""),
    ("fs -rm -r -skipTrash ofs://first/one/fso/dir", 0, "Deleted ofs://first/one/fso/dir"),
    ("getconf -ozonemanagers", 0, ""),
]


def services(setting):
    """Our daemons under service ids: one SCM of a service, two Ozone Managers of two services; `ozone admin om`."""
    with started(Services(setting.ozone, setting.root / "cluster", {})) as cluster, setting.client(cluster) as client:
        (client.work / "file").write_text("several services\n")
        end = time.monotonic() + READY_SECONDS_MAX
        while client("sh volume create o3://first/probe".split()).code and time.monotonic() < end:
            time.sleep(0.2)
        for line, code, text in SERVICES:
            answer = client(line.split())
            while line.startswith("sh key put") and answer.code and time.monotonic() < end:
                time.sleep(0.2)
                answer = client(line.split())
            setting.report.check(f"{line}: exit code {code}, {text}",
                                 answer.code == code and text in answer.out + answer.err,
                                 f"exit code {answer.code}\n{answer.out}{answer.err[-1500:]}")
        setting.report.check("the key comes back", (client.work / "back1").read_text() == "several services\n")
        operators.run(setting, cluster, client)


def endpoints(setting):
    """Each daemon's HTTP port; metrics that move; log levels; one trace id from client to disk."""
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        bucket(setting, client, "endpoints")
        http_endpoints.run(setting, cluster, client)


def checksums(setting):
    """Checksums of files and keys are those of their content, in both modes of Hadoop."""
    with setting.cluster({"ozone.scm.block.size": f"{content_checksums.BLOCK_BYTES // MIB}MB"}) as cluster:
        with setting.client(cluster) as client:
            await_ready(setting, cluster, client)
            content_checksums.run(setting, cluster, client)


def law(setting):
    """What one client writes into a bucket under GDPR the other one reads, and nobody is shown the secret."""
    with setting.cluster() as cluster, setting.client(cluster) as client:
        await_ready(setting, cluster, client)
        own = clients.OwnClient(setting.ozone, cluster.conf, client.work)
        setting.must(client, "sh volume create law")
        setting.must(client, "sh bucket create law/law --layout OBJECT_STORE --enforcegdpr")
        for size in (0, 1, 15, 16, 5 * MIB + 3):
            source, back = client.work / f"law{size}", client.work / "back"
            random_file(source, size)
            for name, writer, reader in (("java", client, own), ("ours", own, client)):
                key = f"law/law/{name}{size}"
                setting.must(writer, f"sh key put {key} {source.name} -t RATIS -r ONE")
                setting.must(reader, f"sh key get {key} back --force")
                setting.report.check(f"{key} comes back", back.read_bytes() == source.read_bytes())
        for asked in (client, own):
            info = json.loads(setting.must(asked, "sh key info law/law/ours1"))
            setting.report.check(f"{asked.name} shows no secret", info["metadata"] == {"gdprEnabled": "true"}, info["metadata"])
            setting.report.check(f"{asked.name} tells the stored size", info["dataSize"] == 16, info["dataSize"])


TRANSCRIBED = ("getconf", "volume", "bucket", "key", "fs", "fs-more", "sh-more")
# Odd command lines, in an order in which none sees volumes of another that it does not expect.
ODD = ("fs-names", "fs-copies", "fs-trash", "sh-options", "fs-options")
CASES = {name: replay(name) for name in (*TRANSCRIBED, *ODD)} | {"odd": replay(*ODD)} | {
    "sizes": sizes, "freon": freon, "both-freons": both_freons, "listing": listing, "restart": restart, "daemons": daemons,
    "disk": disk, "endpoints": endpoints, "services": services, "checksums": checksums, "law": law}
# These judge by a Java tool, whichever client does the rest.
NEEDS_JAVA = {"freon", "both-freons", "listing", "disk", "endpoints", "checksums", "law"}


# These judge our own commands: the Java ones gave the answers.
OWN_ONLY = {"odd"}


def left_out(name, client):
    """Whether a case only runs when it is named."""
    return name in ODD or name in (NEEDS_JAVA if client == "ours" else OWN_ONLY)


def run(name, setting):
    if not setting.options.names and left_out(name, setting.options.client):
        return
    try:
        CASES[name](setting)
    except Exception:  # noqa: BLE001  a case that breaks down is a failed case, and the others still run
        setting.report.check(f"{name} runs to its end", False, traceback.format_exc())
