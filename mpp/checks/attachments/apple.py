"""AppleSingle: a file of a Mac with what belongs to it, in one (RFC 1740); Apple's mail program writes it out as the file."""

import struct
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inner_name
from mpp.checks.attachments.item import Member, UnreadableError

_ENTRIES = 100
_DATA, _NAME = 1, 3
_LONGEST = 1 << 12  # octets of a name


def apple_single_members(data: bytes, name: str, meter: Meter) -> Iterator[Member]:
    """Yield the file; where several entries say that they are it, each. Raises UnreadableError and BombError."""
    count = struct.unpack_from(">H", data, 24)[0] if len(data) >= 26 else _ENTRIES + 1
    if count > _ENTRIES or len(data) < 26 + 12 * count:
        raise UnreadableError("AppleSingle: breaks off")
    entries = list(struct.iter_unpack(">III", data[26 : 26 + 12 * count]))
    names = [
        data[at : at + min(size, _LONGEST)].decode("utf-8", "replace") for kind, at, size in entries if kind == _NAME
    ]
    first, last = (names[0], names[-1]) if names else ("", "")
    for at, size in [(at, size) for kind, at, size in entries if kind == _DATA] or [(0, 0)]:
        meter.budget.entry()
        meter.take(max(0, min(size, len(data) - at)))
        yield Member(first or inner_name(name), data[at : at + size], other_name=last if last != first else "")
