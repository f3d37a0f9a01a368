"""uuencode, as programs that know it as a transfer encoding read it. Linear; nothing raises."""

import re
from binascii import Error, a2b_uu
from collections.abc import Iterator

from mpp.mail.pieces import between, find, joined, lines

_BEGIN = re.compile(rb"begin [0-7]+ [^\n]*\n")
_ANY_BEGIN = re.compile(rb"begin[^\n]*\n")


def uudecode_from_begin(data: bytes) -> bytes | None:
    """Decode from the first `begin MODE NAME` on; None where there is none."""
    begin = begin_line(_BEGIN, data, 0)
    return None if begin is None else uudecode_lines(between(data, begin.end(), len(data)))


def uudecode_from_any_begin(data: bytes) -> bytes:
    """Decode from the first line that begins so; b"" where there is none."""
    begin = begin_line(_ANY_BEGIN, data, 0)
    return b"" if begin is None else uudecode_lines(between(data, begin.end(), len(data)))


def begin_line(pattern: re.Pattern[bytes], data: bytes, at: int) -> re.Match[bytes] | None:
    """Find the first line that the pattern matches, where a line at `at` or later begins with `begin`."""
    if at == 0 or data.startswith(b"\n", at - 1):
        match = pattern.match(data, at)
        if match is not None:
            return match
    while (at := find(data, b"\nbegin", at, len(data)) + 1) > 0:
        match = pattern.match(data, at)
        if match is not None:
            return match
    return None


def uudecode_lines(data: bytes) -> bytes:
    """Decode lines up to `end`; those that are none are left out."""
    return joined(_decoded(data))


def _decoded(data: bytes) -> Iterator[bytes]:
    for line in lines(data):
        line = line.rstrip(b"\r")
        if line.strip() == b"end":
            return
        if not line:
            continue
        try:
            yield a2b_uu(line)
        except Error:  # longer than its first octet says, or with octets of no meaning
            length = ((line[0] - 32 & 63) * 4 + 5) // 3
            try:
                yield a2b_uu(line[:length])
            except Error:
                continue
