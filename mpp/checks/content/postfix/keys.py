"""What Postfix would ask its tables about a message: logical header lines and body lines (header_checks(5), body_checks(5)).

Headers: of the message, of its parts, and of messages within, as header_checks sees them where mime_header_checks and
nested_header_checks are not set. A folded field is one key with its line breaks in it. Body: all other lines as they came, not
decoded, between two headers those that begin in the first 51,200 octets (body_checks_size_limit).
Keys are octets without CR before LF; none is longer than 102,400 (header_size_limit) or 2,048 (line_length_limit) octets.
"""

from collections.abc import Container, Iterator
from typing import NamedTuple

from mpp.mail.message import Field, Message
from mpp.mail.part import Part

BODY_LIMIT, HEADER_LIMIT, LINE_LIMIT = 51_200, 102_400, 2048
_MOST_PARTS = 500


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


def header_lines(message: Message, wanted: Container[bytes]) -> Iterator[Line]:
    """Yield where some of the header's keys stand; those of messages within that are encoded stand nowhere."""
    raw = message.raw
    for fields in (message.fields, *(part.fields for part in _parts(message) if part.source is raw)):
        for field in fields:
            if (key := _key(raw, field)) in wanted:
                length = len(raw[field.offset : field.offset + field.length].rstrip(b"\r\n"))
                yield Line(key, field.offset, min(length, HEADER_LIMIT), field.length)


def body_lines(message: Message, wanted: Container[bytes]) -> Iterator[Line]:
    """Yield where some of the body's keys stand."""
    for start, end in _segments(message):
        at = start
        for text in message.raw[start:end].split(b"\n"):
            after = at + len(text) + 1
            line = text.removesuffix(b"\r") if after <= end else text
            if len(line) > LINE_LIMIT:
                yield from _pieces(line, at, min(after, end), wanted)
            elif line in wanted and at < end:
                yield Line(line, at, len(line), min(after, end) - at)
            at = after


def _pieces(text: bytes, offset: int, end: int, wanted: Container[bytes]) -> Iterator[Line]:
    for at in range(0, len(text), LINE_LIMIT):
        piece = text[at : at + LINE_LIMIT]
        if piece in wanted:
            last = at + LINE_LIMIT >= len(text)
            yield Line(piece, offset + at, len(piece), end - offset - at if last else len(piece))


def _segments(message: Message) -> Iterator[tuple[int, int]]:
    """Yield the spans between headers, as far as lines, and pieces of long ones, begin below the limit."""
    raw, start = message.raw, message.header_length
    inner = [part for part in message.root.walk() if part.source is raw][1 : _MOST_PARTS + 1]
    for part in (*inner, None):
        until = len(raw) if part is None else part.header
        if start < until:
            most = min(until, start + BODY_LIMIT + LINE_LIMIT)
            yield start, raw.find(b"\n", start + BODY_LIMIT - 1, most) + 1 or most
        start = part.body if part is not None else until


def _parts(message: Message) -> list[Part]:
    """The parts that have a header of their own."""
    root = message.root
    return [part for part in root.walk() if part is not root and part.header < part.header_end][:_MOST_PARTS]


def _leaves(message: Message) -> list[Part]:
    return message.leaves()[:_MOST_PARTS]


def _key(source: bytes, field: Field) -> bytes:
    text = source[field.offset : field.offset + field.length][:HEADER_LIMIT]
    return text.replace(b"\r\n", b"\n").rstrip(b"\n")
