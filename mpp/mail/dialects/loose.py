"""Transfer encodings as the most lenient of programs may undo them. Each is one guess at broken octets; linear, nothing raises."""

import re
from binascii import a2b_qp
from collections.abc import Iterator

from mpp.mail.decoding import decode_run
from mpp.mail.pieces import PIECE, between, count, find, in_lines, joined, lines, pieces, skip, skip_back, without

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET))
_NOT_BASE64_OR_PADDING = bytes(set(_NOT_BASE64) - set(b"="))
_NO_DATA = (b"--", b"begin-base64")  # lines that begin so: delimiters that did not count, uuencode's
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+\r?\n)[^=\n]{0,2}")
_LINE_BLANKS = re.compile(rb"=[ \t]++(?=\r?\n)")
_BEGINNING = 1 << 12  # octets in which a name stands
_YENC_LINES = (b"=ybegin", b"=ypart", b"=yend")
_YENC = bytes((octet - 42) % 256 for octet in range(256))
_YENC_ESCAPE = re.compile(rb"=.", re.DOTALL)
_YENC_ESCAPED = {bytes([61, octet]): bytes([(octet - 64) % 256]) for octet in range(256)}
_BINHEX_ALPHABET = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_TO_BASE64 = bytes.maketrans(_BINHEX_ALPHABET, _ALPHABET)
_NOT_BINHEX = bytes(set(range(256)) - set(_BINHEX_ALPHABET))
_MOST_GROWTH = 16  # times the octets that are given
_MOST_REPEATS = 1 << 17  # each makes at most 255 octets of three


def base64_runs(data: bytes) -> bytes:
    """Every run between padding by itself."""
    return joined(map(decode_run, _runs(_clean(data))))


def _runs(clean: bytes) -> Iterator[bytes]:
    at = 0
    while (end := clean.find(b"=", at)) >= 0:
        yield between(clean, at, end)
        at = skip(clean, b"=", end)
    yield between(clean, at, len(clean))


def base64_zeros(data: bytes) -> bytes:
    """Padding that is not at the end stands for six zero bits."""
    clean = _clean(data)
    end = skip_back(clean, b"=")
    return joined(decode_run(piece.replace(b"=", b"A")) for piece in pieces(clean, 0, end))


def base64_groups(data: bytes) -> bytes:
    """Every four octets by themselves, wherever their padding stands."""
    return joined(map(decode_run, _groups(_clean(data))))


def _groups(clean: bytes) -> Iterator[bytes]:
    """Yield groups with padding alone, and what stands between them at once."""
    at = 0
    while (padding := clean.find(b"=", at)) >= 0:
        group = padding - (padding - at) % 4
        yield between(clean, at, group)
        yield clean[group : group + 4].replace(b"=", b"")
        at = group + 4
    yield between(clean, at, len(clean))


def base64_lines(data: bytes) -> bytes:
    """Every line by itself; what fills no group at its end is dropped."""
    return joined(map(_of_line, lines(joined(_data_lines(data)))))


def _of_line(line: bytes) -> bytes:
    clean = without(line, _NOT_BASE64_OR_PADDING)
    padded = clean.endswith(b"=")
    clean = clean.replace(b"=", b"")
    return decode_run(clean if padded else clean[: len(clean) & ~3])


def _clean(data: bytes) -> bytes:
    return joined(without(part, _NOT_BASE64_OR_PADDING) for part in _data_lines(data))


def _data_lines(data: bytes) -> Iterator[bytes]:
    """Yield what stands between the lines that are no data. Few bodies have any."""
    at = 0
    found = dict.fromkeys(_NO_DATA, -1)  # where the next line of each kind begins
    while at <= len(data):
        for begin, place in found.items():
            if place < at:
                place = find(data, b"\n" + begin, max(at - 1, 0), len(data)) + 1 or len(data)
                found[begin] = 0 if at == 0 and data.startswith(begin) else place
        line = min(found.values())
        yield between(data, at, line)
        at = find(data, b"\n", line, len(data)) + 1 or len(data) + 1


def quoted_printable(data: bytes) -> bytes:
    """An escape that is none is left out."""
    return in_lines(_decode_piece, data)


def _decode_piece(data: bytes) -> bytes:
    return a2b_qp(_LINE_BLANKS.sub(b"=", _NO_ESCAPE.sub(b"", data)))


def yenc(data: bytes) -> bytes:
    """yEnc without a look at sizes and sums."""
    body = joined(line.replace(b"\r", b"") for line in lines(data) if not line.startswith(_YENC_LINES))
    return joined(_YENC_ESCAPE.sub(_unescaped, piece).translate(_YENC) for piece in _uncut(body))


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return _YENC_ESCAPED[escape[0]]


def _uncut(body: bytes) -> Iterator[bytes]:
    """Yield pieces none of which ends within an escape."""
    at = 0
    while at < len(body):
        end = at + PIECE
        if body[end - 1 : end] == b"=":
            end = skip(body, b"=", end) + 1
        yield body[at:end]
        at = end


def binhex(data: bytes) -> bytes:
    """The data fork of BinHex 4.0 (RFC 1741); b"" where there is none."""
    grown = joined(_repeated(_packed(data)))
    name = grown[0] if grown else 0
    at = name + 22
    size = int.from_bytes(grown[name + 12 : name + 16], "big")
    return between(grown, at, min(at + size, len(grown)))


def binhex_name(data: bytes) -> bytes:
    """The name that a file in BinHex 4.0 bears."""
    grown = joined(_repeated(_packed(between(data, 0, min(len(data), _BEGINNING)))))
    return grown[1 : 1 + grown[0]] if grown else b""


def binhex_is_cut(data: bytes) -> bool:
    """True where more is repeated than is undone: what stands behind stays as it is packed."""
    packed = _packed(data)
    return count(packed, b"\x90", 1, len(packed) - 1) > _most_repeats(packed)


def _packed(data: bytes) -> bytes:
    start = 1 if data.startswith(b":") else find(data, b"\n:", 0, len(data)) + 2
    if start == 1 and not data.startswith(b":"):
        return b""
    end = find(data, b":", start, len(data))
    body = pieces(data, start, len(data) if end < 0 else end)
    return decode_run(joined(piece.translate(_TO_BASE64, _NOT_BINHEX) for piece in body))


def _most_repeats(packed: bytes) -> int:
    return min(_MOST_GROWTH * len(packed) // 256 + 1, _MOST_REPEATS)


def _repeated(packed: bytes) -> Iterator[bytes]:
    """0x90 says how often the octet before it stands there; 0 is 0x90 itself."""
    at = 0
    for _ in range(_most_repeats(packed)):
        mark = find(packed, b"\x90", at + 1, len(packed))
        if not 0 <= mark < len(packed) - 1:
            break
        yield between(packed, at, mark)
        times = packed[mark + 1]
        yield packed[mark - 1 : mark] * (times - 1) if times else b"\x90"
        at = mark + 2
    yield between(packed, at, len(packed))
