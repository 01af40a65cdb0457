"""Transcripts: commands with what the genuine client answered, replayed against whatever cluster and client are chosen.

    # a comment
    % random big 31457280          a step of the runner itself (see `own_step` in cases.py)
    % let f ofs://{om}/vol/fso     from here on {f} in a line stands for that; {om} is the address of the Ozone Manager
    $ sh key put v/b/k big         a command of `ozone`
    $ fs -put - {f}/typed < words  the same, with a line on its standard input
    | a line on standard output
    ! a line on standard error
    = 255                          the exit code, left out when it is 0

Recording writes the answers under the commands; replaying compares them. Both mask what differs from run to run first, so a
recorded file holds no ids, times or addresses.
"""
import difflib
import json
import re
import shlex
from dataclasses import dataclass, field

# A warning of a client's own logging, and the stack trace below it: not the command's words, and different in every client.
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[,.]\d+Z? +(TRACE|DEBUG|INFO|WARN|ERROR|FATAL) ")
STACK_LINE = re.compile(r"^(\s+at |Caused by: |\s+\.\.\. \d+ more)")

MASKS = [
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?"), "<time>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r'("(?:containerID|localID|generation|objectID|updateID)" : )-?\d+'), r"\1<n>"),
    (re.compile(r"\b127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?\b"), "<time>"),
    (re.compile(r"file:/\S*/work\b"), "file:<work>"),
    (re.compile(r"(?<=[ `])/\S*/work\b"), "<work>"),
    # What the trash puts behind a name that is taken.
    (re.compile(r"(?<=[a-z])1\d{12}\b"), "<now>"),
    # Java looks for the name of an address, and what it finds depends on the machine.
    (re.compile(r"^(localhost|127\.0\.0\.1)$"), "<host>"),
]

# Java writes these two in an order that depends on the run.
ACL_FIELDS = re.compile(r'^( *)("aclSet" : .*),\n *("aclList" : .*)$', re.MULTILINE)

# What names a user and a group without quotes: a line of `fs -ls`, or of `fs -getfacl`.
OWNED = re.compile(r"^([d-][rwxtT-]{9}[+ ] +\S+ |# (?:owner|group): )")

# How picocli ends on a wrong command line.
USAGE_CODE = 2


@dataclass
class Answer:
    """What a command printed and how it ended."""

    code: int = 0
    out: str = ""
    err: str = ""


@dataclass
class Step:
    """One command, or one step of the runner, with the recorded answer."""

    line: str
    number: int
    comments: list = field(default_factory=list)
    expected: Answer = field(default_factory=Answer)

    @property
    def words(self):
        return self.command({})[0]

    def command(self, names):
        """The words of the line, with names of `% let` replaced, and what comes in on standard input."""
        line, _, typed = self.line[2:].partition(" < ")
        for name, value in names.items():
            line = line.replace(f"{{{name}}}", value)
        return shlex.split(line), typed + "\n" if typed else ""

    @property
    def own(self):
        return self.line.startswith("% ")


def parse(text):
    steps, comments = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(("$ ", "% ")):
            steps.append(Step(line, number, comments))
            comments = []
        elif line.startswith("#") or not line:
            comments.append(line)
        elif line.startswith("|"):
            steps[-1].expected.out += line[2:] + "\n"
        elif line.startswith("!"):
            steps[-1].expected.err += line[2:] + "\n"
        elif line.startswith("= "):
            steps[-1].expected.code = int(line[2:])
        else:
            raise ValueError(f"line {number} of a transcript is none of '# % $ | ! =': {line}")
    return steps


def render(answer, names):
    """The lines that stand below a command in a transcript."""
    lines = []
    for mark, text in (("|", answer.out), ("!", answer.err)):
        lines += [f"{mark} {line}".rstrip() for line in mask(text, names)]
    return lines + ([f"= {answer.code}"] if answer.code else [])


def mask(text, names):
    """The lines of a text without what differs from run to run; `names` are those of the user and of its group."""
    lines, in_log = [], False
    for line in ACL_FIELDS.sub(r"\1\3,\n\1\2", text).splitlines():
        in_log = bool(LOG_LINE.match(line)) or in_log and bool(STACK_LINE.match(line))
        if in_log:
            continue
        if line.startswith("Usage: "):  # also what follows the first line of a wrong `fs` command
            # Help is each client's own wording, and the rest of what it prints.
            lines.append("<usage>")
            break
        for pattern, mark in MASKS:
            line = pattern.sub(mark, line)
        for name in names:
            line = line.replace(f'"{name}"', '"<user>"')
            if OWNED.match(line):
                line = re.sub(rf" {re.escape(name)}(?= |$)", " <user>", line)
        lines.append(line)
    return lines


def difference(step, answer, names, ours):
    """What is different, as a diff to read, or nothing.

    Help and version texts are each client's own: only that there is one is compared. So is what follows the first line about a
    wrong command line.
    """
    expected, got = before_trace(render(step.expected, ())), before_trace(render(answer, names))
    if ours and ("<usage>" in step.expected.out or step.words[-1] == "--version"):
        expected, got = ["| <usage>"], ["| <usage>"] if answer.out and not answer.code else got
    elif ours and step.expected.code == USAGE_CODE:
        expected, got = expected[:1] + expected[-1:], got[:1] + got[-1:]
    if expected == got or same_json(expected, got):
        return ""
    return "\n".join(difflib.unified_diff(expected, got, "genuine", "here", lineterm="", n=2))


def before_trace(lines):
    """Without what follows "Fatal internal error": the Java client's exception and stack, our own words."""
    for at, line in enumerate(lines):
        if line.endswith(": Fatal internal error"):
            return lines[:at + 1] + lines[-1:]
    return lines


def same_json(expected, got):
    """Whether two rendered answers are the same JSON, with the members of objects in any order.

    The Java client finds the members of an object by reflection, in an order that now and then changes from one run to the next.
    """

    def value(answer):
        printed = [line[2:] for line in answer if line.startswith("| ")]
        return json.loads(re.sub(r"(?<= : )<n>", "0", "\n".join(printed))), [line for line in answer if not line.startswith("| ")]

    try:
        return bool(expected) and expected[0] in ("| {", "| [ {") and value(expected) == value(got)
    except json.JSONDecodeError:
        return False
