"""What a program makes of MIME, as a set of answers for mpp.mail.dialects.reader; each program is a subclass in a module of its own.

The answers differ only where mail is broken: where a header ends and which lines of it are fields, which of several fields
counts, how a value is taken apart, what a delimiter is, how a body is decoded, and what becomes of a multipart without
parts. Octets in, values out; nothing raises, everything is linear.
"""

import re
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

from mpp.mail.content import Content

Fields = Sequence[tuple[bytes, bytes]]  # name in lower case, raw value
Decoder = Callable[[bytes], bytes]
MAX_VALUE = 1 << 15  # octets of one field that are read
MAX_HEADER = 1 << 19  # octets of one header; what is beyond is body


class Head(NamedTuple):
    """A header: its fields, where they end, and where the body begins."""

    fields: Fields
    end: int
    body: int


class Dialect:
    """The answers that most programs give, and the questions to which each has its own."""

    name: str
    line_ends: ClassVar[bytes] = b"\n"  # each of these octets ends a line
    line: ClassVar[re.Pattern[bytes]] = re.compile(rb"--[^\n]*+")  # may be a delimiter, if it begins a line
    blank: ClassVar[bytes] = b" \t\r"  # octets behind a delimiter that do not count
    childless: ClassVar[Literal["body", "empty", "nothing"]] = "body"  # what is left of a multipart without parts
    repeated: ClassVar[bool] = False  # delimiter lines one behind the other count as one
    outer_first: ClassVar[bool] = False  # in a preamble the delimiters of the multiparts around are looked for first
    # What a delimiter within a header leaves of the part.
    cut_header: ClassVar[Literal["no body", "no part", "void"]] = "no body"
    break_as_delimiter: ClassVar[bool] = False  # a body loses as many octets as the line break behind its delimiter has
    innermost: bool = False  # only the delimiters of the innermost multipart count
    last_needs_octets: ClassVar[bool] = False  # a delimiter that the octets end with begins no part

    def head(self, raw: bytes, start: int, stop: int, *, top: bool) -> Head | None:
        """Read the header at `start`, which ends at `stop` at the latest. None: the program refuses such a message."""
        raise NotImplementedError

    def content(self, fields: Fields, default: str) -> Content:
        """Say what the fields mean; `default` is the type of a part without one."""
        raise NotImplementedError

    def is_multipart(self, content: Content) -> bool:
        """True where the body is looked through for parts."""
        raise NotImplementedError

    def is_message(self, content: Content) -> bool:
        """True where the body is read as a message."""
        return content.type == "message/rfc822"

    def boundary(self, raw: bytes, body: int, content: Content, around: Sequence[bytes]) -> bytes:
        """Return what divides the body at `body`; `around`: the boundaries of the multiparts around it."""
        return content.boundary

    def delimiter(self, line: bytes, boundary: bytes) -> bool | None:
        """None where the line is no delimiter, else whether it is a closing one."""
        rest = line.rstrip(self.blank)
        if not rest.startswith(boundary, 2):
            return None
        length = 2 + len(boundary)
        return False if len(rest) == length else True if rest[length:] == b"--" else None

    def decoder(self, content: Content) -> Decoder | None:
        """Return what decodes a body of this content; None: nothing has to be done."""
        raise NotImplementedError


def first(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value of that name."""
    return next((value[:MAX_VALUE] for key, value in fields if key == name), None)


def last(fields: Fields, name: bytes) -> bytes | None:
    """Return the last value of that name."""
    return next((value[:MAX_VALUE] for key, value in reversed(fields) if key == name), None)
