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
from functools import lru_cache
from types import MappingProxyType
from typing import Literal, NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import (
    NEED_DATA,
    LocalProtocolError,
    NeedData,
    ProtocolError,
    RemoteProtocolError,
)
from mpp.protocols.heads import MAX_HEAD, Answers, Chunked, Found, Heads, write_fields, write_head

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
_END, _CONTINUE = End(), Continue()


class _Head(NamedTuple):
    """What a head comes to."""

    status: int
    reason: str
    fields: Mapping[str, str]
    keep: bool  # the connection may carry a further request
    length: int  # octets of the HTTP head within
    body: bool  # content follows


def _head(first: re.Match[bytes], fields: Found) -> _Head:
    status = int(first[1])
    if status < 200:
        return _Head(status, "", {}, True, 0, False)
    places = fields.get("encapsulated", "")
    keep = "close" not in fields.get("connection", "").lower() and status < 400
    return _Head(status, printable(first[2] or b"", 200), MappingProxyType(fields), keep, *_places(places))


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


_HEADS = Heads("ICAP", _STATUS, b"ICAP/1.0", _head)


@lru_cache(64)
def _around(begin: tuple[str, ...], heads: int) -> tuple[bytes, bytes]:
    """Return what stands before and behind the caller's fields: it is the same for most messages that a service is shown."""
    method, url, host, allow, preview = begin
    body = f"res-hdr={len(_ASKED)}, res-body" if method == "RESPMOD" else "req-body"
    more = [("Allow", allow), ("Preview", preview), ("Encapsulated", f"req-hdr=0, {body}={heads}")]
    return write_head(f"{method} {url} ICAP/1.0", [("Host", host)])[:-2], write_fields(more) + b"\r\n"


class IcapCodec:
    def __init__(self) -> None:
        self.state = State.IDLE
        self._answers = Answers(_HEADS)
        self._head: _Head | None = None  # of an answer whose HTTP head is still to come
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

    def send_whole(self, begin: Begin, content: bytes) -> bytes:
        """Return all octets of a request without a preview, those of its content too. Raises LocalProtocolError."""
        head = self._begin(begin)
        self._advance(_END, LocalProtocolError)
        if not content:
            return head + b"0\r\n\r\n"
        return b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(content), content)

    def _begin(self, event: Begin) -> bytes:
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"Begin in {self.state.name}")
        method, url, host, length, preview, allow_204, fields = event
        heads = (_DOWNLOAD if method == "RESPMOD" else _UPLOAD) % length
        shown = "" if preview is None else str(preview)
        lead, more = _around((method, url, host, "204" if allow_204 else "", shown), len(heads))
        octets = b"".join((lead, write_fields(fields) if fields else b"", more, heads))
        self.state = State.SENDING if preview is None else State.PREVIEW
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
        state, answers = self.state, self._answers
        if state is State.BODY:
            return self._body()
        if not answers.buffer and not answers.eof:
            return NEED_DATA
        if state is State.IDLE and answers.buffer:
            raise RemoteProtocolError("spoke without a request")
        if state is State.IDLE or state is State.CLOSED:
            return NEED_DATA
        head = self._head or answers.take_head()
        if head is None:
            return answers.more()
        if head.status < 200:
            self._advance(_CONTINUE, RemoteProtocolError)
            return _CONTINUE
        return self._answer(head)

    def _answer(self, head: _Head) -> Event | NeedData:
        """Return the answer where the HTTP head within it is there too."""
        http = b""
        if head.length:
            buffer = self._answers.buffer
            if len(buffer) < head.length:
                self._head = head
                return self._answers.more()
            http = bytes(buffer[: head.length])
            del buffer[: head.length]
        self._head, self._keep = None, head.keep
        if head.body:
            self._chunks = Chunked()
        self.state = State.BODY if head.body else self._ended()
        return Answer(head.status, head.reason, head.fields, http, head.body)

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
