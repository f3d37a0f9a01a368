"""What the header of a part says about its body: the one place of the decisions that parsers make differently.

Which of several fields counts, which type, which boundary, which encoding and which name: here and nowhere else, so that
another reading of the same message is another set of these answers. Values come raw, results are cached: the same few
headers stand above most parts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from mpp.mail.parameters import parse_parameters

_CONTENT_FIELD = re.compile(
    rb"content-(type|transfer-encoding|disposition)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE
)
_MAX_FIELDS = 1000
_REPEATED = 256  # octets: headers of parts are short and the same few; a message's own never comes again
_CACHED = 1024  # octets of a value that is kept with its answer
_TYPE = re.compile(r"\s*([^\s;/\"]+)\s*/\s*([^\s;/\"]+)")
_TOKEN = re.compile(r"\s*([^\s;]+)")  # a quoted encoding is no known encoding to anybody
_BOUNDARY_END = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Content:
    """One reading of a part's header."""

    type: str  # lower case; text/plain where missing or broken
    parameters: Mapping[str, str]  # of Content-Type
    encoding: str  # lower case, "" where there is none
    disposition: str  # lower case, "" where there is none
    name: str | None  # decoded, as it came otherwise: a path, or hostile
    boundary: bytes  # b"" for what is not split into parts
    other_name: str = ""  # that of Content-Type, where it is not `name`: some programs go by it

    @property
    def multipart(self) -> bool:
        return self.type.startswith("multipart/")

    @property
    def message(self) -> bool:
        """True where the body is a message with header and parts of its own."""
        return self.type in ("message/rfc822", "message/global")


def content_of(header: bytes, default: str = "text/plain") -> Content:
    """Read the fields of a raw header. `default` is the type of a part without one (RFC 2046, 5.1.5)."""
    return _read_before(header, default) if len(header) <= _REPEATED else _read(header, default)


def _read(header: bytes, default: str) -> Content:
    found: dict[bytes, bytes] = {}
    lowered = b"\n" + header.lower()  # one find costs a tenth of a search without regard to case
    position = -1
    for _ in range(_MAX_FIELDS):
        position = lowered.find(b"\ncontent-", position + 1)
        if position < 0:
            break
        match = _CONTENT_FIELD.match(header, position)
        if match is not None:
            found.setdefault(match[1].lower(), match[2])
    kind, encoding, disposition = found.get(b"type"), found.get(b"transfer-encoding"), found.get(b"disposition")
    short = len(kind or b"") + len(encoding or b"") + len(disposition or b"") <= _CACHED
    return (_content_before if short else _content)(kind, encoding, disposition, default)


_read_before = lru_cache(1024)(_read)


def _content(kind: bytes | None, encoding: bytes | None, disposition: bytes | None, default: str) -> Content:
    declared, parameters = _type(kind, default)
    placed, names = _disposition(disposition)
    other = parameters.get("name") or ""
    name = names.get("filename") or other or None
    boundary = b""
    if declared.startswith("multipart/"):
        boundary = parameters.get("boundary", "").rstrip(_BOUNDARY_END).encode("utf-8", "surrogateescape")
    return Content(declared, parameters, _encoding(encoding), placed, name, boundary, "" if other == name else other)


_content_before = lru_cache(1024)(_content)


def _type(value: bytes | None, default: str) -> tuple[str, Mapping[str, str]]:
    if value is None:
        return default, {}
    match = _TYPE.match(value[:256].decode("latin-1"))
    parameters = parse_parameters(value)
    return (f"{match[1]}/{match[2]}".lower() if match else "text/plain"), parameters


def _encoding(value: bytes | None) -> str:
    match = _TOKEN.match(value[:256].decode("latin-1")) if value else None
    return match[1].lower() if match else ""


def _disposition(value: bytes | None) -> tuple[str, Mapping[str, str]]:
    if value is None:
        return "", {}
    match = _TOKEN.match(value[:256].decode("latin-1"))
    return (match[1].lower() if match else ""), parse_parameters(value)
