"""Which opener serves which kind of file. Each yields the files inside, and flags of the file itself as it learns them.

Raises UnreadableError and BombError, as the openers do.
"""

import re
from collections.abc import Iterator
from zlib import crc32

from mpp.checks.attachments import active, compressed, dde, office, zips
from mpp.checks.attachments.apple import apple_single_members
from mpp.checks.attachments.archives import members
from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.cms import cms_members
from mpp.checks.attachments.item import BombError, Flag, Means, Member, UnreadableError
from mpp.checks.attachments.kinds import is_program
from mpp.checks.attachments.locked import locked
from mpp.checks.attachments.mails import mail_members
from mpp.checks.attachments.microsoft import ACTIVE_MIME, active_mime_members, onenote_members
from mpp.checks.attachments.names import endings
from mpp.checks.attachments.pdf import pdf_contents
from mpp.checks.attachments.programs import program_members
from mpp.checks.attachments.tnef import tnef_members

Found = Member | set[Flag]

_ARCHIVES = frozenset(
    f"application/{name}"
    for name in [
        "zip",
        "java-archive",
        "x-7z-compressed",
        "x-rar",
        "x-tar",
        "x-ustar",
        "x-cpio",
        "x-archive",
        "x-lzh-compressed",
        "x-lha",
        "vnd.ms-cab-compressed",
        "x-iso9660-image",
        "x-xar",
        "warc",
        "x-rpm",
        "vnd.debian.binary-package",
        "epub+zip",
        "x-mtree",
        "x-freearc",
    ]
)
# Archives and images of disks that only a program of others opens.
_BY_PROGRAM = frozenset(
    f"application/{name}"
    for name in [
        "x-lrzip",
        "x-lzop",
        "x-snappy-framed",
        "x-arj",
        "x-vhd",
        "x-vhdx",
        "x-ms-wim",
        "vnd.ms-htmlhelp",
        "x-ms-compress-szdd",
        "x-ms-compress-kwaj",
        "x-ace-compressed",
        "x-stuffit",
        "zoo",
        "x-zoo",
    ]
)
_RAR, _7Z = b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c"
_ZIP_COMMENT = 1 << 16  # octets behind its end, at most
_MEDIA = ("image/", "audio/", "video/", "font/")
_MARKUP = frozenset({"text/html", "image/svg+xml", "text/xml", "application/xml"})
_PAGES = frozenset({"htm", "html", "shtml", "xhtml", "xht", "svg", "hta"})  # so named, browsers show anything as a page
_AR = b"!<arch>\n"
_EMPTY = 32  # octets of an archive without members, at most


def may_hold(data: bytes, name: str, kind: str) -> bool:
    """Return False for what nothing is opened of: pictures and sound with no archive behind them, plain text."""
    if _is_page(name, kind):
        return True
    if kind == "text/plain":
        return _is_uuencoded(data)
    return not kind.startswith(_MEDIA) or bool(_starts(data, kind))


def contents(data: bytes, name: str, kind: str, meter: Meter, means: Means) -> Iterator[Found]:
    """Yield what is inside a file of that kind, nothing where it is no container."""
    if _is_page(name, kind):
        text = active.markup_text(data)
        yield active.markup_flags(text) | office.flat_flags(text)
        yield from active.markup_members(text, meter)
    if kind.startswith(("application/vnd.openxmlformats", "application/vnd.oasis.opendocument")):
        yield from _package(data, meter, means)
    elif kind in _ARCHIVES:
        yield from _archive(data, meter, means)
    elif kind in compressed.KINDS:
        yield from compressed.decompressed(data, name, kind, meter)
        yield from _behind(data, kind, meter, means)
    elif kind == "application/x-ole-storage":
        yield office.ole_flags(data)
        yield from office.ole_members(data, meter)
    elif kind == "application/pdf":
        yield from pdf_contents(data, meter)
        yield from _behind(data, kind, meter, means)
    elif kind == "application/onenote":
        yield from onenote_members(data, meter)
    elif kind == "text/rtf":
        yield active.rtf_flags(data) | ({Flag.MACRO} if dde.in_rtf(data) else set())
        yield from active.rtf_members(data, meter)
        yield from _behind(data, kind, meter, means)
    elif kind in _MARKUP:
        yield from _behind(data, kind, meter, means)
    elif kind == "application/vnd.ms-tnef":
        yield from tnef_members(data, meter)
    elif kind == "message/rfc822":
        yield from mail_members(data, meter, pages=bool(endings(name) & {"mht", "mhtml"}))
    elif kind == "application/applefile":
        yield from apple_single_members(data, name, meter)
    elif kind == "application/pkcs7-mime":
        yield from cms_members(data, name, meter)
    elif kind in _BY_PROGRAM:
        yield from program_members(data, meter, means)
    else:
        yield from _rest(data, name, kind, meter, means)


def _is_page(name: str, kind: str) -> bool:
    return kind in _MARKUP or bool(endings(name) & _PAGES)


