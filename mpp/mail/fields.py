"""Header fields as spans (RFC 5322, 2.2), read from any octets; used for the message and for each of its parts.

Lines end with CRLF or LF, mixed as they come; a CR alone is an octet like others. The header ends before the first empty
line, or with the octets. Lines that are neither field nor continuation are skipped: they stay in the message, in no field.
"""

import re
from itertools import chain, compress, islice
from operator import itemgetter
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


class Header:
    """The fields of a header. Their names are there at once; fields are made when somebody asks: usual mail has none that matters."""

    __slots__ = ("_fields", "_pairs", "_start", "clean", "exceeded", "keys")

    def __init__(self, pairs: list[tuple[bytes, bytes]], start: int, fields: list[Field] | None = None) -> None:
        self._pairs = pairs  # names and values; the values may have the CR of their last line end
        self._start = start  # without `fields`: every octet from here on belongs to one of them
        self._fields = fields
        self.keys = list(map(bytes.lower, map(itemgetter(0), pairs)))  # lower case, in order
        self.clean = True  # every octet belongs to a field
        self.exceeded = False  # there were more fields

    @property
    def fields(self) -> list[Field]:
        """All of them in order; not to be changed."""
        if self._fields is None:
            self._fields, offset = [], self._start
            for (name, value), key in zip(self._pairs, self.keys, strict=True):
                length = len(name) + len(value) + 2
                self._fields.append(_new(Field, (name, key, offset, length, value.removesuffix(b"\r"))))
                offset += length
        return self._fields

    def values(self, key: bytes) -> list[bytes]:
        """Return the raw values of the fields of that name (lower case) in order."""
        if key not in self.keys:
            return []
        found = compress(self._pairs, map(key.__eq__, self.keys))
        return [value.removesuffix(b"\r") for _, value in found]


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
    if end - start <= _SMALL and raw[end - 1 : end] == b"\n":
        pairs = _FIELD.findall(raw, start, end)
        # Only where the lengths add up was nothing skipped, no colon stood apart, and the offsets are right: with a line
        # end behind the last field every such oddity makes the fields longer than their sum.
        if sum(map(len, chain.from_iterable(pairs))) + 2 * len(pairs) == end - start and len(pairs) <= limit:
            return Header(pairs, start)
    pairs, fields, covered = [], list[Field](), 0
    matches = _FIELD.finditer(raw, start, end)
    for match in islice(matches, limit):
        name, value = match.groups()
        offset = match.start()
        length = match.end() - offset
        covered += length
        pairs.append((name, value))
        fields.append(Field(name, name.lower(), offset, length, value.removesuffix(b"\r")))
    header = Header(pairs, start, fields)
    header.exceeded = len(fields) == limit and next(matches, None) is not None
    header.clean = header.exceeded or covered == end - start
    return header
