"""What a zip's directory says beside what is there: members that it hides, or names otherwise (PKWARE's APPNOTE, 4.3).

Programs read a zip from its front, by its directory, or by an earlier directory. An attacker makes these differ; here each is followed.
"""

import io
import struct
import zipfile
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress

from mpp.checks.attachments.archives import members
from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import Flag, Member, UnreadableError

_UNICODE_PATH, _PATH_AT = 0x7075, 5  # behind a version and the sum of the other name
MEMBER, LISTED, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def directory(data: bytes) -> Sequence[zipfile.ZipInfo]:
    """Return the entries of a zip's directory; none where it is no zip, or its directory is broken."""
    if data[:2] != b"PK":
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as listing:
            return listing.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError):
        return ()  # libarchive reads it by the local headers


def unseen(listed: Sequence[zipfile.ZipInfo], seen: Set[str | tuple[int, int]], meter: Meter) -> Iterator[Member]:
    """Yield what the directory has beyond the members that were opened: others would open that.

    A name may have been read in another charset, so the same content will do.
    """
    for entry in listed:
        if not seen & {entry.filename, (entry.file_size, entry.CRC)} and not entry.filename.endswith("/"):
            meter.budget.entry()
            yield Member(entry.filename, flags={Flag.DAMAGED}, readable=False)


def renamed(data: bytes, listed: Sequence[zipfile.ZipInfo], meter: Meter) -> Iterator[Member]:
    """Yield the names that the directory has for members whose own headers tell another: programs go by this or that."""
    for entry in listed:
        head = data[entry.header_offset : entry.header_offset + 30]
        if len(head) < 30 or not head.startswith(MEMBER):
            continue
        flags, length = struct.unpack_from("<6xH18xH", head)
        own = data[entry.header_offset + 30 : entry.header_offset + 30 + length]
        listed_as = entry.orig_filename.encode("utf-8" if entry.flag_bits & 0x800 else "cp437", "replace")
        if own != listed_as and not flags & 0x2000:  # there the directory is encrypted, and names here are masked
            meter.budget.entry()
            yield Member(entry.filename, flags={Flag.UNSAFE_NAME})
        start = entry.header_offset + 30 + length
        extra = data[start : start + struct.unpack_from("<28xH", head)[0]]
        for name in {*_unicode_paths(entry.extra), *_unicode_paths(extra)} - {entry.filename}:
            meter.budget.entry()
            yield Member(name, flags={Flag.UNSAFE_NAME})


def _unicode_paths(extra: bytes) -> Iterator[str]:
    """Yield the names in extra fields that count before a member's own (4.6.9), whatever the sum beside them says."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == _UNICODE_PATH and size > _PATH_AT:
            yield extra[at + 4 + _PATH_AT : at + 4 + size].decode("utf-8", "replace")
        at += 4 + size


def between(data: bytes, listed: Sequence[zipfile.ZipInfo], meter: Meter) -> Iterator[Member]:
    """Yield the members that stand between those of the directory, which does not name them: who reads from the front sees them."""
    at = 0
    for entry in sorted(listed, key=lambda entry: entry.header_offset):
        start = data.find(MEMBER, at, entry.header_offset)
        if start >= 0:
            with suppress(UnreadableError):  # it has no end of its own
                yield from members(data[start : entry.header_offset], meter)
        head = data[entry.header_offset : entry.header_offset + 30]
        if len(head) == 30:
            name, extra = struct.unpack_from("<26xHH", head)
            at = max(at, entry.header_offset + 30 + name + extra + entry.compress_size)


def shadowed(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the members of each earlier archive within the octets of a zip: readers take the last directory, or the first."""
    end = data.find(END)
    last = data.rfind(END)
    while 0 <= end < last:
        yield from members(data[: end + 22], meter)
        end = data.find(END, end + 4)
