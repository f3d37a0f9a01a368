"""Large octets taken in pieces: whoever works beside the event loop in one long step holds it up all the same.

A call of a C primitive keeps the interpreter from every other thread until it is done, and the first touch of new memory is
the dearest part of it. So what may be large is read and made in steps of some 64 KiB. For all of mpp.mail. Nothing raises.
"""

from collections.abc import Callable, Iterable, Iterator
from io import BytesIO

PIECE = 1 << 16  # octets
_STRIDE = 1 << 20  # octets that one needle is looked for in
_LINES = 1 << 15  # octets: what is searched by patterns, which cost ten times as much


def between(source: bytes, start: int, end: int) -> bytes:
    """Return `source[start:end]`."""
    return source[start:end] if end - start <= PIECE else joined(pieces(source, start, end))


def pieces(source: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield `source[start:end]` in order, cut anywhere."""
    end = len(source) if end is None else end
    return (source[at : min(at + PIECE, end)] for at in range(start, end, PIECE))


def joined(parts: Iterable[bytes]) -> bytes:
    """Return the parts as one; no list of them is kept, nor a second copy."""
    whole = BytesIO()  # grows in place, and gives its octets without a copy
    for part in parts:
        whole.write(part)
    return whole.getvalue()


def without(data: bytes, dropped: bytes) -> bytes:
    """Return the octets that are not among `dropped`."""
    if len(data) <= PIECE:
        return data.translate(None, dropped)
    return joined(piece.translate(None, dropped) for piece in pieces(data))


def find(source: bytes, needle: bytes, start: int, end: int) -> int:
    """As `source.find`; `end` is no further than the octets reach."""
    while end - start > _STRIDE:
        at = source.find(needle, start, start + _STRIDE + len(needle) - 1)
        if at >= 0:
            return at
        start += _STRIDE
    return source.find(needle, start, end)


def lines(data: bytes) -> Iterator[bytes]:
    """Yield the lines, each whole, without their line feeds."""
    at = 0
    while at < len(data):
        cut = data.rfind(b"\n", at, at + PIECE)
        if cut >= 0:
            yield from data[at:cut].split(b"\n")
        else:
            cut = find(data, b"\n", at, len(data))
            cut = len(data) if cut < 0 else cut
            yield between(data, at, cut)
        at = cut + 1


def skip(data: bytes, octet: bytes, at: int) -> int:
    """Return where something else stands than this octet, at `at` or later."""
    size = 16  # most runs are short
    while piece := data[at : at + size]:
        if rest := piece.lstrip(octet):
            return at + len(piece) - len(rest)
        at += size
        size = min(2 * size, PIECE)
    return len(data)


def skip_back(data: bytes, octet: bytes) -> int:
    """Return where the run of this octet begins that ends the data; their length where there is none."""
    end = len(data)
    while piece := data[max(end - PIECE, 0) : end]:
        end -= len(piece)
        if rest := piece.rstrip(octet):
            return end + len(rest)
    return 0


def count(data: bytes, octet: bytes, start: int, end: int) -> int:
    """Return how often one octet stands there."""
    return sum(data.count(octet, at, min(at + _STRIDE, end)) for at in range(start, end, _STRIDE))


def in_lines(decode: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Decode quoted-printable piece by piece."""
    return decode(data) if len(data) <= _LINES else joined(map(decode, line_pieces(data)))


def line_pieces(data: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the octets in order, cut at line ends; in a very long line where no escape of quoted-printable is cut in two."""
    end = len(data) if end is None else end
    while start < end:
        cut = data.find(b"\n", start + _LINES, min(start + 2 * _LINES, end)) + 1
        if not cut:
            cut = min(start + 2 * _LINES, end)
            cut = cut if cut == end else start + _uncut(data[start:cut])
        yield data[start:cut]
        start = cut


def _uncut(piece: bytes) -> int:
    """Return how much of a piece means the same whatever stands behind it: no blanks, no escape and not half of "==" at its end.

    Where it is nothing but "=", the last of them may begin an escape; programs read those before it by twos or threes.
    """
    solid = len(piece.rstrip(b" \t\r")) or len(piece)
    last = piece.rfind(b"=", max(solid - 2, 0), solid)
    if last < 0:
        return solid
    return len(piece[: last + 1].rstrip(b"=")) or max(last - 1, 0) // 6 * 6 or len(piece)
