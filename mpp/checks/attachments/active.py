"""Active content in text formats: HTML, SVG, RTF; and the files that they carry within."""

import base64
import binascii
import re
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
_LONG_BASE64 = re.compile(rb"[\"'`]([A-Za-z0-9+/]{64,}={0,2})[\"'`]")
_OBJDATA = re.compile(rb"\\objdata\b\s*(?:\\[a-z]+-?\d*\s?|[{}\s])*((?:[0-9A-Fa-f]\s*){16,})")


def markup_flags(data: bytes) -> set[Flag]:
    """Return what is in a page or picture of markup."""
    text = data.replace(b"\0", b"") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else data
    return {Flag.ACTIVE} if _SCRIPT.search(text) else set()


def markup_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the files that a page carries in itself, as HTML smuggling does: data: URIs and long base64 literals."""
    found = [(match[1] or b"", match[2]) for match in _DATA_URI.finditer(data)]
    if _SCRIPT.search(data):
        found += [(b"", match[1]) for match in _LONG_BASE64.finditer(data)]
    for number, (kind, text) in enumerate(found, 1):
        if kind.lower().startswith((b"image/", b"font/")):
            continue
        meter.budget.entry()
        octets = _base64(text)
        if octets:
            meter.take(len(octets))
            yield Member(f"data-{number}", octets)


def _base64(text: bytes) -> bytes:
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", text.replace(b"%2B", b"+").replace(b"%2F", b"/").replace(b"%3D", b""))
    try:
        return base64.b64decode(clean[: len(clean) // 4 * 4] + _padded(clean[len(clean) // 4 * 4 :]))
    except binascii.Error:
        return b""


def _padded(rest: bytes) -> bytes:
    return rest + b"=" * (-len(rest) % 4) if len(rest) > 1 else b""


def rtf_members(data: bytes, meter: Meter) -> Iterator[Member]:
    """Yield the objects that an RTF text embeds, as the octets of their hexadecimal text (RTF 1.9.1, objects)."""
    for number, match in enumerate(_OBJDATA.finditer(data), 1):
        meter.budget.entry()
        digits = re.sub(rb"[^0-9A-Fa-f]", b"", match[1])
        octets = binascii.unhexlify(digits[: len(digits) // 2 * 2])
        meter.take(len(octets))
        start = octets.find(b"\xd0\xcf\x11\xe0")
        yield Member(f"object-{number}", octets[start:] if start > 0 else octets)
