"""winmail.dat: the attachments of a TNEF stream (MS-OXTNEF)."""

import struct
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import Member, UnreadableError

_RENDER, _TITLE, _DATA, _PROPERTIES = 0x9002, 0x8010, 0x800F, 0x9005
_LONG_NAME = b"\x1e\x00\x07\x37", b"\x1f\x00\x07\x37"  # PidTagAttachLongFilename, 8-bit and Unicode


def tnef_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the attachments. Raises UnreadableError where the stream breaks off."""
    name, content = "", None
    for attribute, value in _attributes(data):
        if attribute == _RENDER:
            if content is not None:
                yield Member(name or "attachment", content)
            name, content = "", b""
            meter.budget.entry()
        elif attribute == _TITLE:
            name = name or value.rstrip(b"\0").decode("latin-1")
        elif attribute == _DATA:
            meter.take(len(value))
            content = value
        elif attribute == _PROPERTIES:
            name = _long_name(value) or name
    if content is not None:
        yield Member(name or "attachment", content)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 6
    while at + 9 <= len(data):
        _, attribute, _, size = struct.unpack_from("<BHHI", data, at)
        if at + 9 + size + 2 > len(data):
            raise UnreadableError("TNEF: an attribute goes beyond the end")
        yield attribute, data[at + 9 : at + 9 + size]
        at += 9 + size + 2


def _long_name(properties: bytes) -> str:
    for tag, charset in zip(_LONG_NAME, ("latin-1", "utf-16-le"), strict=True):
        at = properties.find(tag)
        if at >= 0 and at + 12 <= len(properties):
            size = struct.unpack_from("<I", properties, at + 8)[0]
            return properties[at + 12 : at + 12 + min(size, 2048)].decode(charset, "replace").rstrip("\0")
    return ""
