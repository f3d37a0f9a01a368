"""Changes to a message as spans: what is not named leaves byte for byte as it came (design rule 3).

For marks, removals and our own trace fields: edits are made from a message, gathered, and applied once, whole or not at
all, as a list of buffers that share the message's memory.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpp.mail.message import Field, Message

_PLACE = attrgetter("offset", "length")
_NAME = re.compile(rb"[!-9;-~]{1,200}")
_BODY = re.compile(rb"[^\r\n]*(?:\r\n[ \t][^\r\n]*)*")


class EditError(ValueError):
    """Edits that overlap or lie outside the message, or a field that would not be read back as one field."""


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace `length` octets at `offset` by `replacement`; length 0 inserts."""

    offset: int
    length: int
    replacement: bytes


def apply_edits(raw: bytes, edits: Iterable[Edit]) -> list[bytes | memoryview]:
    """Return the edited message as buffers in order. Raises EditError on overlap and on spans outside of `raw`.

    Insertions at one offset keep the order in which they were given, and stand before what a replacement that begins there
    puts in. Only positions within a replaced span collide with it, not its two ends.
    """
    ordered = sorted(edits, key=_PLACE)
    if not ordered:
        return [raw]
    whole = memoryview(raw)
    buffers: list[bytes | memoryview] = []
    position = 0
    for edit in ordered:
        if edit.offset < position:
            raise EditError("edits overlap" if edit.offset >= 0 else "edit before the message")
        if edit.offset > position:
            buffers.append(whole[position : edit.offset])
        if edit.replacement:
            buffers.append(edit.replacement)
        position = edit.offset + edit.length
        if edit.length < 0 or position > len(raw):
            raise EditError("edit outside of the message")
    if position < len(raw):
        buffers.append(whole[position:])
    return buffers


def insert_field(message: "Message", name: bytes, value: bytes) -> Edit:
    """Put a field on top. Raises EditError for a name or a value that would not stay one field."""
    return Edit(0, 0, _field(name, value, message.line_end))


def replace_field(message: "Message", field: "Field", value: bytes) -> Edit:
    """Give a field a new body, keeping its name as it came and its place. Raises EditError as `insert_field`."""
    return Edit(field.offset, field.length, _field(field.name, value, message.line_end))


def remove_field(field: "Field") -> Edit:
    """Take a field out with its line end."""
    return Edit(field.offset, field.length, b"")


def _field(name: bytes, value: bytes, line_end: bytes) -> bytes:
    if not _NAME.fullmatch(name):
        raise EditError("not a field name")
    if not _BODY.fullmatch(value):
        raise EditError("line break in a field's body that is no fold")
    whole = name + b": " + value + b"\r\n"
    return whole if line_end == b"\r\n" else whole.replace(b"\r\n", line_end)
