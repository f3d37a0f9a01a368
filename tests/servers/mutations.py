"""Files to begin a fuzzing with, one of each kind that is opened, and what is done to them."""

import base64
import bz2
import gzip
import lzma
import random
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import libarchive
import zstandard

from servers.attachments import EICAR, PROGRAM, mail, ole, packed, szdd, tarred, tnef, word, zipped

_WORDS = b"Only words, nothing to be feared.\n" * 20
_FILES = {"note.txt": _WORDS, "setup.exe": PROGRAM}
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seeds() -> dict[str, bytes]:
    """Return the files by name. Kinds whose packer is not installed are left out."""
    made = {
        "a.zip": zipped(_FILES),
        "nested.zip": zipped({"inner.zip": zipped(_FILES), "b.tar.gz": tarred(_FILES, mode="w:gz")}),
        "a.tar": tarred(_FILES, {"link": "/etc/passwd"}),
        "a.gz": gzip.compress(_WORDS),
        "a.bz2": bz2.compress(_WORDS),
        "a.xz": lzma.compress(_WORDS),
        "a.lzma": lzma.compress(_WORDS, lzma.FORMAT_ALONE),
        "a.zst": zstandard.compress(_WORDS),
        "a.docm": word(
            {"word/vbaProject.bin": ole({"VBA": _WORDS}), "word/_rels/document.xml.rels": b"<Relationship/>"}
        ),
        "a.doc": ole({"WordDocument": bytes(10) + b"\0\1", "\1Ole10Native": _package("x.exe", PROGRAM)}),
        "a.xls": ole({"Workbook": struct.pack("<HHIBB", 0x85, 6, 0, 0, 1) + bytes(40)}),
        "a.msg": ole({"__substg1.0_37010102": EICAR, "__substg1.0_3707001F": "a.com".encode("utf-16-le")}),
        "a.pdf": _pdf(),
        "a.rtf": b"{\\rtf1{\\object\\objemb{\\*\\objdata " + ole({"x": b"y"})[:600].hex().encode() + b"}}}",
        "a.html": b'<html><script>var b="' + base64.b64encode(zipped(_FILES)) + b'"</script></html>',
        "a.svg": b'<svg><image href="data:image/svg+xml;base64,'
        + base64.b64encode(b"<svg><script/></svg>")
        + b'"/></svg>',
        "winmail.dat": tnef("setup.exe", PROGRAM),
        "a.eml": mail("a.zip", zipped(_FILES)),
        "a.uu": b"begin 644 a.txt\n#0V%T\n`\nend\n",
        "a.ex_": szdd(PROGRAM),
        "a.one": bytes.fromhex("e4525c7b8cd8a74daeb15378d02996d3e716e3bd65261145a4c48d4d0b7a9eac")
        + struct.pack("<Q", len(PROGRAM))
        + bytes(12)
        + PROGRAM,
        "a.mso": b"ActiveMime\0\0" + bytes(38) + zlib.compress(ole({"VBA": _WORDS})),
        "a.csv": b"name,sum\n=cmd|'/c calc.exe'!A1,3\n",
        "a.slk": b"ID;P\nO;E\nNN;NAuto_open;ER101C1\n",
    }
    made |= {f"a.{name}": _by_libarchive(name) for name in ("iso9660", "cpio", "7zip", "xar", "warc", "ar_svr4")}
    return made | _by_programs()


def _package(name: str, data: bytes) -> bytes:
    text = name.encode() + b"\0"
    return bytes(4) + b"\2\0" + text + text + b"\0\0\3\0" + bytes(4) + text + struct.pack("<I", len(data)) + data


def _pdf() -> bytes:
    packed_objects = zlib.compress(b"3 0 << /S /JavaScript /JS (app.alert) >>")
    embedded = zlib.compress(EICAR)
    return b"".join(
        (
            b"%PDF-1.5\n1 0 obj\n<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode >>\nstream\n",
            packed_objects,
            b"\nendstream\nendobj\n2 0 obj\n<< /Type /EmbeddedFile /Filter /FlateDecode >>\nstream\n",
            embedded,
            b"\nendstream\nendobj\n%%EOF",
        )
    )


def _by_libarchive(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive"
        with libarchive.file_writer(str(path), name) as archive:
            for member, data in _FILES.items():
                archive.add_file_from_memory(member, len(data), data)
        return path.read_bytes()


def _by_programs() -> dict[str, bytes]:
    commands = {
        "a.7z": ["7z", "a", "-bd"],
        "ppc.7z": ["7z", "a", "-bd", "-m0=PPC", "-m1=LZMA"],
        "locked.7z": ["7z", "a", "-bd", "-pletmein"],
        "a.wim": ["7z", "a", "-bd", "-twim"],
        "a.arj": ["arj", "a"],
        "locked.zip": ["zip", "-q", "-P", "letmein"],
    }
    made = {}
    for name, command in commands.items():
        if shutil.which(command[0]):
            with tempfile.TemporaryDirectory() as folder:
                made[name] = packed(Path(folder), command, name, _WORDS)
    return made


def mutated(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """Return the file with one to four things done to it."""
    octets = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        draw.choice(_MUTATIONS)(octets, other, draw)
    return bytes(octets)


def _flip(octets: bytearray, other: bytes, draw: random.Random) -> None:
    if octets:
        octets[draw.randrange(len(octets))] ^= 1 << draw.randrange(8)


def _set_number(octets: bytearray, other: bytes, draw: random.Random) -> None:
    """Put a number at which counting goes wrong where a length may be."""
    size = draw.choice((1, 2, 4))
    at = draw.randrange(max(1, len(octets)))
    number = draw.choice(_EXTREMES) & ((1 << 8 * size) - 1)
    octets[at : at + size] = number.to_bytes(size, draw.choice(("little", "big")))


def _cut(octets: bytearray, other: bytes, draw: random.Random) -> None:
    del octets[draw.randrange(len(octets) + 1) :]


def _take_out(octets: bytearray, other: bytes, draw: random.Random) -> None:
    at = draw.randrange(len(octets) + 1)
    del octets[at : at + draw.randint(1, 64)]


def _double(octets: bytearray, other: bytes, draw: random.Random) -> None:
    at = draw.randrange(len(octets) + 1)
    octets[at:at] = octets[at : at + draw.randint(1, 512)]


def _splice(octets: bytearray, other: bytes, draw: random.Random) -> None:
    octets[draw.randrange(len(octets) + 1) :] = other[draw.randrange(len(other) + 1) :]


_MUTATIONS: tuple[Callable[[bytearray, bytes, random.Random], None], ...] = (
    *(_flip, _flip, _set_number, _set_number, _cut),
    *(_take_out, _double, _splice),
)
