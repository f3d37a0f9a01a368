"""Transfer encodings as the most lenient of programs may undo them. Each is one guess at broken octets; linear, nothing raises."""

import re
from binascii import a2b_qp
from collections.abc import Iterable

from pybase64 import b64decode

from mpp.mail.dialects.dialect import in_pieces

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NOT_BASE64 = bytes(set(range(256)) - set(_ALPHABET))
_NOT_BASE64_OR_PADDING = bytes(set(_NOT_BASE64) - set(b"="))
_NO_DATA = re.compile(
    rb"^(?:--|begin-base64)[^\n]*+\n?", re.MULTILINE
)  # lines: delimiters that did not count, uuencode's
_NO_DATA_BEGINS = (b"--", b"begin-base64")
_MOST_RUNS = 1 << 16  # what follows them is read as one
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*+\r?\n)[^=\n]{0,2}")
_LINE_BLANKS = re.compile(rb"=[ \t]++(?=\r?\n)")
_YENC_LINE = re.compile(rb"^=y(?:begin|part|end)[^\n]*+\n?", re.MULTILINE)
_YENC_ESCAPE = re.compile(rb"=(.)", re.DOTALL)
_YENC = bytes((octet - 42) % 256 for octet in range(256))
_BINHEX = re.compile(rb"^:([^:]*+)", re.MULTILINE)
_BINHEX_ALPHABET = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"
_TO_BASE64 = bytes.maketrans(_BINHEX_ALPHABET, _ALPHABET)
_NOT_BINHEX = bytes(set(range(256)) - set(_BINHEX_ALPHABET))
_REPEAT = re.compile(rb"(.)\x90(.)", re.DOTALL)
_MOST_GROWTH = 16  # times the octets that are given


def base64_runs(data: bytes) -> bytes:
    """Every run between padding by itself."""
    clean = _clean(data)
    return _each(re.split(rb"=++", clean, maxsplit=_MOST_RUNS))


def base64_zeros(data: bytes) -> bytes:
    """Padding that is not at the end stands for six zero bits."""
    clean = _clean(data)
    end = clean.rstrip(b"=")
    return _decode(end.replace(b"=", b"A"))


def base64_groups(data: bytes) -> bytes:
    """Every four octets by themselves, wherever their padding stands."""
    clean = _clean(data)
    if b"=" not in clean:
        return _decode(clean)
    groups = [clean[at : at + 4].replace(b"=", b"") for at in range(0, min(len(clean), 4 * _MOST_RUNS), 4)]
    return _each([*groups, clean[4 * _MOST_RUNS :]])


def base64_lines(data: bytes) -> bytes:
    """Every line by itself; what fills no group at its end is dropped."""
    decoded = []
    for line in _data_lines(data).split(b"\n", _MOST_RUNS):
        clean = line.translate(None, _NOT_BASE64_OR_PADDING)
        padded = clean.endswith(b"=")
        clean = clean.replace(b"=", b"")
        decoded.append(_decode(clean if padded else clean[: len(clean) & ~3]))
    return b"".join(decoded)


def _clean(data: bytes) -> bytes:
    return _data_lines(data).translate(None, _NOT_BASE64_OR_PADDING)


def _data_lines(data: bytes) -> bytes:
    """Leave out lines that are no data. Few bodies have any, and the pattern would keep the interpreter from every other thread."""
    if data.startswith(_NO_DATA_BEGINS) or any(b"\n" + begin in data for begin in _NO_DATA_BEGINS):
        return _NO_DATA.sub(b"", data)
    return data


def _each(runs: Iterable[bytes]) -> bytes:
    return b"".join(_decode(run.replace(b"=", b"")) for run in runs if run)


def _decode(clean: bytes) -> bytes:
    rest = len(clean) & 3
    if rest == 1:
        clean = clean[:-1]
    return b64decode(clean + b"=" * (-len(clean) & 3))


def quoted_printable(data: bytes) -> bytes:
    """An escape that is none is left out."""
    return in_pieces(_decode_piece, data)


def _decode_piece(data: bytes) -> bytes:
    return a2b_qp(_LINE_BLANKS.sub(b"=", _NO_ESCAPE.sub(b"", data)))


def yenc(data: bytes) -> bytes:
    """yEnc without a look at sizes and sums."""
    body = _YENC_LINE.sub(b"", data).replace(b"\r", b"").replace(b"\n", b"")
    return _YENC_ESCAPE.sub(lambda match: bytes([(match[1][0] - 64) % 256]), body).translate(_YENC)


def binhex(data: bytes) -> bytes:
    """The data fork of BinHex 4.0 (RFC 1741); b"" where there is none."""
    found = _BINHEX.search(data)
    if found is None:
        return b""
    packed = _decode(found[1].translate(_TO_BASE64, _NOT_BINHEX))
    grown = _REPEAT.sub(_repeated, packed, count=_MOST_GROWTH * len(packed) // 256 + 1)
    name = grown[0] if grown else 0
    at = name + 22
    size = int.from_bytes(grown[name + 12 : name + 16], "big")
    return grown[at : at + size]


def _repeated(match: re.Match[bytes]) -> bytes:
    """0x90 says how often the octet before it stands there; 0 is 0x90 itself."""
    count = match[2][0]
    return match[1] * count if count else match[1] + b"\x90"
