"""Codec of ICAP, client side: OPTIONS, RESPMOD and REQMOD with a preview (RFC 3507).

Called by mpp.checks.scanners: one codec for one connection, which carries one request after the other. The octets of the
content are written by the caller behind those of each Piece. What a service sends back is handed on as it comes, and never
kept. Never opens a socket, reads a clock, or judges what a field means. Raises LocalProtocolError from `send`,
RemoteProtocolError from `next_event`, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal, NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import (
    NEED_DATA,
    LocalProtocolError,
    NeedData,
    ProtocolError,
    RemoteProtocolError,
)
from mpp.protocols.heads import MAX_HEAD, Answers, Chunked, write_head

Method = Literal["RESPMOD", "REQMOD"]


@dataclass(frozen=True, slots=True)
class Options:
    """What can the service do?"""

    url: str  # "icap://host:1344/avscan"
    host: str


class Begin(NamedTuple):
    """A content begins: as the body of an HTTP response (RESPMOD) or request (REQMOD)."""

    method: Method
    url: str
    host: str
    length: int  # octets of the content
    preview: int | None = None  # octets shown first; None: all at once
    allow_204: bool = True
    fields: Sequence[tuple[str, str]] = ()


class Piece(NamedTuple):
    length: int  # octets of the content that follow; at least 1


@dataclass(frozen=True, slots=True)
class EndOfPreview:
    whole: bool  # the preview was all there is


@dataclass(frozen=True, slots=True)
class End:
    """The content is complete."""


@dataclass(frozen=True, slots=True)
class Continue:
    """The service wants to see the rest."""


class Answer(NamedTuple):
    status: int
    reason: str  # cleaned
    fields: Mapping[str, str]  # by lower-case name, cleaned
    http: bytes = b""  # head of the message that came back
    body: bool = False  # Data and Done follow


@dataclass(frozen=True, slots=True)
class Data:
    octets: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The content that came back is complete."""


Event = Continue | Answer | Data | Done


class State(Enum):
    IDLE = 1
    PREVIEW = 2  # its octets are being sent
    PAUSED = 3  # the service decides whether it wants the rest
    SENDING = 4
    WAITING = 5
    BODY = 6
    CLOSED = 7


_NEXT = {
    (State.IDLE, Options): State.WAITING,
    (State.PREVIEW, Piece): State.PREVIEW,
    (State.PAUSED, Continue): State.SENDING,
    (State.SENDING, Piece): State.SENDING,
    (State.SENDING, End): State.WAITING,
}
_STATUS = re.compile(rb"ICAP/1\.0 ([1-5][0-9]{2})(?: ([^\r\n]*))?")
_ASKED = write_head("GET /message.eml HTTP/1.1", [("Host", "mail")])  # what a RESPMOD is the answer to
_ABOUT = b"Content-Type: message/rfc822\r\nContent-Length: %d\r\n\r\n"
_DOWNLOAD = _ASKED + b"HTTP/1.1 200 OK\r\n" + _ABOUT
_UPLOAD = b"POST /message.eml HTTP/1.1\r\nHost: mail\r\n" + _ABOUT
_PLACE = re.compile(r"(req-hdr|res-hdr|req-body|res-body|opt-body|null-body)=([0-9]{1,6})")


