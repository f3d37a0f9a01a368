"""What Postfix would ask its tables about a message: logical header lines and body lines (header_checks(5), body_checks(5)).

Headers: of the message, of its parts, and of messages within, as header_checks sees them where mime_header_checks and
nested_header_checks are not set. A folded field is one key with its line breaks in it. Body: all other lines as they came, not
decoded, between two headers those that begin in the first 51,200 octets (body_checks_size_limit).
Keys are octets without CR before LF; none is longer than 102,400 (header_size_limit) or 2,048 (line_length_limit) octets.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mpp.mail.message import Field, Message
from mpp.mail.part import Part

BODY_LIMIT, HEADER_LIMIT, LINE_LIMIT = 51_200, 102_400, 2048
_MOST_PARTS = 500
_LINE = re.compile(rb"[^\n]*+\n|[^\n]++")


class Line(NamedTuple):
    """Where a key stands in the message as it came: octets."""

    key: bytes
    offset: int
    length: int  # without its line end
    whole: int  # with it; a piece of a long line has none but the last


def header_text(message: Message) -> bytes:
    """Return all headers as one text."""
    blocks = [message.raw[: message.header_length]]
    blocks += [part.source[part.header : part.header_end] for part in _parts(message)]
    return b"\n".join(blocks).replace(b"\r\n", b"\n")


def header_keys(message: Message) -> Iterator[bytes]:
    """Yield the logical header lines in order."""
    for field in message.fields:
        yield _key(message.raw, field)
    for part in _parts(message):
        for field in part.fields:
            yield _key(part.source, field)


def body_text(message: Message) -> bytes:
    """Return the lines that body_checks would see as one text, and those of messages within that are encoded."""
    texts = [message.raw[start:end] for start, end in _segments(message)]
    texts += [
        part.source[part.body : part.end][:BODY_LIMIT] for part in _leaves(message) if part.source is not message.raw
    ]
    return b"\n".join(texts).replace(b"\r\n", b"\n")


def body_keys(text: bytes) -> Iterator[bytes]:
    """Yield the lines of `body_text`; long ones in pieces, as Postfix has them."""
    for line in text.split(b"\n"):
        if len(line) <= LINE_LIMIT:
            yield line
        else:
            yield from (line[at : at + LINE_LIMIT] for at in range(0, len(line), LINE_LIMIT))


def header_lines(message: Message) -> Iterator[Line]:
    """Yield where the keys of the header stand; those of messages within that are encoded stand nowhere."""
    own = [message.fields, *(part.fields for part in _parts(message) if part.source is message.raw)]
    for fields in own:
        for field in fields:
            end = field.offset + field.length
            length = len(message.raw[field.offset : end].rstrip(b"\r\n"))
            yield Line(_key(message.raw, field), field.offset, length, field.length)


def body_lines(message: Message) -> Iterator[Line]:
    """Yield where the keys of the body stand."""
    for start, end in _segments(message):
        for match in _LINE.finditer(message.raw, start, end):
            text = match[0]
            text = text[:-1].removesuffix(b"\r") if text.endswith(b"\n") else text
            yield from _pieces(text, match.start(), match.end())


def _segments(message: Message) -> Iterator[tuple[int, int]]:
    """Yield the spans between headers, as far as lines of them are looked at."""
    raw, start = message.raw, message.header_length
    inner = [part for part in message.root.walk() if part.source is raw][1 : _MOST_PARTS + 1]
    for part in (*inner, None):
        until = len(raw) if part is None else part.header
        if start < until:
            yield start, min(until, raw.find(b"\n", start + BODY_LIMIT - 1, until) + 1 or until)
        start = part.body if part is not None else until


def _pieces(text: bytes, offset: int, end: int) -> Iterator[Line]:
    for at in range(0, len(text) or 1, LINE_LIMIT):
        piece = text[at : at + LINE_LIMIT]
        last = at + LINE_LIMIT >= len(text)
        yield Line(piece, offset + at, len(piece), end - offset - at if last else len(piece))


def _parts(message: Message) -> list[Part]:
    """The parts that have a header of their own."""
    root = message.root
    return [part for part in root.walk() if part is not root and part.header < part.header_end][:_MOST_PARTS]


def _leaves(message: Message) -> list[Part]:
    return message.leaves()[:_MOST_PARTS]


def _key(source: bytes, field: Field) -> bytes:
    text = source[field.offset : field.offset + field.length][:HEADER_LIMIT]
    return text.replace(b"\r\n", b"\n").rstrip(b"\n")
