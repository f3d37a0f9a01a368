"""Codec of spamd's protocol, client side: SPAMC/1.5 (SpamAssassin, spamd/PROTOCOL).

Called by mpp.checks.scanners: one codec for one connection, which carries one request. The message itself is written
by the caller behind the octets of `send`, exactly `length` of them; the last must be a line feed, since spamd reads by
lines and would wait for one. Never opens a socket, reads a clock, or judges a
score. Raises LocalProtocolError from `send`, RemoteProtocolError from `next_event`, and nothing else.
"""

import re
from enum import Enum
from typing import Literal, NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import NEED_DATA, ClosedEarlyError, LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.heads import write_head

Method = Literal["CHECK", "SYMBOLS", "REPORT", "HEADERS", "TELL", "PING"]

MAX_HEADER = 8192  # octets of a reply before its body

_NAMES = {
    0: "EX_OK",
    64: "EX_USAGE",
    65: "EX_DATAERR",
    66: "EX_NOINPUT",
    67: "EX_NOUSER",
    68: "EX_NOHOST",
    69: "EX_UNAVAILABLE",
    70: "EX_SOFTWARE",
    71: "EX_OSERR",
    72: "EX_OSFILE",
    73: "EX_CANTCREAT",
    74: "EX_IOERR",
    75: "EX_TEMPFAIL",
    76: "EX_PROTOCOL",
    77: "EX_NOPERM",
    78: "EX_CONFIG",
    79: "EX_TIMEOUT",
}  # sysexits.h, and the last one spamd's own


class Request(NamedTuple):
    method: Method
    length: int = 0  # octets of the message that follows; PING has none
    user: str = ""
    message_class: Literal["", "spam", "ham"] = ""  # TELL: learn it as that
    set: str = ""  # TELL: "local", "remote", "local, remote"
    remove: str = ""  # TELL: as `set`


class Reply(NamedTuple):
    """What spamd says. `code` 0 is an answer, any other an error whose cause is `text`; all text is cleaned."""

    code: int
    name: str  # of the code: "EX_OK", "EX_TIMEOUT"
    text: str  # the rest of the first line: "EX_OK", "PONG", or what went wrong
    spam: bool = False
    score: float = 0.0
    threshold: float = 0.0
    body: bytes = b""  # symbols, report or header fields, as they came
    did_set: str = ""
    did_remove: str = ""


class State(Enum):
    NEW = 1
    WAITING = 2
    DONE = 3


_USER = re.compile(r"[!-~]{1,320}")
_FIRST = re.compile(rb"SPAMD/[0-9]{1,3}\.[0-9]{1,3} ([0-9]{1,3}) ([^\r\n]*)")
_SPAM = re.compile(
    rb"(True|Yes|False|No) *; *(-?[0-9]{1,7}(?:\.[0-9]{1,6})?) */ *(-?[0-9]{1,7}(?:\.[0-9]{1,6})?)", re.I
)
_LENGTH = re.compile(rb"[0-9]{1,10}")
_SCORED = ("CHECK", "SYMBOLS", "REPORT", "HEADERS")


class SpamdCodec:
    def __init__(self, *, max_body: int = 1 << 20) -> None:  # octets of a reply's body
        self.state = State.NEW
        self._max_body = max_body
        self._method: Method = "PING"
        self._buffer = bytearray()
        self._searched = 0  # no end of the header before this place
        self._head: tuple[Reply, int | None] | None = None  # the reply without its body, and the body's length
        self._eof = False

    def send(self, request: Request) -> bytes:
        """Return the octets before the message. Raises LocalProtocolError for a second request or an unsafe user."""
        if self.state is not State.NEW:
            raise LocalProtocolError(f"{request.method} in {self.state.name}")
        if request.user and not _USER.fullmatch(request.user):
            raise LocalProtocolError("a user name that is not plain ASCII")
        self.state, self._method = State.WAITING, request.method
        fields = [
            ("Content-length", "" if request.method == "PING" else str(request.length)),
            ("User", request.user),
            ("Message-class", request.message_class),
            ("Set", request.set),
            ("Remove", request.remove),
        ]
        return write_head(f"{request.method} SPAMC/1.5", fields)

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says that spamd closed. Parses nothing, raises nothing."""
        self._buffer += data
        self._eof = self._eof or not data

    def next_event(self) -> Reply | NeedData:
        """Return the reply, or NEED_DATA. Octets behind it are not looked at: the connection ends with it."""
        if self.state is State.DONE:
            return NEED_DATA
        if self.state is State.NEW and (self._buffer or self._eof):
            raise RemoteProtocolError("spoke or closed before the request")
        if self._head is None and (self._buffer or self._eof):
            self._head = self._read_head()
        if self._head is None:
            return NEED_DATA
        head, length = self._head
        if len(self._buffer) > self._max_body and (length is None or length > self._max_body):
            raise RemoteProtocolError(f"a body of more than {self._max_body} octets")
        if length is None and not self._eof:
            return NEED_DATA
        if length is not None and len(self._buffer) < length:
            if self._eof:
                raise ClosedEarlyError(f"closed after {len(self._buffer)} of {length} octets")
            return NEED_DATA
        self.state = State.DONE
        return head._replace(body=bytes(self._buffer[:length]))

    def _read_head(self) -> tuple[Reply, int | None] | None:
        """Take the header off the buffer where it is complete."""
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        self._searched = max(0, len(self._buffer) - 3)
        if end > MAX_HEADER or (end < 0 and len(self._buffer) > MAX_HEADER + 3):
            raise RemoteProtocolError(f"a header of more than {MAX_HEADER} octets")
        if end < 0 and not self._eof:
            return None
        if end < 0:  # an error or a PONG is one line; spamd closes behind it
            if not self._buffer.endswith(b"\r\n"):
                raise ClosedEarlyError("closed before its reply")
            end = len(self._buffer) - 2
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        return self._parse(lines)

    def _parse(self, lines: list[bytes]) -> tuple[Reply, int | None]:
        first = _FIRST.fullmatch(lines[0])
        if not first:
            raise RemoteProtocolError(f"not a reply of spamd: {printable(lines[0], 80)}")
        code, text = int(first[1]), printable(first[2], 500)
        fields = dict(_field(line) for line in lines[1:])
        length: int | None = None
        if (announced := fields.get(b"content-length")) is not None:
            if not _LENGTH.fullmatch(announced):
                raise RemoteProtocolError(f"not a length: {printable(announced, 80)}")
            length = int(announced)
            if length > self._max_body:
                raise RemoteProtocolError(f"a body of {length} octets, more than {self._max_body}")
        name = _NAMES.get(code, f"code {code}")
        if code or self._method not in _SCORED:
            told = (printable(fields.get(key, b""), 80) for key in (b"didset", b"didremove"))
            return Reply(code, name, text, False, 0.0, 0.0, b"", *told), length
        spam = _SPAM.fullmatch(fields.get(b"spam", b""))
        if not spam:
            raise RemoteProtocolError(f"no score: {printable(fields.get(b'spam', b''), 80)}")
        return Reply(code, name, text, spam[1].lower() in (b"true", b"yes"), float(spam[2]), float(spam[3])), length


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon:
        raise RemoteProtocolError(f"not a header field: {printable(line, 80)}")
    return name.strip().lower(), value.strip()