class IcapCodec:
    def __init__(self) -> None:
        self.state = State.IDLE
        self._answers = Answers("ICAP", _STATUS, b"ICAP/1.0")
        self._head: tuple[int, str, dict[str, str]] | None = None  # of an answer whose HTTP head is still to come
        self._chunks = Chunked()
        self._keep = True
        self._open = False  # a piece was sent whose line end is due

    @property
    def reusable(self) -> bool:
        """True where the connection may carry a further request."""
        return self.state is State.IDLE and not self._answers.buffer and not self._answers.eof

    def send(self, event: Options | Begin | Piece | EndOfPreview | End) -> bytes:
        """Return the octets for `event`; those of a Piece are its length alone. Raises LocalProtocolError."""
        if isinstance(event, Begin):
            return self._begin(event)
        if isinstance(event, EndOfPreview):
            if self.state is not State.PREVIEW:
                raise LocalProtocolError(f"EndOfPreview in {self.state.name}")
            self.state = State.WAITING if event.whole else State.PAUSED
            return self._line_end() + (b"0; ieof\r\n\r\n" if event.whole else b"0\r\n\r\n")
        self._advance(event, LocalProtocolError)
        if isinstance(event, Options):
            return write_head(f"OPTIONS {event.url} ICAP/1.0", [("Host", event.host), ("Encapsulated", "null-body=0")])
        if isinstance(event, End):
            return self._line_end() + b"0\r\n\r\n"
        if event.length < 1:  # length zero would mean the end
            raise LocalProtocolError(f"a piece of {event.length} octets")
        octets = self._line_end() + b"%x\r\n" % event.length
        self._open = True
        return octets

    def _begin(self, event: Begin) -> bytes:
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"Begin in {self.state.name}")
        if event.method == "RESPMOD":
            heads = _DOWNLOAD % event.length
            places = f"req-hdr=0, res-hdr={len(_ASKED)}, res-body={len(heads)}"
        else:
            heads = _UPLOAD % event.length
            places = f"req-hdr=0, req-body={len(heads)}"
        fields = [
            ("Host", event.host),
            *event.fields,
            ("Allow", "204" if event.allow_204 else ""),
            ("Preview", "" if event.preview is None else str(event.preview)),
            ("Encapsulated", places),
        ]
        octets = write_head(f"{event.method} {event.url} ICAP/1.0", fields) + heads
        self.state = State.SENDING if event.preview is None else State.PREVIEW
        self._open = False
        return octets

    def _line_end(self) -> bytes:
        was_open, self._open = self._open, False
        return b"\r\n" if was_open else b""

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says that the service closed. Parses nothing, raises nothing."""
        self._answers.receive_data(data)

    def next_event(self) -> Event | NeedData:
        """Return the next event, or NEED_DATA. Raises RemoteProtocolError and nothing else."""
        if self.state is State.BODY:
            return self._body()
        if self.state in (State.IDLE, State.CLOSED):
            if self._answers.buffer and self.state is State.IDLE:
                raise RemoteProtocolError("spoke without a request")
            return NEED_DATA
        if self._head is None:
            found = self._answers.take_head()
            if found is None:
                return self._answers.more()
            match, fields = found
            status = int(match[1])
            if status < 200:
                event = Continue()
                self._advance(event, RemoteProtocolError)
                return event
            self._head = status, printable(match[2] or b"", 200), fields
        return self._answer(*self._head)

    def _answer(self, status: int, reason: str, fields: dict[str, str]) -> Event | NeedData:
        """Return the answer where the HTTP head within it is there too."""
        length, body, http = 0, False, b""
        if places := fields.get("encapsulated"):
            length, body = _places(places)
            buffer = self._answers.buffer
            if len(buffer) < length:
                return self._answers.more()
            http = bytes(buffer[:length])
            del buffer[:length]
        self._head = None
        self._keep = "close" not in fields.get("connection", "").lower() and status < 400
        if body:
            self._chunks = Chunked()
        self.state = State.BODY if body else self._ended()
        return Answer(status, reason, fields, http, body)

    def _body(self) -> Event | NeedData:
        octets = self._chunks.take(self._answers.buffer)
        if octets:
            return Data(octets)
        if not self._chunks.done:
            return self._answers.more()
        self.state = self._ended()
        return Done()

    def _ended(self) -> State:
        return State.IDLE if self._keep else State.CLOSED

    def _advance(self, event: object, error: type[ProtocolError]) -> None:
        try:
            self.state = _NEXT[self.state, type(event)]
        except KeyError:
            raise error(f"{type(event).__name__} in {self.state.name}") from None


def _places(encapsulated: str) -> tuple[int, bool]:
    """Return the octets of HTTP heads before the body, and whether there is one (RFC 3507, 4.4.1)."""
    length, body = 0, False
    for item in filter(None, map(str.strip, encapsulated.split(","))):
        match = _PLACE.fullmatch(item)
        if not match or body or int(match[2]) < length:
            raise RemoteProtocolError(f"not where its parts are: {printable(encapsulated, 80)}")
        length = int(match[2])
        body = match[1].endswith("-body") and match[1] != "null-body"
    if length > MAX_HEAD:
        raise RemoteProtocolError(f"heads of more than {MAX_HEAD} octets")
    return length, body
