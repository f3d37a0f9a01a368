"""AppleSingle: a file of a Mac with what belongs to it, in one (RFC 1740); Apple's mail program writes it out as the file."""

import struct
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inner_name
from mpp.checks.attachments.item import Member, UnreadableError

_ENTRIES = 100
_DATA, _NAME = 1, 3


def apple_single_members(data: bytes, name: str, meter: Meter) -> Iterator[Member]:
    """Yield the file. Raises UnreadableError."""
    count = struct.unpack_from(">H", data, 24)[0] if len(data) >= 26 else _ENTRIES + 1
    if count > _ENTRIES or len(data) < 26 + 12 * count:
        raise UnreadableError("AppleSingle: breaks off")
    parts = {}
    for number in range(count):
        kind, at, size = struct.unpack_from(">III", data, 26 + 12 * number)
        parts[kind] = data[at : at + size]
    meter.budget.entry()
    meter.take(len(parts.get(_DATA, b"")))
    yield Member(parts.get(_NAME, b"").decode("utf-8", "replace") or inner_name(name), parts.get(_DATA, b""))
