"""Transfer encodings (RFC 2045, 6) and charsets, read as leniently as mail programs do. Nothing here raises on any octets.

A gateway must hand its scanners what the recipient's program will show, so broken base64 and quoted-printable give what can
be had of them. Linear, in C primitives, in pieces.
"""

import codecs
import re
import sys
from binascii import a2b_qp
from collections.abc import Iterator
from functools import lru_cache

from pybase64 import b64decode

from mpp.mail.pieces import PIECE, in_lines, joined, line_pieces, pieces

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NO_BASE64 = bytes(octet for octet in range(256) if octet not in _ALPHABET)
_MAX_BROKEN_WIDE = 1 << 17  # octets of broken UTF-16 that are read as such; what follows as ISO-8859-1
_MAX_RUNS = 64  # pieces of one body that each end in padding; what follows is read as one
_PADDING = (b"", b"", b"==", b"=")  # by what is left over groups of four

_BLANK_ENDS = (b" \n", b" \r\n", b"\t\n", b"\t\r\n")
_NO_ESCAPE = re.compile(rb"=(?![0-9A-Fa-f]{2}|\r?\n)")
_SOFT_BREAK = re.compile(rb"=[ \t]++(?=\r?\n)")

_ALIASES = {
    "x-unknown": "utf-8", "unknown-8bit": "utf-8", "unknown": "utf-8", "binary": "utf-8", "us-ascii": "utf-8",
    "ascii": "utf-8", "utf8mb4": "utf-8", "default": "utf-8", "gb2312": "gb18030", "gbk": "gb18030",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8",
    "iso-8859-6-i": "iso-8859-6", "x-sjis": "cp932", "shift_jis": "cp932", "windows-31j": "cp932",
    "windows-874": "cp874", "iso-8859-1": "cp1252", "latin1": "cp1252", "x-gbk": "gb18030", "cp-850": "cp850",
    "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "unicode-1-1-utf-7": "utf-7",
}  # fmt: skip
# Codecs that are no charset, or cost more than linear time.
_NOT_CHARSETS = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem"})


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """Undo a transfer encoding by its lower-case name; every other name than the two encodings leaves the octets as they are."""
    if encoding == "base64":
        return decode_base64(data)
    if encoding == "quoted-printable":
        return decode_quoted_printable(data)
    return data


def decode_base64(data: bytes) -> bytes:
    """Decode base64: octets outside the alphabet are skipped, missing padding is added, reading goes on after padding."""
    try:
        return joined(_plain_base64(data, 0, len(data)))
    except ValueError:
        pass
    return joined(_decoded_runs(data))


def _decoded_runs(data: bytes) -> Iterator[bytes]:
    """Decode what stands between padding, each run for itself; behind `_MAX_RUNS` of them padding is left out."""
    rest, runs, padded = b"", 0, False
    for piece in pieces(data):
        clean = rest + piece.translate(None, _NO_BASE64)
        while runs < _MAX_RUNS and (end := clean.find(b"=")) >= 0:
            yield decode_run(clean[:end])
            runs += end > 0 or not padded  # else it goes on from the last piece
            clean = clean[end:].lstrip(b"=")
            padded = not clean
        if runs == _MAX_RUNS:
            clean = clean.replace(b"=", b"")
        padded = padded and not clean
        whole = len(clean) & ~3
        yield b64decode(clean[:whole])
        rest = clean[whole:]
    yield decode_run(rest)


def decode_run(clean: bytes) -> bytes:
    """Decode octets of the alphabet alone; six bits at the end are no octet."""
    if len(clean) <= PIECE:
        return b64decode((clean[:-1] if len(clean) & 3 == 1 else clean) + _PADDING[len(clean) & 3])
    return joined(map(decode_run, pieces(clean)))


def is_plain_base64(source: bytes, start: int, end: int) -> bool:
    """True where every decoder gives the same: the alphabet and line breaks, whole groups, padding at the end alone."""
    try:
        for _ in _plain_base64(source, start, end):
            pass
    except ValueError:
        return False
    return True


