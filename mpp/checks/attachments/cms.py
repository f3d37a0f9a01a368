"""Signed and compressed mail of S/MIME in one piece (.p7m): what was signed lies within, and mail programs show it (RFC 5652, RFC 3274).

Only the way to the content is read, of BER as mail programs take it: lengths that are not said, strings in pieces. What is encrypted is
said to be, a signature by itself (.p7s) has nothing within.
"""

import re
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inflated, inner_name
from mpp.checks.attachments.item import Flag, Member, UnreadableError
from mpp.checks.attachments.kinds import CMS
from mpp.checks.attachments.mails import mail_members

_SEQUENCE, _CONTENT, _STRING, _PIECES = 0x30, 0xA0, 0x04, 0x24
_DEPTH = 20
_MOST = 1 << 17  # pieces of one content
_FIELD = re.compile(rb"\s*[!-9;-~]{1,200}[ \t]*:")


def cms_members(data: bytes, name: str, meter: Meter) -> Iterator[Member]:
    """Yield what was signed or compressed; of a mail, its files behind it. Raises UnreadableError and BombError."""
    match = CMS.match(data)
    if match and match[2]:
        raise UnreadableError("CMS: encrypted", {Flag.ENCRYPTED})
    try:
        content = _content(data, meter)
    except IndexError as error:
        raise UnreadableError("CMS: breaks off") from error
    if content is None:
        return
    whole = True
    if match and match[1]:
        content, whole = inflated(content, meter)
    else:
        meter.take(len(content))
    meter.budget.entry()
    mail = _FIELD.match(content) is not None
    yield Member(inner_name(name), content, set() if whole else {Flag.DAMAGED}, apart=mail)
    for member in mail_members(content, meter) if mail else ():
        member.depth += 1
        yield member


def _content(data: bytes, meter: Meter) -> bytes | None:
    """Return the octets within, None where there are none. Raises IndexError where the data break off or are something else."""
    signed = _within(data, _skipped(data, _within(data, 0, _SEQUENCE), meter), _CONTENT)
    algorithms = _skipped(data, _within(data, signed, _SEQUENCE), meter)  # behind the version
    place = _skipped(data, algorithms, meter)
    at = _skipped(data, _within(data, place, _SEQUENCE), meter)
    end = _head(data, place)[1]
    if at == end or (end is None and data[at : at + 2] == b"\0\0"):
        return None
    pieces: list[bytes] = []
    _gather(data, _within(data, at, _CONTENT), pieces, 0)
    return b"".join(pieces)


def _within(data: bytes, at: int, tag: int) -> int:
    """Return where the content begins of what has to have that tag."""
    if data[at] != tag:
        raise IndexError
    return _head(data, at)[0]


def _gather(data: bytes, at: int, pieces: list[bytes], depth: int) -> int:
    """Add an octet string, whole or in pieces; return where what follows it begins."""
    tag = data[at]
    start, end = _head(data, at)
    if tag == _STRING and end is not None:
        pieces.append(data[start:end])
        return end
    if tag != _PIECES or depth > _DEPTH:
        raise IndexError
    pieces.append(b"")  # one that holds nothing counts too
    while start < (len(data) if end is None else end):
        if end is None and data[start : start + 2] == b"\0\0":
            return start + 2
        if len(pieces) > _MOST:
            raise IndexError
        start = _gather(data, start, pieces, depth + 1)
    return start


def _skipped(data: bytes, at: int, meter: Meter, depth: int = 0) -> int:
    """Return where what follows begins. Raises IndexError, and BombError where the time is over."""
    start, end = _head(data, at)
    if end is not None:
        return end
    if depth > _DEPTH:
        raise IndexError
    while data[start : start + 2] != b"\0\0":
        meter.budget.in_time()
        start = _skipped(data, start, meter, depth + 1)
    return start + 2


def _head(data: bytes, at: int) -> tuple[int, int | None]:
    """Return where a content begins and ends; None: with two zeros. Raises IndexError."""
    length, start = data[at + 1], at + 2
    if data[at] & 0x1F == 0x1F:  # a tag of several octets, which has no place here
        raise IndexError
    if length == 0x80:
        return start, None
    if length > 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size][:9], "big"), start + size
    return start, min(start + length, len(data))
