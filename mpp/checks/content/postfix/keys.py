"""What Postfix would ask its tables about a message: logical header lines and body lines (header_checks(5), body_checks(5)).

Headers: of the message, of its parts, and of messages within, as header_checks sees them where mime_header_checks and
nested_header_checks are not set. A folded field is one key with its line breaks in it. Body: the lines of each part as they
came, not decoded, up to Postfix's 51,200 octets of a part (body_checks_size_limit). Lines between parts are left out.
Keys are octets without CR before LF; none is longer than 102,400 (header_size_limit) or 2,048 (line_length_limit) octets.
"""

from collections.abc import Iterator

from mpp.mail.message import Field, Message
from mpp.mail.part import Part

BODY_LIMIT, HEADER_LIMIT, LINE_LIMIT = 51_200, 102_400, 2048
_MOST_PARTS = 500


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
    """Return the lines that body_checks would see as one text."""
    return b"\n".join(
        part.source[part.body : min(part.end, part.body + BODY_LIMIT)] for part in _leaves(message)
    ).replace(b"\r\n", b"\n")


def body_keys(text: bytes) -> Iterator[bytes]:
    """Yield the lines of `body_text`; long ones in pieces, as Postfix has them."""
    for line in text.split(b"\n"):
        if len(line) <= LINE_LIMIT:
            yield line
        else:
            yield from (line[at : at + LINE_LIMIT] for at in range(0, len(line), LINE_LIMIT))


def _parts(message: Message) -> list[Part]:
    """The parts that have a header of their own."""
    root = message.root
    return [part for part in root.walk() if part is not root and part.header < part.header_end][:_MOST_PARTS]


def _leaves(message: Message) -> list[Part]:
    return message.leaves()[:_MOST_PARTS]


def _key(source: bytes, field: Field) -> bytes:
    text = source[field.offset : field.offset + field.length][:HEADER_LIMIT]
    return text.replace(b"\r\n", b"\n").rstrip(b"\n")
