"""Checksums of files and keys: what the client says has to be what the content says.

Both ways to combine the checksums of chunks, over ofs, o3fs and `sh key checksum`, at the edges of CRC, chunk and block.
"""
import hashlib
import json
import random
import zlib

import clients

MIB = 1 << 20
BLOCK_BYTES = 16 * MIB
CRC_BYTES = 16 << 10
# A file system of the Java client keeps the settings of its first use unless it is not kept.
MD5_MODE = ("-D fs.ofs.impl.disable.cache=true -D fs.o3fs.impl.disable.cache=true "
            "-D ozone.client.checksum.combine.mode=MD5MD5CRC")
# Nothing, one byte, one CRC and a byte more, one chunk and a byte more, two blocks, three blocks (the genuine client digests its
# buffer of block checksums with the unused rest, which begins at three).
SIZES = (0, 1, CRC_BYTES, CRC_BYTES + 1, 4 * MIB, 4 * MIB + 1, BLOCK_BYTES + 5, 2 * BLOCK_BYTES + CRC_BYTES + 1)
# What Everything.java uploads in two parts.
PARTS = (b"b" * (5 << 20), b"c" * 1000)
EMPTY = ("MD5-of-0MD5-of-0CRC32", f"{0:024x}{hashlib.md5(bytes(32)).hexdigest()}")


def crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC32C_TABLE = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC32C_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def composite(content, name="CRC32", crc=zlib.crc32):
    """Algorithm and value of the CRC over everything."""
    return (f"COMPOSITE-{name}", f"{crc(content):08x}") if content else EMPTY


def md5_of_md5(blocks, name="CRC32", crc=zlib.crc32):
    """Algorithm and value of the MD5 of the MD5s of the CRCs, block by block."""
    if not any(blocks):
        return EMPTY
    sums = b""
    for block in blocks:
        pieces = (block[at:at + CRC_BYTES] for at in range(0, len(block), CRC_BYTES))
        sums += hashlib.md5(b"".join(crc(piece).to_bytes(4, "big") for piece in pieces)).digest()
    room = 32
    while room < len(sums):
        room *= 2
    digest = hashlib.md5(sums.ljust(room, b"\0")).hexdigest()
    return f"MD5-of-0MD5-of-{CRC_BYTES}{name}", f"{CRC_BYTES:08x}{0:016x}{digest}"


def buffered(checksum):
    """`sh key checksum` shows the whole buffer that an MD5 was written to."""
    name, value = checksum
    return name, value if name.startswith("COMPOSITE") else value.ljust(64, "0")


class Judge:
    """Asks clients for checksums, and compares."""

    def __init__(self, setting, asked):
        self.setting = setting
        self.clients = asked

    def says(self, line, expected):
        for client in self.clients:
            answer = client(line.split())
            said = tuple(answer.out.rstrip("\n").split("\t")[1:]) if " -checksum " in line else self.of_json(answer)
            self.setting.report.check(f"{client.name}: {line}: {expected}", answer.code == 0 and said == expected,
                                      f"{said}\n{answer.err[-2000:]}")

    @staticmethod
    def of_json(answer):
        found = json.loads(answer.out) if answer.code == 0 else {}
        return found.get("algorithm"), found.get("checksum", "").lower()

    def file(self, url, content, blocks, **kind):
        self.says(f"fs -checksum {url}", composite(content, **kind))
        self.says(f"fs {MD5_MODE} -checksum {url}", md5_of_md5(blocks, **kind))

    def key(self, address, content, blocks, **kind):
        self.says(f"sh key checksum {address}", buffered(composite(content, **kind)))
        self.says(f"sh key checksum -c MD5MD5CRC {address}", buffered(md5_of_md5(blocks, **kind)))


def cut(content):
    return [content[at:at + BLOCK_BYTES] for at in range(0, len(content), BLOCK_BYTES)]


def run(setting, cluster, client):
    asked = [client]
    # Beside the Java client ours, unless this is about the Java daemons too.
    if client.name == "java" and setting.ozone and setting.ozone != clients.JAVA:
        asked.append(clients.OwnClient(setting.ozone, cluster.conf, client.work))
    judge = Judge(setting, asked)
    om = cluster.om
    setting.must(client, "sh volume create sums")
    for name, layout in (("fso", "FILE_SYSTEM_OPTIMIZED"), ("leg", "LEGACY"), ("obs", "OBJECT_STORE")):
        setting.must(client, f"sh bucket create sums/{name} --layout {layout}")
    for size in SIZES:
        content = random.Random(size).randbytes(size)
        blocks = cut(content)
        (client.work / f"sum{size}").write_bytes(content)
        setting.must(client, f"fs -put sum{size} ofs://{om}/sums/fso/file{size}")
        judge.file(f"ofs://{om}/sums/fso/file{size}", content, blocks)
        judge.key(f"sums/fso/file{size}", content, blocks)
    # Of another file system, and another store, what of the largest was seen is enough.
    setting.must(client, f"fs -put sum{size} o3fs://leg.sums.{om}/file")
    judge.file(f"o3fs://leg.sums.{om}/file", content, blocks)
    setting.must(client, f"sh key put sums/obs/key sum{size} -t RATIS -r ONE")
    judge.key("sums/obs/key", content, blocks)
    other_crc(setting, client, judge)
    parts(setting, cluster, client, judge)


def other_crc(setting, client, judge):
    content = random.Random("c").randbytes(2 * CRC_BYTES + 7)
    (client.work / "castagnoli").write_bytes(content)
    setting.must(client, "sh -D ozone.client.checksum.type=CRC32C key put sums/obs/castagnoli castagnoli -t RATIS -r ONE")
    judge.key("sums/obs/castagnoli", content, [content], name="CRC32C", crc=crc32c)


def parts(setting, cluster, client, judge):
    """A key of two parts, made by the Java client: no command of ours makes one."""
    for verb in ("begin", "finish"):
        program = str(clients.HERE / "Everything.java")
        answer = clients.java(cluster.conf, program, verb, "sums", "two", "fso", cwd=client.work)
        setting.report.check(f"a multipart upload: {verb}", answer.code == 0, answer.err[-2000:])
    judge.file(f"ofs://{cluster.om}/sums/fso/upload-two", b"".join(PARTS), PARTS)
    judge.key("sums/fso/upload-two", b"".join(PARTS), PARTS)
