"""Parameters of Content-Type and Content-Disposition (RFC 2045, 5.1; RFC 2231), read as leniently as mail programs do.

Octets in, text out; nothing raises. Of two parameters of one name the first counts. Names are lower case.
"""

import re
from urllib.parse import unquote_to_bytes

from mpp.mail.decoding import decode_charset
from mpp.mail.words import decode_words

_MAX_VALUE = 1 << 15  # octets of one field that are read
_PARAMETER = re.compile(rb';[\s;]*+(?:([^\s=;"]++)\s*+=\s*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"?|([^;]*+)))?', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_SECTION = re.compile(rb"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_FOLD = re.compile(rb"\r?\n")


def parse_parameters(value: bytes) -> dict[str, str]:
    """Read the parameters behind the first semicolon of a raw field body; continuations joined, encoded words decoded."""
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for raw_name, quoted, token in _PARAMETER.findall(_FOLD.sub(b"", value[:_MAX_VALUE])):
        if not raw_name:  # the pattern takes a run of semicolons alone too: tried again at each, it would be quadratic
            continue
        octets = _QUOTED_PAIR.sub(rb"\1", quoted) if b"\\" in quoted else quoted or token.rstrip()
        match = _SECTION.fullmatch(raw_name.lower()) if b"*" in raw_name else None
        if match is None:
            name = raw_name.lower().decode("latin-1")
            if name not in plain:
                plain[name] = _text(octets)
        elif match[2] is None:
            extended.setdefault(match[1].decode("latin-1"), _extended(octets))
        else:
            sections.setdefault(match[1].decode("latin-1"), {}).setdefault(
                int(match[2]), (octets, match[3] is not None)
            )
    for name, numbered in sections.items():
        extended.setdefault(name, _join(numbered))
    return plain | extended


def _text(octets: bytes) -> str:
    text = decode_charset(octets, "")
    return decode_words(text) if "=?" in text else text


def _extended(octets: bytes) -> str:
    charset, tick, rest = octets.partition(b"'")
    _language, second, encoded = rest.partition(b"'")
    if not tick or not second:
        return decode_charset(unquote_to_bytes(octets), "utf-8")
    return decode_charset(unquote_to_bytes(encoded), charset.decode("latin-1"))


def _join(numbered: dict[int, tuple[bytes, bool]]) -> str:
    """Join sections by their numbers, gaps or not, as mail programs do; the charset stands in the first (RFC 2231, 4.1)."""
    charset = b""
    joined: list[bytes] = []
    for _, (octets, encoded) in sorted(numbered.items()):
        if encoded and not joined and octets.count(b"'") >= 2:
            charset, _language, octets = octets.split(b"'", 2)
        joined.append(unquote_to_bytes(octets) if encoded else octets)
    whole = b"".join(joined)
    return decode_charset(whole, charset.decode("latin-1")) if charset else _text(whole)
