"""Codec of HTTP/1.1, client side, for the services that look at mail (RFC 9112).

Called by mpp.checks.scanners: one codec for one connection, which carries one request after the other. The body is
written by the caller behind the octets of `send`, exactly `length` of them. Answers are plain: no coding of the content
was asked for, so none is taken. Never opens a socket, reads a clock, or judges an answer. Raises LocalProtocolError
from `send`, RemoteProtocolError from `next_event`, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from types import MappingProxyType
from typing import Literal, NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.heads import Answers, Chunked, Found, Heads, write_head


class Request(NamedTuple):
    method: Literal["GET", "POST"]
    target: str  # "/checkv2"
    host: str
    length: int = 0  # octets of the body that follows
    fields: Sequence[tuple[str, str]] = ()  # beside Host and Content-Length; one without a value is left out


class Response(NamedTuple):
    status: int
    reason: str  # cleaned
    fields: Mapping[str, str]  # by lower-case name, cleaned
    body: bytes


class State(Enum):
    IDLE = 1  # ready for a request
    WAITING = 2
    BODY = 3  # the head of the answer has come
    DONE = 4  # the connection carries nothing further


class _Head(NamedTuple):
    """What a head comes to."""

    status: int
    reason: str
    fields: Mapping[str, str]
    keep: bool  # the server leaves the connection open
    chunked: bool
    length: int | None  # octets of the body; None where it is chunked, or goes on to the end of the connection


_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: ([^\r\n]*))?")
_LENGTH = re.compile(r"[0-9]{1,12}")
_TARGET = re.compile(r"/[!-~]*")


def _head(first: re.Match[bytes], fields: Found) -> _Head:
    status, reason = int(first[2]), printable(first[3] or b"", 200)
    if status < 200:  # not the final one: it has no body
        return _Head(status, reason, {}, True, False, 0)
    options = fields.get("connection", "").lower()
    keep = "close" not in options if first[1] != b"0" else "keep-alive" in options
    chunked, length = _framing(status, fields)
    return _Head(status, reason, MappingProxyType(fields), keep and (chunked or length is not None), chunked, length)


def _framing(status: int, fields: Found) -> tuple[bool, int | None]:
    """Return whether the body is in chunks, and its length where it says so."""
    coding, announced = fields.get("transfer-encoding", "").lower(), fields.get("content-length")
    if status in (204, 304):
        return False, 0
    if fields.get("content-encoding", "identity").lower() != "identity" or coding not in ("", "chunked"):
        raise RemoteProtocolError("a coding that was not asked for")
    if coding:
        if announced is not None:
            raise RemoteProtocolError("both a length and chunks")
        return True, None
    if announced is None:
        return False, None
    if not _LENGTH.fullmatch(announced):
        raise RemoteProtocolError(f"not a length: {printable(announced, 80)}")
    return False, int(announced)


_HEADS = Heads("HTTP/1.1", _STATUS, b"HTTP/1.", _head)


class HttpCodec:
    def __init__(self, *, max_body: int = 1 << 20) -> None:  # octets of an answer's body
        self.state = State.IDLE
        self._max_body = max_body
        self._answers = Answers(_HEADS)
        self._head: _Head | None = None  # of the answer whose body is to come
        self._chunks = Chunked()
        self._body = bytearray()  # of an answer that does not say its length

    @property
    def reusable(self) -> bool:
        """True where the connection may carry a further request."""
        return self.state is State.IDLE and not self._answers.buffer and not self._answers.eof

    def send(self, request: Request) -> bytes:
        """Return the octets before the body. Raises LocalProtocolError: not now, or unsafe text."""
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"{request.method} in {self.state.name}")
        method, target, host, length, fields = request
        if not _TARGET.fullmatch(target):
            raise LocalProtocolError("a target that is no path")
        announced = str(length) if length or method == "POST" else ""
        head = write_head(f"{method} {target} HTTP/1.1", [("Host", host), ("Content-Length", announced), *fields])
        self.state = State.WAITING
        return head

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says that the server closed. Parses nothing, raises nothing."""
        self._answers.receive_data(data)

    def next_event(self) -> Response | NeedData:
        """Return the answer, or NEED_DATA. Raises RemoteProtocolError and nothing else."""
        answers = self._answers
        if not answers.buffer and not answers.eof:
            if self.state is not State.BODY:
                return NEED_DATA
        elif self.state is State.WAITING:
            while (head := answers.take_head()) is not None and head.status < 200:
                pass  # what comes before the final one (1xx) is passed over
            if head is None:
                return answers.more()
            self._begin(head)
        if self.state is not State.BODY or self._head is None:
            if self.state is State.IDLE and answers.buffer:
                raise RemoteProtocolError("spoke without a request")
            return NEED_DATA
        head = self._head
        body = self._take_body(head)
        if body is None:
            return answers.more()
        self.state = State.IDLE if head.keep else State.DONE
        return Response(head.status, head.reason, head.fields, body)

    def _begin(self, head: _Head) -> None:
        """The body of an answer begins."""
        if head.chunked:
            self._chunks = Chunked()
        elif head.length is not None and head.length > self._max_body:
            raise RemoteProtocolError(f"a body of {head.length} octets, more than {self._max_body}")
        self._head, self.state = head, State.BODY

    def _take_body(self, head: _Head) -> bytes | None:
        """Take the body off the buffer; None while it is not complete."""
        buffer, length = self._answers.buffer, head.length
        if length is not None:
            if len(buffer) < length:
                return None
            whole = bytes(buffer[:length])
            del buffer[:length]
            return whole
        self._body += self._chunks.take(buffer) if head.chunked else buffer
        if not head.chunked:
            buffer.clear()
        if len(self._body) > self._max_body:
            raise RemoteProtocolError(f"a body of more than {self._max_body} octets")
        if not (self._chunks.done if head.chunked else self._answers.eof):
            return None
        body, self._body = bytes(self._body), bytearray()
        return body
