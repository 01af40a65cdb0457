"""Hadoop's own key management server, from its jars on Maven Central."""
import json
import os
import pathlib
import subprocess
import time
import urllib.request

from cluster import HOST, free_ports, write_site

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "ozonide-interop"
START_SECONDS_MAX = 120
CALL_SECONDS_MAX = 10


def class_path():
    """The jars, resolved once."""
    found = CACHE / "kms-classpath"
    if not found.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = CACHE / "kms-classpath.new"
        subprocess.run(["mvn", "-q", "-B", "-f", str(HERE / "kms.xml"), "dependency:build-classpath",
                        f"-Dmdep.outputFile={fresh}"], check=True)
        fresh.rename(found)
    return found.read_text()


class Kms:
    """A server with keys in a file. Who may decrypt with key `closed` is nobody of this host."""

    def __init__(self, root):
        self.root = root
        self.port = free_ports(1)
        self.process = None

    @property
    def provider(self):
        return f"kms://http@{HOST}:{self.port}/kms"

    def start(self):
        conf = self.root / "conf"
        write_site(conf, {})
        (conf / "ozone-site.xml").rename(conf / "core-site.xml")
        self._write(conf / "kms-site.xml", {
            "hadoop.kms.key.provider.uri": f"jceks://file@{self.root}/keys.jceks",
            "hadoop.kms.http.host": HOST,
            "hadoop.kms.http.port": self.port,
        })
        operations = ("MANAGEMENT", "GENERATE_EEK", "DECRYPT_EEK", "READ")
        rights = {f"default.key.acl.{name}": "*" for name in operations} | {f"key.acl.closed.{name}": "*" for name in operations}
        self._write(conf / "kms-acls.xml", rights | {"key.acl.closed.DECRYPT_EEK": "nobody-of-this-host"})
        options = [f"-Dkms.config.dir={conf}", f"-Dkms.log.dir={self.root}", f"-Dhadoop.log.dir={self.root}",
                   f"-Dlog4j.configuration=file:{HERE / 'log4j.properties'}", f"-Dhadoop.tmp.dir={self.root / 'tmp'}"]
        with (self.root / "kms.log").open("wb") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx256m", "--add-opens", "java.base/java.lang=ALL-UNNAMED", *options,
                 "-cp", f"{conf}:{class_path()}", "org.apache.hadoop.crypto.key.kms.server.KMSWebServer"],
                env=os.environ | {"HADOOP_KEYSTORE_PASSWORD": "none"}, cwd=self.root,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS_MAX
        while True:
            try:
                return self._call("keys/names")
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise RuntimeError(f"the key management server did not start: {self.root}/kms.log") from None
                time.sleep(0.2)

    def create(self, name, bits):
        self._call("keys", {"name": name, "cipher": "AES/CTR/NoPadding", "length": bits})

    def roll(self, name):
        """A new version of a key: what was encrypted before must stay readable."""
        self._call(f"key/{name}", {})

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def _call(self, path, body=None):
        request = urllib.request.Request(f"http://{HOST}:{self.port}/kms/v1/{path}?user.name=root",
                                         headers={"Content-Type": "application/json"},
                                         data=None if body is None else json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=CALL_SECONDS_MAX) as answer:
            return json.load(answer)

    @staticmethod
    def _write(path, settings):
        scratch = path.parent / "scratch"
        write_site(scratch, settings)
        (scratch / "ozone-site.xml").rename(path)
