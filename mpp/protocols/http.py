"""Codec of HTTP/1.1, client side, for the services that look at mail (RFC 9112).

Called by mpp.checks.scanners: one codec for one connection, which carries one request after the other. The body is
written by the caller behind the octets of `send`, exactly `length` of them. Answers are plain: no coding of the content
was asked for, so none is taken. Never opens a socket, reads a clock, or judges an answer. Raises LocalProtocolError
from `send`, RemoteProtocolError from `next_event`, and nothing else.
"""

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Literal, NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.heads import Answers, Chunked, write_head


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


_STATUS = re.compile(rb"HTTP/1\.([0-9]) ([1-5][0-9]{2})(?: ([^\r\n]*))?")
_LENGTH = re.compile(r"[0-9]{1,12}")
_TARGET = re.compile(r"/[!-~]*")


class HttpCodec:
    def __init__(self, *, max_body: int = 1 << 20) -> None:  # octets of an answer's body
        self.state = State.IDLE
        self._max_body = max_body
        self._answers = Answers("HTTP/1.1", _STATUS, b"HTTP/1.")
        self._head: tuple[int, str, dict[str, str]] = 0, "", {}  # of the answer whose body is to come
        self._keep = True  # the server leaves the connection open
        self._body = bytearray()  # of an answer that does not say its length
        self._framing: Chunked | int | None = None  # octets of the body; None: to the end of the connection

    @property
    def reusable(self) -> bool:
        """True where the connection may carry a further request."""
        return self.state is State.IDLE and not self._answers.buffer and not self._answers.eof

    def send(self, request: Request) -> bytes:
        """Return the octets before the body. Raises LocalProtocolError: not now, or unsafe text."""
        if self.state is not State.IDLE:
            raise LocalProtocolError(f"{request.method} in {self.state.name}")
        if not _TARGET.fullmatch(request.target):
            raise LocalProtocolError("a target that is no path")
        length = str(request.length) if request.length or request.method == "POST" else ""
        head = write_head(
            f"{request.method} {request.target} HTTP/1.1",
            [("Host", request.host), ("Content-Length", length), *request.fields],
        )
        self.state = State.WAITING
        return head

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says that the server closed. Parses nothing, raises nothing."""
        self._answers.receive_data(data)

    def next_event(self) -> Response | NeedData:
        """Return the answer, or NEED_DATA. Raises RemoteProtocolError and nothing else."""
        if self.state is State.IDLE and self._answers.buffer:
            raise RemoteProtocolError("spoke without a request")
        while self.state is State.WAITING:
            if not self._read_head():
                return self._answers.more()
        if self.state is not State.BODY:
            return NEED_DATA
        body = self._take_body()
        if body is None:
            return self._answers.more()
        self.state = State.IDLE if self._keep else State.DONE
        return Response(*self._head, body)

    def _read_head(self) -> bool:
        """Take a head off the buffer. What comes before the final one (1xx) is passed over."""
        found = self._answers.take_head()
        if found is None:
            return False
        match, fields = found
        status = int(match[2])
        if status < 200:
            return True
        self._head = status, printable(match[3] or b"", 200), fields
        options = fields.get("connection", "").lower()
        self._keep = "close" not in options if match[1] != b"0" else "keep-alive" in options
        self._framing = self._framing_of(status, fields)
        self._keep = self._keep and self._framing is not None
        self.state = State.BODY
        return True

    def _framing_of(self, status: int, fields: Mapping[str, str]) -> Chunked | int | None:
        coding, announced = fields.get("transfer-encoding", "").lower(), fields.get("content-length")
        if status in (204, 304):
            return 0
        if fields.get("content-encoding", "identity").lower() != "identity" or coding not in ("", "chunked"):
            raise RemoteProtocolError("a coding that was not asked for")
        if coding:
            if announced is not None:
                raise RemoteProtocolError("both a length and chunks")
            return Chunked()
        if announced is None:
            return None
        if not _LENGTH.fullmatch(announced):
            raise RemoteProtocolError(f"not a length: {printable(announced, 80)}")
        if int(announced) > self._max_body:
            raise RemoteProtocolError(f"a body of {announced} octets, more than {self._max_body}")
        return int(announced)

    def _take_body(self) -> bytes | None:
        """Take the body off the buffer; None while it is not complete."""
        buffer, framing = self._answers.buffer, self._framing
        if isinstance(framing, int):
            if len(buffer) < framing:
                return None
            whole = bytes(buffer[:framing])
            del buffer[:framing]
            return whole
        self._body += buffer if framing is None else framing.take(buffer)
        if framing is None:
            buffer.clear()
        if len(self._body) > self._max_body:
            raise RemoteProtocolError(f"a body of more than {self._max_body} octets")
        if not (self._answers.eof if framing is None else framing.done):
            return None
        body, self._body = bytes(self._body), bytearray()
        return body
