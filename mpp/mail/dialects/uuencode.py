"""uuencode, as programs that know it as a transfer encoding read it. Linear; nothing raises."""

import re
from binascii import Error, a2b_uu

_BEGIN = re.compile(rb"^begin [0-7]+ [^\n]*\n", re.MULTILINE)
_ANY_BEGIN = re.compile(rb"^begin[^\n]*\n", re.MULTILINE)


def uudecode_from_begin(data: bytes) -> bytes | None:
    """Decode from the first `begin MODE NAME` on; None where there is none."""
    begin = _BEGIN.search(data)
    return None if begin is None else uudecode_lines(data[begin.end() :])


def uudecode_from_any_begin(data: bytes) -> bytes:
    """Decode from the first line that begins so; b"" where there is none."""
    begin = _ANY_BEGIN.search(data)
    return b"" if begin is None else uudecode_lines(data[begin.end() :])


def uudecode_lines(data: bytes) -> bytes:
    """Decode lines up to `end`; those that are none are left out."""
    decoded: list[bytes] = []
    for line in data.split(b"\n"):
        line = line.rstrip(b"\r")
        if line.strip() == b"end":
            break
        if not line:
            continue
        try:
            decoded.append(a2b_uu(line))
        except Error:  # longer than its first octet says, or with octets of no meaning
            length = ((line[0] - 32 & 63) * 4 + 5) // 3
            try:
                decoded.append(a2b_uu(line[:length]))
            except Error:
                continue
    return b"".join(decoded)
