"""The two clients a transcript can be replayed with: the published Java one and our own `ozone`."""
import os
import pathlib
import subprocess
import urllib.parse

from transcript import Answer

HERE = pathlib.Path(__file__).resolve().parent
JAVA = HERE / "ozone-java"
# Longest time one command may take; a put of a full block on a busy machine takes a fraction of it.
COMMAND_SECONDS_MAX = 300


class JavaClient:
    """One JVM that runs the commands one after the other; see Commands.java."""

    name = "java"

    def __init__(self, conf, cwd):
        self.conf = conf
        self.cwd = cwd
        self.process = subprocess.Popen([str(JAVA), "--config", str(conf), str(HERE / "Commands.java")], cwd=cwd,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def __call__(self, words, stdin=""):
        request = " ".join(urllib.parse.quote_plus(word) for word in [stdin, *words])
        self.process.stdin.write(request.encode() + b"\n")
        self.process.stdin.flush()
        head = self.process.stdout.readline()
        if not head:
            raise RuntimeError(f"the Java client ended with {self.process.wait()} during: {' '.join(words)}")
        code, out, err = (int(n) for n in head.split())
        return Answer(code, self._text(out), self._text(err))

    def _text(self, size):
        return self.process.stdout.read(size).decode(errors="replace")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class OwnClient:
    """Our binary, a process a command."""

    name = "ours"

    def __init__(self, binary, conf, cwd):
        self.command = [str(binary), "--config", str(conf)]
        self.cwd = cwd

    def __call__(self, words, stdin=""):
        done = subprocess.run([*self.command, *words], cwd=self.cwd, input=stdin.encode(), capture_output=True,
                              timeout=COMMAND_SECONDS_MAX, check=False)
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def close(self):
        pass


def java(conf, *words, cwd=None, heap="1g"):
    """One genuine command in a JVM of its own, for what does not end cleanly inside another one (freon, debug)."""
    environment = os.environ | {"OZONE_JAVA_HEAP": heap}
    done = subprocess.run([str(JAVA), "--config", str(conf), *words], cwd=cwd, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=COMMAND_SECONDS_MAX, check=False)
    return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
