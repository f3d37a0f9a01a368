"""What it costs to look into attachments: CPU of this process and of the confined one, and what a bomb takes of both.

The 300 KiB mail is the one of the other benches (octets by chance, named as a PDF), and one with a PDF as programs write them. A
mail without attachments is what most mails are: nothing of it goes to the confined process. The bomb is like 42.zip: 16 zips of 16
zips, five deep, with zeros at the bottom; each would unpack to some petabytes.
"""

import base64
import io
import os
import random
import time
import zipfile
import zlib
from pathlib import Path
from statistics import median

from bench.messages import shapes
from bench.results import Row, at_most, short
from bench.stand import Stand
from mpp.checks.attachments.helper import Helper
from mpp.checks.attachments.item import File, Flag, Limits
from mpp.checks.attachments.mails import attached_files
from mpp.mail.message import Message

_TOKEN = b"0123456789abcdef"
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def attachments(stand: Stand) -> list[Row]:
    with stand.server.on(), Helper() as helper:  # the helper's processes stay on the same core
        helper.start()
        rounds = 40 if stand.quick else 200
        rows = [
            at_most(f"inspection, {name}", _cost(raw, helper, rounds) * 1000, 4, "ms")
            for name, raw in (
                ("300k of octets", shapes()["300k"].with_token(_TOKEN)),
                ("300k PDF", pdf_mail(300 << 10)),
            )
        ]
        plain = {shape: _plain(shape, rounds) * 1e6 for shape in ("2k", "20k")}
        rows.append(at_most("inspection, 2k of text", plain["2k"], 50, "us"))
        rows.append(Row("inspection, 20k newsletter", f"{short(plain['20k'])} us", values={"value": plain["20k"]}))
        return [*rows, *_bomb(), _fork(helper)]


def _cost(raw: bytes, helper: Helper, rounds: int) -> float:
    """Return seconds of CPU for a mail, of both processes; reading its structure is left out, as the gateway has done that."""
    messages = [Message(raw) for _ in range(rounds)]
    for message in messages:
        message.leaves()
    before = time.process_time() + _cpu_s(helper.pid)
    for message in messages:
        if any(Flag.UNCHECKED in item.flags for item in helper.inspect(attached_files(message), Limits())):
            raise RuntimeError("not inspected")
    return (time.process_time() + _cpu_s(helper.pid) - before) / rounds


def _plain(shape: str, rounds: int) -> float:
    """Return seconds of CPU for a mail of which nothing has to be inspected; its structure has been read, as in `_cost`."""
    costs = []
    for _ in range(5):
        messages = [Message(shapes()[shape].with_token(_TOKEN)) for _ in range(rounds)]
        for message in messages:
            message.leaves()
        began = time.process_time()
        found = [file for message in messages for file in attached_files(message)]
        costs.append((time.process_time() - began) / rounds)
        if found:
            raise RuntimeError("there is something to inspect")
    return median(costs)


def _bomb() -> list[Row]:
    data = bomb()
    seconds, kibibytes, grown = [], [], []
    for _ in range(5):
        with Helper() as helper:  # a fresh one: what it takes is its own
            helper.start()
            before, began = _memory(helper.pid, "VmRSS"), time.monotonic()
            cpu = _cpu_s(helper.pid)
            items = helper.inspect([File("1", "42.zip", "", data)], Limits())
            seconds.append(min(time.monotonic() - began, _cpu_s(helper.pid) - cpu + _TICK_S))
            kibibytes.append(_memory(helper.pid, "VmHWM"))
            grown.append(kibibytes[-1] - before)
            if Flag.BOMB not in items[0].flags:
                raise RuntimeError("the bomb was not seen")
    return [
        at_most("42.zip-like bomb, time", median(seconds) * 1000, 100, "ms", all=seconds),
        at_most("42.zip-like bomb, memory on top", median(grown) / 1024, 64, "MiB", all=grown, whole=kibibytes),
    ]


def _fork(helper: Helper) -> Row:
    """How long the next inspection waits where the process has to be replaced."""
    took = []
    for _ in range(11):
        helper.restart()
        began = time.monotonic()
        helper.start()
        took.append(time.monotonic() - began)
    return Row("a fresh confined process", f"{short(median(took) * 1000)} ms", values={"all": took})


def pdf_mail(size: int) -> bytes:
    """A mail of that size with a PDF: pages of packed text, pictures, a table of objects."""
    draw = random.Random(42)
    body, number = [b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"], 0
    room = size * 57 // 78 - 2000
    while sum(map(len, body)) < room:
        number += 1
        if number % 4:
            words = b" ".join(b"(%x) Tj" % draw.getrandbits(40) for _ in range(600))
            stream, kind = zlib.compress(words), b"/Filter /FlateDecode"
        else:
            stream, kind = draw.randbytes(20_000), b"/Type /XObject /Subtype /Image /Filter /DCTDecode"
        body.append(b"%d 0 obj\n<< %b /Length %d >>\nstream\n" % (number, kind, len(stream)))
        body.append(stream + b"\nendstream\nendobj\n")
    body.append(b"%d 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer << /Root %d 0 R >>\n%%%%EOF\n" % (number, number))
    return (
        b"From: a@example.com\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n"
        b'Content-Type: application/pdf; name="report.pdf"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.encodebytes(b"".join(body)).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )


def bomb() -> bytes:
    data = _zipped({"zeros": bytes(256 << 20)})
    for level in range(5):
        data = _zipped({f"{level}-{n}.zip": data for n in range(16)})
    return data


def _zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return target.getvalue()


def _cpu_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) * _TICK_S


def _memory(pid: int, what: str) -> int:
    """Return kibibytes."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1])
