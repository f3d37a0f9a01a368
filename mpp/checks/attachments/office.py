"""Office documents: macros, encryption, what they fetch or embed; and the files inside (MS-CFB, MS-XLS, MS-DOC, MS-PPT, ECMA-376)."""

import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import olefile

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import BombError, Flag, Member, UnreadableError

_EXTERNAL = re.compile(rb"<Relationship\b[^>]*>")
_HARMLESS_TARGET = re.compile(rb'Type="[^"]*/(?:hyperlink|subDocument)"')
# An embedded document is a file like others, as behind every chart; an object (oleObject1.bin) acts when it is clicked.
_DOCUMENTS = (".docx", ".xlsx", ".xlsb", ".pptx", ".doc", ".xls", ".ppt", ".vsdx", ".vsd", ".docm", ".xlsm", ".pptm")
_RECORDS = 100_000  # of a workbook looked at
_LARGEST = 64 << 20  # octets of one stream


def ole_flags(data: bytes) -> set[Flag]:
    """Return what an OLE document is. Raises UnreadableError."""
    flags: set[Flag] = set()
    with _opened(data) as ole:
        for path in ole.listdir(streams=True, storages=True):
            lower = [name.lower() for name in path]
            if lower[-1] in ("_vba_project", "vba") or lower[-1].startswith("vba"):
                flags.add(Flag.MACRO)
            elif lower[-1] in ("encryptioninfo", "encryptedpackage", "encryptedsummary"):
                flags.add(Flag.ENCRYPTED)
            elif lower[-1] in ("\x01ole10native", "package"):
                flags.add(Flag.ACTIVE)
        for name in ("Workbook", "Book"):
            if ole.exists(name):
                flags |= _workbook_flags(ole.openstream(name).read(_LARGEST))
        if ole.exists("WordDocument"):
            beginning = ole.openstream("WordDocument").read(12)
            if len(beginning) == 12 and struct.unpack_from("<H", beginning, 10)[0] & 0x0100:
                flags.add(Flag.ENCRYPTED)
        if ole.exists("Current User") and ole.openstream("Current User").read(16)[12:16] == b"\xdf\xc4\xd1\xf3":
            flags.add(Flag.ENCRYPTED)
    return flags


def ole_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files packed into an OLE document, and the attachments of an Outlook message (MS-OXMSG)."""
    with _opened(data) as ole:
        for path in ole.listdir(streams=True, storages=False):
            last = path[-1].lower()
            if last in ("\x01ole10native", "package"):
                meter.budget.entry()
                yield _packed(_read(ole, path, meter))
            elif last.startswith("__substg1.0_37010102"):
                meter.budget.entry()
                yield Member(_attachment_name(ole, path), _read(ole, path, meter))


@contextmanager
def _opened(data: bytes) -> Iterator[olefile.OleFileIO]:
    """Raises UnreadableError for all that olefile stumbles over: it has many errors, and knows no loops."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as ole:
            yield ole
    except (UnreadableError, BombError):
        raise
    except Exception as error:
        raise UnreadableError(f"OLE: {error}") from error


def _read(ole: olefile.OleFileIO, path: list[str], meter: Meter) -> bytes:
    meter.announced(ole.get_size(path))
    data: bytes = ole.openstream(path).read()
    meter.take(len(data))
    return data


def _packed(stream: bytes) -> Member:
    """Read an OLE package (MS-OLEDS, 2.3.6; the layout of packager.exe): label, path, then the content."""
    match = re.match(rb"....\x02\x00([^\0]*)\0([^\0]*)\0..\x03\x00....([^\0]*)\0(....)", stream, re.DOTALL)
    if match is None:
        return Member("package", stream)
    size = struct.unpack("<I", match[4])[0]
    return Member(match[1].decode("latin-1"), stream[match.end() : match.end() + size])


def _attachment_name(ole: olefile.OleFileIO, path: list[str]) -> str:
    for prefix in ("__substg1.0_3707", "__substg1.0_3704", "__substg1.0_3001"):
        for kind, charset in (("001F", "utf-16-le"), ("001E", "latin-1")):
            place = [*path[:-1], prefix + kind]
            if ole.exists(place):
                name: str = ole.openstream(place).read(1024).decode(charset, "replace").rstrip("\0")
                return name
    return path[0]


def _workbook_flags(stream: bytes) -> set[Flag]:
    """Walk the records of a workbook (MS-XLS, 2.4): FilePass means encrypted, a BoundSheet of type 1 Excel 4 macros."""
    flags: set[Flag] = set()
    at = 0
    for _ in range(_RECORDS):
        if at + 4 > len(stream):
            break
        kind, size = struct.unpack_from("<HH", stream, at)
        body = stream[at + 4 : at + 4 + size]
        if kind == 0x002F:
            flags.add(Flag.ENCRYPTED)
        elif kind == 0x0085 and len(body) > 5 and body[5] == 1:
            flags.add(Flag.MACRO)
        at += 4 + size
    return flags


def ooxml_flags(name: str, part: bytes) -> set[Flag]:
    """Return what one part of an OOXML or OpenDocument package makes of the whole."""
    lower = name.lower()
    flags: set[Flag] = set()
    if (
        lower.endswith(("vbaproject.bin", "vbadata.xml"))
        or "/macrosheets/" in lower
        or (lower.startswith(("basic/", "scripts/")) and lower.endswith((".xml", ".py", ".js", ".bsh")))
    ):
        flags.add(Flag.MACRO)
    elif "/activex/" in lower or ("/embeddings/" in lower and not lower.endswith(_DOCUMENTS)):
        flags.add(Flag.ACTIVE)
    elif lower.endswith(".rels"):
        for relation in _EXTERNAL.findall(part):
            if b'TargetMode="External"' in relation and not _HARMLESS_TARGET.search(relation):
                flags.add(Flag.ACTIVE)
    return flags


_SYLK = re.compile(
    rb"^(?:O;[^\r\n]*E|NN;N(?i:auto_?(?:open|close))|C;[^\r\n]*;E(?i:EXEC|CALL|REGISTER|RUN)\()", re.MULTILINE
)


def sylk_flags(data: bytes) -> set[Flag]:
    """A SYLK file can hold Excel 4 macros, which open with the sheet."""
    return {Flag.MACRO} if _SYLK.search(data) else set()