def _plain_base64(source: bytes, start: int, end: int) -> Iterator[bytes]:
    """Decode what is base64 by the letter, at half the cost. Raises ValueError for all else, which may be at its end."""
    rest, padded = b"", False
    for at in range(start, end, PIECE):
        clean = rest + source[at : min(at + PIECE, end)].replace(b"\r", b"").replace(b"\n", b"")
        if padded and clean:
            raise ValueError("padding within")
        whole = len(clean) & ~3
        octets = b64decode(clean[:whole], validate=True)
        padded = padded or clean.endswith(b"=", 0, whole)
        rest = clean[whole:]
        if padded and rest:
            raise ValueError("padding within")
        yield octets
    if rest:
        raise ValueError("no whole groups")


def is_plain_quoted_printable(source: bytes, start: int, end: int) -> bool:
    """True where every decoder gives the same: whole escapes, soft line breaks, no white space at the end of a line."""
    for piece in line_pieces(source, start, end):
        ends = _BLANK_ENDS if b"\t" in piece else _BLANK_ENDS[:2]
        if any(end in piece for end in ends) or _NO_ESCAPE.search(piece):
            return False
    return True


def broken_escapes(source: bytes, start: int, end: int, most: int) -> int:
    """Count what is no escape of quoted-printable, up to somewhat more than `most`."""
    found = 0
    for piece in line_pieces(source, start, end):
        found += len(_NO_ESCAPE.findall(piece))
        if found > most:
            break
    return found


def decode_quoted_printable(data: bytes) -> bytes:
    """Decode quoted-printable: line ends stay as they came, what is no escape stays as it stands."""
    return in_lines(_decode_lines, data)


def _decode_lines(data: bytes) -> bytes:
    if (b"= " in data or b"=\t" in data) and any(end in data for end in _BLANK_ENDS) and _SOFT_BREAK.search(data):
        for blank in (b"= ", b"=\t", b"=  "):  # nearly all of them, at a tenth of the pattern's cost
            data = data.replace(blank + b"\r\n", b"=\n").replace(blank + b"\n", b"=\n")
        data = _SOFT_BREAK.sub(b"=", data)
    if b"=\r" in data:  # a2b_qp takes "=" CR for a soft break and skips all up to the next LF
        data = data.replace(b"=\r\n", b"=\n").replace(b"=\r", b"=3D\r")
    return a2b_qp(data)


def decode_charset(data: bytes, charset: str) -> str:
    """Turn octets into text; an unknown charset, or none, is read as UTF-8, octets that are none as windows-1252."""
    name = _codec(charset.lower().strip(" \t\"'")) if charset else "utf-8"
    try:
        return data.decode(name)
    except (UnicodeError, ValueError):
        if name == "utf-8" and charset.lower() not in ("utf-8", "utf8"):
            name = "cp1252"
        return _replacing(data, name)


def _replacing(data: bytes, name: str) -> str:
    """Decode what is broken. The "replace" of single-octet and wide codecs costs a call for each error: not for them."""
    table = _single_octet_table(name)
    if table:
        return codecs.charmap_decode(data, "strict", table)[0]
    kept = _MAX_BROKEN_WIDE if name.startswith(("utf-16", "utf-32")) else len(data)
    try:
        return data[:kept].decode(name, "replace") + data[kept:].decode("latin-1")
    except (UnicodeError, ValueError):  # a codec that knows no "replace"
        return data.decode("latin-1")


@lru_cache(64)
def _single_octet_table(name: str) -> str:
    module = sys.modules.get("encodings." + name.replace("-", "_"))
    table = getattr(module, "decoding_table", "")
    return table.replace("\ufffe", "\ufffd") if isinstance(table, str) else ""


@lru_cache(512)
def _codec(charset: str) -> str:
    charset = _ALIASES.get(charset, charset)
    try:
        info = codecs.lookup(charset)
    except (LookupError, ValueError, UnicodeError):
        return "utf-8"
    if info.name in _NOT_CHARSETS or not getattr(info, "_is_text_encoding", True):
        return "utf-8"
    return info.name
