"""What the streams of a PDF are packed with, undone (ISO 32000-1, 7.4): Flate, LZW, run lengths, hexadecimal, base 85, and predictors.

Each step returns what came of it and whether that is all; what is counted is counted before it is kept. Raises BombError alone.
"""

import base64
import binascii
import re
from collections.abc import Callable

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.compressed import inflated

_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789abcdefABCDEF"))
_CLEAR, _END = 256, 257  # codes of LZW
_NUMBER = rb"[\s\0]*+(\d{1,20})"
_PREDICTOR = re.compile(rb"/Predictor" + _NUMBER)
_COLUMNS, _COLORS, _BITS = (re.compile(b"/" + key + _NUMBER) for key in (b"Columns", b"Colors", b"BitsPerComponent"))
_PNG = 10  # predictors from here on; 2 is TIFF's
_PIECE = 1 << 14  # octets between two looks at the clock


def undone(step: bytes, stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    """Undo one filter; one that is not known here changes nothing, and is said to fail."""
    undo = _UNDO.get(step)
    return undo(stream, meter) if undo else (stream, False)


def predicted(octets: bytes, dictionary: bytes, meter: Meter) -> bytes | None:
    """Return what the predictor that the dictionary names was given, which is no more than there is; None where it names none."""
    predictor = _value(_PREDICTOR, dictionary, 1)
    if predictor < 2:
        return None
    colors, bits = _value(_COLORS, dictionary, 1), _value(_BITS, dictionary, 8)
    step = max(1, colors * bits // 8)
    row = max(1, min((_value(_COLUMNS, dictionary, 1) * colors * bits + 7) // 8, len(octets)))
    found = bytearray()
    before = bytes(row)
    tagged = predictor >= _PNG
    for at in range(0, len(octets), row + tagged):
        line = bytearray(octets[at + tagged : at + tagged + row])
        add = _PREDICTORS.get(octets[at] if tagged else 1, _nothing)
        for start in range(0, row, _PIECE):
            meter.budget.in_time()
            add(line, before, step, range(start, min(start + _PIECE, len(line))))
        found += line
        before = bytes(line).ljust(row, b"\0")
    return bytes(found)


def _value(pattern: re.Pattern[bytes], dictionary: bytes, otherwise: int) -> int:
    match = pattern.search(dictionary)
    return int(match[1]) if match else otherwise


def _nothing(line: bytearray, before: bytes, step: int, places: range) -> None:
    pass


def _left(line: bytearray, before: bytes, step: int, places: range) -> None:
    for at in range(max(step, places.start), places.stop):
        line[at] = (line[at] + line[at - step]) & 255


def _above(line: bytearray, before: bytes, step: int, places: range) -> None:
    for at in places:
        line[at] = (line[at] + before[at]) & 255


def _mean(line: bytearray, before: bytes, step: int, places: range) -> None:
    for at in places:
        line[at] = (line[at] + ((line[at - step] if at >= step else 0) + before[at]) // 2) & 255


def _paeth(line: bytearray, before: bytes, step: int, places: range) -> None:
    for at in places:
        left, corner = (line[at - step], before[at - step]) if at >= step else (0, 0)
        up = before[at]
        guess = left + up - corner
        nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
        line[at] = (line[at] + nearest[2]) & 255


_PREDICTORS: dict[int, Callable[[bytearray, bytes, int, range], None]] = {1: _left, 2: _above, 3: _mean, 4: _paeth}


def _hex(stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    digits = stream.partition(b">")[0].translate(None, _NO_DIGITS)
    meter.take(len(digits) // 2)
    return binascii.unhexlify(digits + b"0" * (len(digits) % 2)), True


def _base85(stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    meter.take(len(stream))
    try:
        return base64.a85decode(stream.strip().removeprefix(b"<~").partition(b"~>")[0]), True
    except ValueError:
        return b"", False


def _run_lengths(stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    found, at = bytearray(), 0
    while at < len(stream):
        count = stream[at]
        if count == 128:
            return bytes(found), True
        piece = stream[at + 1 : at + 2 + count] if count < 128 else stream[at + 1 : at + 2] * (257 - count)
        meter.take(len(piece))
        found += piece
        at += 2 + count if count < 128 else 2
    return bytes(found), True


def _lzw(stream: bytes, meter: Meter) -> tuple[bytes, bool]:
    """Codes of 9 to 12 bits, the wider one code early, as nearly all writers have it."""
    table: list[bytes] = [bytes([octet]) for octet in range(256)] + [b"", b""]
    found, before, width, held, bits = bytearray(), b"", 9, 0, 0
    for octet in stream:
        held, bits = (held << 8 | octet) & 0xFFFFFF, bits + 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits & (1 << width) - 1
        if code == _END:
            return bytes(found), True
        if code == _CLEAR:
            del table[258:]
            before, width = b"", 9
            continue
        if code > len(table) or (code == len(table) and not before):
            return bytes(found), False
        piece = table[code] if code < len(table) else before + before[:1]
        meter.take(len(piece))
        found += piece
        if before and len(table) < 4096:
            table.append(before + piece[:1])
        before = piece
        width = min(12, max(9, (len(table) + 1).bit_length()))
    return bytes(found), True


_UNDO: dict[bytes, Callable[[bytes, Meter], tuple[bytes, bool]]] = {
    b"/FlateDecode": inflated, b"/Fl": inflated,
    b"/LZWDecode": _lzw, b"/LZW": _lzw,
    b"/RunLengthDecode": _run_lengths, b"/RL": _run_lengths,
    b"/ASCIIHexDecode": _hex, b"/AHx": _hex,
    b"/ASCII85Decode": _base85, b"/A85": _base85,
}  # fmt: skip
