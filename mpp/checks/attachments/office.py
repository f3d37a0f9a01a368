"""Office documents: macros, encryption, what they fetch or embed; and the files inside (MS-CFB, MS-XLS, MS-DOC, MS-PPT, ECMA-376)."""

import html
import io
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import olefile

from mpp.checks.attachments import dde
from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inflated
from mpp.checks.attachments.item import BombError, Flag, Member, UnreadableError

# What stands in comments and sections of text is no tag, and a value may hold the end of one. All of these end somewhere, so that none is tried anew.
_TAG = re.compile(
    r"""<!--(?:[^-]++|-(?!->))*|<!\[CDATA\[(?:[^\]]++|\](?!\]>))*"""
    r"""|<(?:[^\s<>/:]{1,80}:)?(?:Relationship|Override)\b((?:[^>"']++|"[^"]*+"|'[^']*+')*)"""
)
_ATTRIBUTE = re.compile(r"""(?<![\w:])([\w:]++)\s*+=\s*+("[^"]*+"|'[^']*+')""")
_HARMLESS_TARGET = ("/hyperlink", "/subDocument")
_MACRO_TYPE = re.compile(r"(?:vbaProject|macrosheet)\b", re.IGNORECASE)
# An embedded document is a file like others, as behind every chart; an object (oleObject1.bin) acts when it is clicked.
_DOCUMENTS = (".docx", ".xlsx", ".xlsb", ".pptx", ".doc", ".xls", ".ppt", ".vsdx", ".vsd", ".docm", ".xlsm", ".pptm")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SLIDES_OBJECT = re.compile(rb"\x10\x00\x11\x10(....)....", re.DOTALL)  # packed; its size, the size unpacked
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
            text = ole.openstream("WordDocument").read(_LARGEST)
            if len(text) >= 12 and struct.unpack_from("<H", text, 10)[0] & 0x0100:
                flags.add(Flag.ENCRYPTED)
            if dde.in_word_stream(text):
                flags.add(Flag.MACRO)
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
            elif last == "powerpoint document":
                yield from _slides_objects(_read(ole, path, meter), meter)
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


def _slides_objects(stream: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the packed OLE storages of a presentation, as that of its macros (MS-PPT, 2.10.34: ExOleObjStg)."""
    for number, match in enumerate(_SLIDES_OBJECT.finditer(stream), 1):
        meter.budget.entry()
        size = struct.unpack("<I", match[1])[0]
        octets, whole = inflated(stream[match.end() : match.end() + size], meter)
        if octets.startswith(_OLE):
            yield Member(f"object-{number}", octets, set() if whole else {Flag.DAMAGED})


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
    """Walk the records of a workbook (MS-XLS, 2.4): FilePass means encrypted, a BoundSheet of type 1 Excel 4 macros, a SupBook perhaps DDE."""
    flags: set[Flag] = set()
    at = 0
    for _ in range(_RECORDS):
        if at + 4 > len(stream):
            break
        kind, size = struct.unpack_from("<HH", stream, at)
        body = stream[at + 4 : at + 4 + size]
        if kind == 0x002F:
            flags.add(Flag.ENCRYPTED)
        elif (kind == 0x0085 and len(body) > 5 and body[5] == 1) or (kind == 0x01AE and dde.in_sup_book(body)):
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
        or (lower.startswith("word/") and lower.endswith(".xml") and dde.in_word_xml(part))
        or dde.in_excel_xml(lower, part)
        or (lower.startswith(("basic/", "scripts/")) and lower.endswith((".xml", ".py", ".js", ".bsh")))
    ):
        flags.add(Flag.MACRO)
    elif "/activex/" in lower or ("/embeddings/" in lower and not lower.endswith(_DOCUMENTS)):
        flags.add(Flag.ACTIVE)
    elif lower == "meta-inf/manifest.xml" and b"encryption-data" in part:
        flags.add(Flag.ENCRYPTED)  # of OpenDocument
    elif lower.endswith(".rels") or lower == "[content_types].xml":
        flags |= _declared(part)
    return flags


def _declared(part: bytes) -> set[Flag]:
    """Return what relations and types say: parts may have any name."""
    flags: set[Flag] = set()
    for tag in _TAG.finditer(_text(part)):
        values = [(name, html.unescape(value[1:-1]).strip()) for name, value in _ATTRIBUTE.findall(tag[1] or "")]
        types = [value for name, value in values if name in ("Type", "ContentType")]
        if any(_MACRO_TYPE.search(value) for value in types):
            flags.add(Flag.MACRO)
        if ("TargetMode", "External") in values and not (types and all(map(_is_harmless, types))):
            flags.add(Flag.ACTIVE)
    return flags


def _is_harmless(type_: str) -> bool:
    return type_.endswith(_HARMLESS_TARGET)


def _text(part: bytes) -> str:
    if part[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return part.decode("utf-16", "replace")
    wide = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
    return part.decode(wide.get(part[:2], "utf-8"), "replace")


_SYLK = re.compile(
    rb"^(?:O;[^\r\n]*E|NN;N(?i:auto_?(?:open|close))|C;[^\r\n]*;E(?i:EXEC|CALL|REGISTER|RUN)\()", re.MULTILINE
)


def flat_flags(data: bytes) -> set[Flag]:
    """Return what a document in one XML file has: Word 2003, or the flat form of a package."""
    has_macros = b'macrosPresent="yes"' in data or b"vbaProject.bin" in data
    return {Flag.MACRO} if has_macros or dde.in_word_xml(data) else set()


def sylk_flags(data: bytes) -> set[Flag]:
    """A SYLK file can hold Excel 4 macros, which open with the sheet."""
    return {Flag.MACRO} if _SYLK.search(data) else set()
