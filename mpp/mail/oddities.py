"""Says by what a message could be read in more than one way. A cheap look: who finds nothing spares all other readings.

Called by mpp.mail.message. It names too much rather than too little: what is named here is only read again, and what all
dialects read alike is no ambiguity. Nothing raises.
"""

import re
from functools import lru_cache

from mpp.mail.decoding import is_plain_base64, is_plain_quoted_printable
from mpp.mail.part import Part
from mpp.mail.pieces import find

_ENCODED = ("base64", "quoted-printable")
_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"})
_READ_DIFFERENTLY = frozenset({"message/partial", "message/external-body", "message/global", "message/news"})
_CACHED = 2048  # octets of a header or value that are kept with their answer: those of parts are the same few
_FIELDS = re.compile(rb"(?:[!-9;-~]++:[^\n]*+(?:\n|\Z)(?:[ \t][^\n]*+(?:\n|\Z))*)*")
_BLANK_FOLD = re.compile(rb"\n[ \t]++\r?\n")
_CONTENT = re.compile(rb"content-(type|transfer-encoding|disposition):([^\n]*+(?:\n[ \t][^\n]*+)*+)", re.IGNORECASE)
_PARAMETERS = re.compile(
    rb"[ \t\r\n]*+[a-z0-9.+_-]++(/[a-z0-9.+_-]++)?[ \t]*+"
    rb"(?:;[ \t\r\n]*+[a-z0-9_-]++=(?:[^\x00-\x20\x7f-\xff()<>@,;:\\\"/\[\]?='%]++"
    rb"|\"[^\"\\;\x00-\x1f\x7f-\xff?<>]*+\")[ \t\r\n]*+)*;?[ \t\r\n]*+",
    re.IGNORECASE,
)
_NAMES = re.compile(rb";[ \t\r\n]*+([A-Za-z0-9_-]++)=")


def oddities(root: Part, defects: dict[str, None], near_delimiter: bool) -> tuple[str, ...]:
    """Name what is odd, each once; "" is never among it. `near_delimiter`: a line only begins like a delimiter."""
    found = dict(defects)
    if near_delimiter:
        found["near-delimiter"] = None
    source, looked = root.source, 0
    for part in root.walk() if root.children else (root,):
        header = part.source[part.header : part.header_end]
        for odd in _odd_header(header) if len(header) <= _CACHED else _look(header):
            found[odd] = None
        odd = _odd_container(part) if part.children or part.content.multipart else _odd_body(part)
        if odd:
            found[odd] = None
        elif part.children and not part.content.message and (part.source is not source or part.end > looked):
            source, looked = part.source, part.end  # containers within it need not be looked through again
            if find(part.source, b"\r--", part.body, part.end) >= 0:
                found["bare-cr"] = None
    return tuple(found)


def _look(header: bytes) -> tuple[str, ...]:
    """Name what is odd about a header."""
    found = []
    if header.count(b"\r") != header.count(b"\r\n"):
        found.append("bare-cr")
    if _BLANK_FOLD.search(header) or not _FIELDS.fullmatch(header):
        found.append("header-line")
    lowered = b"\n" + header.lower()
    seen = set()
    at = lowered.find(b"\ncontent-")
    while at >= 0:
        match = _CONTENT.match(header, at)
        if match is not None:
            name, value = match[1].lower(), match[2]
            if name in seen:
                found.append("repeated-field")
            elif not (_plain(name, value) if len(value) <= _CACHED else _is_plain(name, value)):
                found.append("content-" + name.decode("ascii"))
            seen.add(name)
        elif lowered.startswith((b"type", b"transfer", b"disposition"), at + 9):
            found.append("header-line")
        at = lowered.find(b"\ncontent-", at + 1)
    return tuple(found)


_odd_header = lru_cache(1024)(_look)


def _is_plain(name: bytes, value: bytes) -> bool:
    """True where nobody can read the value of a field in another way."""
    value = value.removesuffix(b"\r")
    if name == b"transfer-encoding":
        return value.lstrip(b" \t").lower() in _ENCODINGS
    match = _PARAMETERS.fullmatch(value)
    if match is None:
        return False
    names = [each.lower() for each in _NAMES.findall(value)]
    if name == b"type" and (
        match[1] is None or (b"boundary" in names) is not value.lower().lstrip().startswith(b"multipart/")
    ):
        return False
    return len(set(names)) == len(names)


_plain = lru_cache(1024)(_is_plain)


def _odd_container(part: Part) -> str:
    """Name what is odd between the parts of a container."""
    content = part.content
    if content.encoding in _ENCODED:
        return "encoded-container"
    if not part.children:
        return "no-parts"
    if content.message:
        return "message" if content.type in _READ_DIFFERENTLY else ""
    source, first, last = part.source, part.children[0], part.children[-1]
    if _more(source, b"--", part.body, first.header, 1 + content.boundary.count(b"--")):
        return "delimiter-in-preamble"
    if _more(source, b"\n--" + content.boundary, max(last.end - 1, part.body), part.end, 1):
        return "delimiter-after-end"
    return "delimiter-break" if any(_breaks_differ(source, child.end) for child in part.children) else ""


def _breaks_differ(source: bytes, end: int) -> bool:
    """True where the line of the delimiter behind a body ends otherwise than the body: to some as many octets are no part of that."""
    before = source.startswith(b"\r\n", end)
    feed = find(source, b"\n", end + 1 + before, len(source))
    return before is not (feed >= 0 and source[feed - 1] == 13)


def _more(source: bytes, needle: bytes, start: int, end: int, most: int) -> bool:
    """True where the needle stands there more often than `most` times."""
    for _ in range(most + 1):
        at = find(source, needle, start, end)
        if at < 0:
            return False
        start = at + len(needle)
    return True


def _odd_body(part: Part) -> str:
    """Name what is odd about a leaf."""
    if part.type in _READ_DIFFERENTLY or (part.content.message and part.encoding in _ENCODED):
        return "message"
    if part.encoding == "base64":
        return "" if is_plain_base64(part.source, part.body, part.end) else "base64"
    if part.encoding == "quoted-printable":
        return "" if is_plain_quoted_printable(part.source, part.body, part.end) else "quoted-printable"
    return ""
