"""Header fields as spans (RFC 5322, 2.2), read from any octets; used for the message and for each of its parts.

Lines end with CRLF or LF, mixed as they come; a CR alone is an octet like others. The header ends before the first empty
line, or with the octets. Lines that are neither field nor continuation are skipped: they stay in the message, in no field.
"""

import re
from itertools import islice
from typing import NamedTuple

_SMALL = 1 << 16
_EMPTY_LINE = re.compile(rb"\n\r?\n")  # one search for both forms: it ends at the first, whichever comes
# Anchored at lines: without it a long run of octets without a colon is tried again from each of its octets.
_FIELD = re.compile(rb"^([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)(?:\n|\Z)", re.MULTILINE)

_new = tuple.__new__  # a named tuple made by its own constructor costs twice as much


class Field(NamedTuple):
    """One field. `value` is raw: folds and white space as they came, without the last line end."""

    name: bytes  # as it came
    key: bytes  # lower case
    offset: int
    length: int  # with its line end
    value: bytes


class Header(NamedTuple):
    fields: list[Field]
    clean: bool  # every octet belongs to a field
    exceeded: bool  # there were more fields


def header_end(raw: bytes, start: int, end: int) -> tuple[int, int]:
    """Return where the header's last line ends and where the body begins; both are `end` where there is no empty line."""
    if raw.startswith(b"\n", start, end):
        return start, start + 1
    if raw.startswith(b"\r\n", start, end):
        return start, start + 2
    match = _EMPTY_LINE.search(raw, start, end)
    return (match.start() + 1, match.end()) if match is not None else (end, end)


def read_fields(raw: bytes, start: int, end: int, limit: int) -> Header:
    """Read the fields between `start` and `end`, at most `limit`."""
    fields: list[Field] = []
    if end - start <= _SMALL and raw[end - 1 : end] == b"\n":
        offset = start
        for name, value in _FIELD.findall(raw, start, end):
            length = len(name) + len(value) + 2
            if value[-1:] == b"\r":
                value = value[:-1]
            fields.append(_new(Field, (name, name.lower(), offset, length, value)))
            offset += length
        # Only where the lengths add up was nothing skipped, no colon stood apart, and the offsets are right: with a line
        # end behind the last field every such oddity makes the fields longer than their sum.
        if offset == end and len(fields) <= limit:
            return Header(fields, True, False)
        fields.clear()
    covered = 0
    matches = _FIELD.finditer(raw, start, end)
    for match in islice(matches, limit):
        name, value = match.groups()
        offset = match.start()
        length = match.end() - offset
        covered += length
        fields.append(Field(name, name.lower(), offset, length, value[:-1] if value[-1:] == b"\r" else value))
    exceeded = len(fields) == limit and next(matches, None) is not None
    return Header(fields, exceeded or covered == end - start, exceeded)
