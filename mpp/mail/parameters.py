"""Parameters of Content-Type and Content-Disposition (RFC 2045, 5.1; RFC 2231), read as leniently as mail programs do.

Octets in, text out; nothing raises. Of two parameters of one name the first counts. Names are lower case.
"""

import re
from urllib.parse import unquote_to_bytes

from mpp.mail.decoding import decode_charset
from mpp.mail.words import decode_words

_MAX_VALUE = 1 << 16  # octets of one field that are read
_MAX_SECTIONS = 1000
_PARAMETER = re.compile(rb';[\s;]*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"?|([^;]*+))', re.DOTALL)
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_SECTION = re.compile(rb"([^*]+)(?:\*(\d{1,4}))?(\*)?")
_FOLD = re.compile(rb"\r?\n")


def parse_parameters(value: bytes) -> dict[str, str]:
    """Read the parameters behind the first semicolon of a raw field body; continuations joined, encoded words decoded."""
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bytes, bool]]] = {}
    for raw_name, quoted, token in _PARAMETER.findall(_FOLD.sub(b"", value[:_MAX_VALUE])):
        octets = _QUOTED_PAIR.sub(rb"\1", quoted) if quoted else token.rstrip()
        match = _SECTION.fullmatch(raw_name.lower()) if b"*" in raw_name else None
        if match is None:
            name = raw_name.lower().decode("latin-1")
            if name not in plain:
                plain[name] = _text(octets)
        elif match[2] is None:
            extended.setdefault(match[1].decode("latin-1"), _extended(octets))
        else:
            sections.setdefault(match[1].decode("latin-1"), {}).setdefault(int(match[2]), (octets, match[3] is not None))
    for name, numbered in sections.items():
        if 0 in numbered:
            extended.setdefault(name, _join(numbered))
    return plain | extended


def _text(octets: bytes) -> str:
    text = decode_charset(octets, "utf-8")
    return decode_words(text) if "=?" in text else text


def _extended(octets: bytes) -> str:
    charset, tick, rest = octets.partition(b"'")
    language, second, encoded = rest.partition(b"'")
    if not tick or not second:
        return decode_charset(unquote_to_bytes(octets), "utf-8")
    return decode_charset(unquote_to_bytes(encoded), charset.decode("latin-1"))


def _join(numbered: dict[int, tuple[bytes, bool]]) -> str:
    """Join sections in their order up to the first gap; the charset stands in the first one (RFC 2231, 4.1)."""
    first, encoded = numbered[0]
    charset = b""
    if encoded and first.count(b"'") >= 2:
        charset, _, first = first.split(b"'", 2)
    joined = [unquote_to_bytes(first) if encoded else first]
    for number in range(1, min(len(numbered), _MAX_SECTIONS)):
        if number not in numbered:
            break
        octets, encoded = numbered[number]
        joined.append(unquote_to_bytes(octets) if encoded else octets)
    whole = b"".join(joined)
    return decode_charset(whole, charset.decode("latin-1")) if charset else _text(whole)