def _rest(data: bytes, name: str, kind: str, meter: Meter, means: Means) -> Iterator[Found]:
    """What libmagic does not name, and files that are something else beside what they seem."""
    if data.startswith(ACTIVE_MIME):
        yield from active_mime_members(data, meter)
    elif is_program(kind) or kind == "application/octet-stream" or kind.startswith(_MEDIA):
        yield from _behind(data, kind, meter, means)
    elif kind == "application/x-sylk" or data.startswith(b"ID;P"):
        yield office.sylk_flags(data)
    elif kind.startswith("text/") and _is_uuencoded(data):
        yield from compressed.decompressed(data, name, "text/x-uuencode", meter)
    elif kind.endswith("/csv") or (kind.startswith("text/") and name.lower().endswith(".csv")):
        yield {Flag.MACRO} if dde.in_csv(data) else set()
    elif _is_page(name, kind):
        yield from _behind(data, kind, meter, means)
    if not kind.startswith("text/") and _VOLUME.search(name):
        raise UnreadableError("a volume of several", {Flag.DAMAGED, Flag.UNCHECKED})
    if kind == "application/octet-stream" and name.lower().rpartition(".")[2] in _ENDS:
        yield from _archive(data, meter, means)


def _is_uuencoded(data: bytes) -> bool:
    return re.search(rb"^begin(?:-base64)? [0-7]{3,4} \S", data[:4096], re.MULTILINE) is not None


_VOLUME = re.compile(r"\.(?:(?:7z|zip|rar|tar|gz|exe)\.\d{2,3}|part\d{1,3}\.rar|[rz]\d\d)$", re.IGNORECASE)
_ENDS = frozenset(
    [
        "zip",
        "7z",
        "rar",
        "tar",
        "gz",
        "tgz",
        "bz2",
        "xz",
        "cab",
        "arj",
        "lha",
        "lzh",
        "iso",
        "cpio",
        "ar",
        "jar",
        "docx",
        "xlsx",
        "pptx",
        "docm",
        "xlsm",
    ]
)


def _archive(data: bytes, meter: Meter, means: Means) -> Iterator[Found]:
    if locked(data):
        yield {Flag.ENCRYPTED}
    seen: set[str | tuple[int, int]] = set()
    meter.budget.announced(data.count(zips.LISTED))
    listed = zips.directory(data)
    bomb = meter.only_begun(sum(entry.file_size for entry in listed))  # many entries can name the same octets
    failure: UnreadableError | None = None
    try:
        for member in _opened(data, meter, means):
            if data.startswith(_AR) and member.name in ("/", "//"):
                continue  # its tables of symbols and of long names
            if data[:2] == b"PK":
                seen |= {member.name, (len(member.data), crc32(member.data))}
            yield member
    except UnreadableError as error:
        failure = error
    if bomb:
        raise BombError("announces more than may come of it")
    if data[:2] == b"PK":
        yield from zips.unseen(listed, seen, meter)
        yield from zips.renamed(data, listed, meter)
        yield from zips.between(data, listed, meter)
        yield from zips.shadowed(data, meter)
    if failure:
        raise failure


def _opened(data: bytes, meter: Meter, means: Means) -> Iterator[Member]:
    """Yield the members as libarchive reads them; those that it cannot read as a program does, as far as that reads them."""
    seen: set[tuple[str, int]] = set()
    closed: list[Member] = []
    failure: UnreadableError | None = None
    try:
        for member in members(data, meter, means.passwords):
            if not member.readable:
                closed.append(member)
            else:
                seen.add((member.name, len(member.data)))
                yield member
        if not (seen or closed or _may_be_empty(data)):
            failure = UnreadableError("holds nothing that can be seen, as a volume of several does")
    except UnreadableError as error:
        failure = error
    if not closed and failure is None:
        return
    flags = set(failure.flags if failure else ()).union(*(member.flags for member in closed))
    try:
        for member in program_members(data, meter, means, encrypted=Flag.ENCRYPTED in flags or locked(data)):
            if (member.name, len(member.data)) not in seen:
                yield member
    except UnreadableError:
        yield from closed
        if failure:
            raise failure from None


def _may_be_empty(data: bytes) -> bool:
    """An archive without members is usual in a tar, made in vain; and where there is nothing but an end."""
    return len(data) <= _EMPTY or not data.strip(b"\0") or data.startswith(b"ustar", 257) or data.startswith(b"WARC/")


def _package(data: bytes, meter: Meter, means: Means) -> Iterator[Found]:
    """Yield flags for an office document's parts; its parts are files like others."""
    if locked(data):
        yield {Flag.ENCRYPTED}
    for member in members(data, meter, means.passwords):
        yield office.ooxml_flags(member.name, member.data)
        yield member


def _behind(data: bytes, kind: str, meter: Meter, means: Means) -> Iterator[Found]:
    """Yield the members of an archive that stands behind something else, as in self-extracting programs."""
    for start in _starts(data, kind):
        archive = data[start:]
        if locked(archive):
            yield {Flag.ENCRYPTED}
        try:
            yield from members(archive, meter, means.passwords)
        except UnreadableError:
            continue  # a signature by chance, in the midst of other octets


def _starts(data: bytes, kind: str) -> list[int]:
    """Return where archives may begin behind something else; in pictures and sound, a zip only where its end is at the end of all."""
    lowest = max(1, len(data) - _ZIP_COMMENT - 22) if kind.startswith(_MEDIA) else 1
    end = data.rfind(zips.END, lowest)
    marks = [(_RAR, len(data)), (_7Z, len(data)), (zips.MEMBER, max(0, end))]
    # From the back first: mostly there is none, and that takes a half of the time.
    return [data.find(mark, 1, before) for mark, before in marks if data.rfind(mark, 1, before) > 0]
