"""Heads of HTTP and what was made after it: a first line and fields (RFC 9112, 2 to 5), and bodies in chunks (7.1).

For the codecs of HTTP and ICAP, and for what spamd is sent. What a peer says has limits; obsolete folding is read, and
never written. Raises LocalProtocolError for what we may not write, RemoteProtocolError for what we may not believe.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Generic, TypeVar

from mpp.mail.escape import printable
from mpp.protocols.errors import NEED_DATA, ClosedEarlyError, LocalProtocolError, NeedData, RemoteProtocolError

MAX_HEAD = 16 << 10  # octets of a peer's first line and fields
SHORT, KNOWN = 1024, 64  # octets of a head that is kept as it was read, and how many of a protocol are
Fields = Iterable[tuple[str, str]]
Found = dict[str, str]
H = TypeVar("H")

_value = itemgetter(1)
_UNSAFE = re.compile("[\0\r\n]")
_NAME = re.compile(rb"[!#-'*+.^_`|~0-9A-Za-z-]+")
_FOLD = re.compile(rb"\r?\n[ \t]+")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?")
_MAX_LINE = 1024  # octets of a line between chunks


def write_head(first: str, fields: Fields) -> bytes:
    """Return a first line, the fields that have a value, and the empty line."""
    return _written([first, *map(": ".join, filter(_value, fields)), ""])


def write_fields(fields: Fields) -> bytes:
    """Return the fields that have a value."""
    return _written([*map(": ".join, filter(_value, fields))])


def _written(lines: list[str]) -> bytes:
    """Return lines, each with its end. Raises LocalProtocolError where one would end early."""
    if _UNSAFE.search("".join(lines)):
        unsafe = next(filter(_UNSAFE.search, lines))
        raise LocalProtocolError(f"a control character in a field: {printable(unsafe, 80)}")
    return "\r\n".join([*lines, ""]).encode("utf-8", "replace")


class Heads(Generic[H]):
    """How the answers of a protocol begin, and what each comes to.

    Servers repeat most of their heads octet by octet: what a short one came to is kept.
    """

    def __init__(
        self, protocol: str, first: re.Pattern[bytes], start: bytes, make: Callable[[re.Match[bytes], Found], H]
    ) -> None:
        """`first` is the form of the first line, `start` its first octets: what is no answer is known early.

        `make` is given the first line, and values by lower-case name, several of one name joined by commas. What it returns
        must never change. It may raise RemoteProtocolError.
        """
        self.start = start
        self._protocol, self._first, self._make = protocol, first, make
        self.known = lru_cache(KNOWN)(self.read)

    def read(self, octets: bytes) -> H:
        """Return what a head comes to; `known` does so for a short one. Raises RemoteProtocolError."""
        first, _, rest = octets.partition(b"\r\n")
        match = self._first.fullmatch(first)
        if not match:
            raise self.no_answer(first)
        return self._make(match, read_fields(rest))

    def no_answer(self, octets: bytes) -> RemoteProtocolError:
        return RemoteProtocolError(f"not an answer of {self._protocol}: {printable(octets, 80)}")


class Answers(Generic[H]):
    """What a peer has sent and nobody has taken yet: answers, which begin with a head."""

    def __init__(self, heads: Heads[H]) -> None:
        self.buffer, self.eof = bytearray(), False
        self._heads = heads
        self._searched = 0  # no end of a head before this place

    def receive_data(self, data: bytes) -> None:
        self.buffer += data
        self.eof = self.eof or not data

    def more(self) -> NeedData:
        """Say that an answer is not complete. Raises ClosedEarlyError where it will never be."""
        if self.eof:
            raise ClosedEarlyError("closed before its answer was complete")
        return NEED_DATA

    def take_head(self) -> H | None:
        """Take a head off the buffer and return what it comes to, None where it is not complete."""
        buffer = self.buffer
        if not buffer:
            return None
        end = buffer.find(b"\r\n\r\n", self._searched)
        if end > MAX_HEAD or (end < 0 and len(buffer) > MAX_HEAD + 3):
            raise RemoteProtocolError(f"a head of more than {MAX_HEAD} octets")
        heads = self._heads
        if end < 0:
            if not heads.start.startswith(buffer[: len(heads.start)]):
                raise heads.no_answer(bytes(buffer[:80]))
            self._searched = max(0, len(buffer) - 3)
            return None
        head = bytes(buffer[:end])
        del buffer[: end + 4]
        self._searched = 0
        return heads.known(head) if end <= SHORT else heads.read(head)


def read_fields(octets: bytes) -> Found:
    """Return the fields of a head without its first line."""
    fields: Found = {}
    for line in _FOLD.sub(b" ", octets).split(b"\r\n") if octets else ():
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name):
            raise RemoteProtocolError(f"not a header field: {printable(line, 80)}")
        key, text = name.decode().lower(), printable(value.strip(b" \t"), MAX_HEAD)
        fields[key] = f"{fields[key]}, {text}" if key in fields else text
    return fields


class Chunked:
    """Takes a body in chunks apart as it arrives."""

    def __init__(self) -> None:
        self.done = False
        self._left = 0  # octets of the chunk under way
        self._ending = False  # the line end behind a chunk is due
        self._trailer = False

    def take(self, buffer: bytearray) -> bytes:
        """Take off the buffer what is complete and return what it carries; `done` is set behind the last chunk."""
        found: list[bytes] = []
        while not self.done and buffer:
            if self._left:
                found.append(bytes(buffer[: self._left]))
                del buffer[: len(found[-1])]
                self._left -= len(found[-1])
                self._ending = not self._left
                continue
            end = buffer.find(b"\r\n", 0, _MAX_LINE)
            if end < 0:
                if len(buffer) >= _MAX_LINE:
                    raise RemoteProtocolError(f"not a chunk: {printable(bytes(buffer[:80]), 80)}")
                break
            line = bytes(buffer[:end])
            del buffer[: end + 2]
            self._line(line)
        return b"".join(found)

    def _line(self, line: bytes) -> None:
        if self._ending:
            if line:
                raise RemoteProtocolError("a chunk that is longer than it says")
            self._ending = False
        elif self._trailer:
            self.done = not line  # fields behind the last chunk say nothing that we need
        else:
            match = _CHUNK.fullmatch(line)
            if not match:
                raise RemoteProtocolError(f"not a chunk: {printable(line, 80)}")
            self._left = int(match[1], 16)
            self._trailer = not self._left
