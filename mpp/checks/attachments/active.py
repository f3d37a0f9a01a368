"""Active content in text formats: HTML, SVG, RTF; and the files that they carry within."""

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator

from mpp.checks.attachments.budget import Meter
from mpp.checks.attachments.item import Flag, Member

_SCRIPT = re.compile(
    rb"<script[\s>/]|<[a-z][^<]*[\s\"'/]on[a-z]{3,20}\s*=|javascript:|vbscript:|<(?:object|embed|applet|iframe)[\s>]"
    rb"|<(?:script:event-listener|script:module|office:script)[\s>]",
    re.IGNORECASE,
)
_DATA_URI = re.compile(
    rb"data:([a-z0-9.+-]+/[a-z0-9.+-]+)?(?:;[a-z0-9=.-]+)*;base64,([A-Za-z0-9+/=%\s]{16,})", re.IGNORECASE
)
# Literals that hold files: in quotes or between tags, in one piece or in lines; joined where they are cut into pieces; as numbers or escapes.
_SUM = re.compile(rb"(?<=[A-Za-z0-9+/=_-]{8})[\"'`]\s{0,200}+\+\s{0,200}+[\"'`]|\\\r?\n")
_LIST = re.compile(rb"(?<=[A-Za-z0-9+/=_-]{8})[\"'`]\s{0,200}+,\s{0,200}+[\"'`]")
_BASE64 = re.compile(
    rb"[\"'`>]\s{0,200}+((?:[A-Za-z0-9+/_-]{40,}+\s{1,20}+)*[A-Za-z0-9+/_-]+={0,2})\s{0,200}+(?=[\"'`<])"
)
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")
_NUMBERS = re.compile(rb"[\[(]\s{0,200}+((?:\d{1,3}\s{0,20}+,\s{0,20}+){31,}\d{1,3})")
_ESCAPES = re.compile(rb"(?:(?:\\x|\\u00|%)[0-9A-Fa-f]{2}){32,}")
_ESCAPE = re.compile(rb"\\x|\\u00|%")
_FROM_URLS = bytes.maketrans(b"-_", b"+/")
_SHORTEST, _PIECE = 64, 512  # characters of a literal, and of one that counts beside any number of its length
_MANY = 100
_RTF_ACTIVE = re.compile(rb"\\obj(?:data|update|autlink|emb|link|ocx|html)|\\\*\s*\\template\b")
_OBJDATA = re.compile(rb"\\objdata\b\s*(?:\\[a-z]+-?\d*\s?|[{}\s])*((?:[0-9A-Fa-f]\s*){16,})")


def markup_text(data: bytes) -> bytes:
    """Return the text of a page as the patterns here have it: one octet a character."""
    return data.replace(b"\0", b"") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else data


def markup_flags(text: bytes) -> set[Flag]:
    """Return what is in a page or picture of markup."""
    return {Flag.ACTIVE} if _SCRIPT.search(text) else set()


def markup_members(text: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files that a page carries in itself, as HTML smuggling does: data: URIs, and long literals in each of the usual writings.

    What a script computes is not seen; that it has scripts is.
    """
    for number, octets in enumerate(_carried(text), 1):
        meter.budget.entry()
        meter.take(len(octets))
        if octets:
            yield Member(f"data-{number}", octets)


def _carried(text: bytes) -> Iterator[bytes]:
    for match in _DATA_URI.finditer(text):
        if not (match[1] or b"").lower().startswith((b"image/", b"font/")):
            yield _base64(match[2])
    for match in _ESCAPES.finditer(text):
        yield binascii.unhexlify(_ESCAPE.sub(b"", match[0]))
    if not (_SCRIPT.search(text) or text.lstrip().startswith(b"<?xml")):
        return
    for match in _NUMBERS.finditer(text):
        numbers = [int(number) for number in match[1].split(b",")]
        yield bytes(numbers) if max(numbers) < 256 else b""
    yield from map(_decoded, dict.fromkeys(_literals(text)))


def _literals(text: bytes) -> Iterator[bytes]:
    """Yield the long literals: those in a list or call as the pieces of one, and then each for itself, as it may be a file with its name.

    Many short ones of one length are pieces of a file, or digests: to look into each of them would take seconds.
    """
    summed = _SUM.sub(b"", text)
    yield from _long(_LIST.sub(b"", summed))
    alone = list(_long(summed))
    alike = Counter(map(len, alone))
    yield from (literal for literal in alone if len(literal) >= _PIECE or alike[len(literal)] < _MANY)


def _long(text: bytes) -> Iterator[bytes]:
    literals = (b"".join(match[1].split()) for match in _BASE64.finditer(text))
    return (literal for literal in literals if len(literal) >= _SHORTEST)


def _decoded(literal: bytes) -> bytes:
    return binascii.unhexlify(literal) if _HEX.fullmatch(literal) else _base64(literal)


def _base64(text: bytes) -> bytes:
    plain = text.replace(b"%2B", b"+").replace(b"%2F", b"/").replace(b"%3D", b"")
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", plain.translate(_FROM_URLS))
    try:
        return base64.b64decode(clean[: len(clean) // 4 * 4] + _padded(clean[len(clean) // 4 * 4 :]))
    except binascii.Error:
        return b""


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (-len(rest) % 4) if len(rest) > 1 else b""


def rtf_flags(data: bytes) -> set[Flag]:
    """Return what is in an RTF text: objects, however they are written, and a template from elsewhere."""
    return {Flag.ACTIVE} if _RTF_ACTIVE.search(data) else set()


def rtf_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the objects that an RTF text embeds, as the octets of their hexadecimal text (RTF 1.9.1, objects)."""
    for number, match in enumerate(_OBJDATA.finditer(data), 1):
        meter.budget.entry()
        digits = re.sub(rb"[^0-9A-Fa-f]", b"", match[1])
        octets = binascii.unhexlify(digits[: len(digits) // 2 * 2])
        meter.take(len(octets))
        start = octets.find(b"\xd0\xcf\x11\xe0")
        yield Member(f"object-{number}", octets[start:] if start > 0 else octets)
