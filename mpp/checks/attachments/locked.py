"""Whether an archive is encrypted, read from its own headers where libarchive does not get so far: rar, 7z, zip.

Sources: unrar's technote of both formats, 7zFormat.txt of the LZMA SDK, PKWARE's APPNOTE 4.3.7 and 4.3.12.
"""

import struct
from collections.abc import Iterator

_RAR4, _RAR5 = b"Rar!\x1a\x07\x00", b"Rar!\x1a\x07\x01\x00"
_AES_7Z = b"\x06\xf1\x07\x01"  # codec id
_BLOCKS = 10_000  # headers looked at


def locked(data: bytes) -> bool:
    """True where headers or members are encrypted. Never raises."""
    try:
        if data.startswith(_RAR5):
            return any(_rar5(data))
        if data.startswith(_RAR4):
            return any(_rar4(data))
        if data.startswith(b"7z\xbc\xaf\x27\x1c"):
            return _AES_7Z in _end_header_7z(data)
        return any(flags & 1 for flags in _zip_flags(data))
    except (struct.error, IndexError):
        return False  # cut short: whoever opens it says so


def _rar4(data: bytes) -> Iterator[bool]:
    position = len(_RAR4)
    for _ in range(_BLOCKS):
        if position + 7 > len(data):
            return
        kind, flags, size = struct.unpack_from("<xxBHH", data, position)
        yield bool(flags & (0x80 if kind == 0x73 else 0x04 if kind == 0x74 else 0))
        if size < 7:
            return
        added = struct.unpack_from("<I", data, position + 7)[0] if flags & 0x8000 or kind in (0x74, 0x7A) else 0
        position += size + added


def _rar5(data: bytes) -> Iterator[bool]:
    position = len(_RAR5)
    for _ in range(_BLOCKS):
        if position + 7 > len(data):
            return
        size, at = _number(data, position + 4)
        start = at
        kind, at = _number(data, at)
        flags, at = _number(data, at)
        extra, at = _number(data, at) if flags & 1 else (0, at)
        content, at = _number(data, at) if flags & 2 else (0, at)
        yield kind == 4 or (kind in (2, 3) and _encryption_record(data[start + size - extra : start + size]))
        position = start + size + content


def _encryption_record(extra: bytes) -> bool:
    """True where the extra area of a file header (rar 5) has an encryption record."""
    at = 0
    while at < len(extra):
        size, at = _number(extra, at)
        kind, _ = _number(extra, at)
        if kind == 1:
            return True
        at += size
    return False


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a variable-length number of rar 5."""
    value = 0
    for shift in range(0, 70, 7):
        octet = data[at]
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < 0x80:
            break
    return value, at


def _end_header_7z(data: bytes) -> bytes:
    """Return the header at the end as it is stored: where that is itself packed, its description is plain."""
    offset, size = struct.unpack_from("<QQ", data, 12)
    return data[32 + offset : 32 + offset + size]


def _zip_flags(data: bytes) -> Iterator[int]:
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = data.find(signature)
        for _ in range(_BLOCKS):
            if position < 0 or position + at + 2 > len(data):
                break
            yield struct.unpack_from("<H", data, position + at)[0]
            position = data.find(signature, position + 4)
