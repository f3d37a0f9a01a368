"""Two containers of Microsoft's that are neither OLE nor a package: OneNote sections, and ActiveMime (editdata.mso in a mail of Word)."""

import struct
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inflated
from mpp.checks.attachments.item import Flag, Member, UnreadableError

ACTIVE_MIME = b"ActiveMime"
_STORED_FILE = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")  # FileDataStoreObject (MS-ONESTORE, 2.6.13)
_HEAD = 36  # octets: the mark, the length, then 12 unused
_ZLIB = (b"\x78\x01", b"\x78\x9c", b"\x78\xda")


def onenote_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files that lie in a section, as pictures do and programs can."""
    number, at = 0, data.find(_STORED_FILE)
    while at >= 0 and at + _HEAD <= len(data):
        number += 1
        meter.budget.entry()
        size = struct.unpack_from("<Q", data, at + 16)[0]
        stored = data[at + _HEAD : at + _HEAD + size]
        meter.take(len(stored))
        yield Member(f"file-{number}", stored, set() if len(stored) == size else {Flag.DAMAGED})
        at = data.find(_STORED_FILE, at + _HEAD)


def active_mime_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the one OLE file within. Raises UnreadableError."""
    start = min((place for mark in _ZLIB if (place := data.find(mark, 12)) >= 0), default=-1)
    octets, whole = inflated(data[start:], meter) if start >= 0 else (b"", False)
    if not octets:
        raise UnreadableError("ActiveMime without content")
    meter.budget.entry()
    yield Member("content", octets, set() if whole else {Flag.DAMAGED})
