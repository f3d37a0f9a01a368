"""Codec of clamd's INSTREAM dialogue within an IDSESSION, client side (clamd man page, COMMANDS).

Called by mpp.checks.scanners: one codec for one connection, which may carry many messages, one after the other. The
octets of a message are written by the caller behind the four octets of each Chunk. Never opens a socket, reads a
clock, or judges what a signature name means. Raises LocalProtocolError from `send`, RemoteProtocolError from
`next_event`, and nothing else.
"""

import re
from dataclasses import dataclass
from enum import Enum

from mpp.mail.escape import printable
from mpp.protocols.errors import (
    NEED_DATA,
    ClosedEarlyError,
    LocalProtocolError,
    NeedData,
    ProtocolError,
    RemoteProtocolError,
)

MAX_CHUNK = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Begin:
    """A message begins."""


@dataclass(frozen=True, slots=True)
class Chunk:
    length: int  # octets of the message that follow; at least 1


@dataclass(frozen=True, slots=True)
class End:
    """The message is complete."""


@dataclass(frozen=True, slots=True)
class Version:
    pass


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Clean:
    pass


@dataclass(frozen=True, slots=True)
class Found:
    name: str  # of the signature, cleaned


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The message is over clamd's StreamMaxLength; clamd closes behind this."""


@dataclass(frozen=True, slots=True)
class Failed:
    """clamd could not scan; the text is its own, cleaned."""

    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to Version or Ping, cleaned: "ClamAV 1.4.1/27400/...", "PONG"."""

    text: str


Event = Clean | Found | TooLarge | Failed | Told


class State(Enum):
    NEW = 1  # nothing was sent yet
    IDLE = 2  # in the session, nothing under way
    SENDING = 3
    WAITING = 4
    ASKED = 5  # Version or Ping
    DONE = 6  # the session is over


_NEXT = {
    (State.NEW, Begin): State.SENDING,
    (State.IDLE, Begin): State.SENDING,
    (State.NEW, Version): State.ASKED,
    (State.IDLE, Version): State.ASKED,
    (State.NEW, Ping): State.ASKED,
    (State.IDLE, Ping): State.ASKED,
    (State.SENDING, Chunk): State.SENDING,
    (State.SENDING, End): State.WAITING,
    (State.SENDING, TooLarge): State.DONE,  # clamd answers early above its StreamMaxLength
    (State.SENDING, Failed): State.DONE,
    (State.WAITING, TooLarge): State.DONE,
    (State.WAITING, Failed): State.IDLE,
    (State.WAITING, Clean): State.IDLE,
    (State.WAITING, Found): State.IDLE,
    (State.ASKED, Told): State.IDLE,
    (State.ASKED, Failed): State.DONE,
}
_COMMANDS = {Begin: b"zINSTREAM\0", Version: b"zVERSION\0", Ping: b"zPING\0"}
_REPLY = re.compile(rb"([0-9]{1,10}): (.*)", re.DOTALL)
_BEGIN, _END = Begin(), End()
_CLEAN = Clean()
_TOO_LARGE = TooLarge()


class ClamdCodec:
    def __init__(self, *, max_reply: int = 4096) -> None:  # octets
        self.state = State.NEW
        self._max_reply = max_reply
        self._number = 0  # of the command under way within the session
        self._buffer, self._eof = bytearray(), False

    @property
    def reusable(self) -> bool:
        """True where the session may carry a further command."""
        return self.state is State.IDLE and not self._buffer and not self._eof

    def send(self, event: Begin | Chunk | End | Version | Ping) -> bytes:
        """Return the octets for `event`; those of a Chunk are its length alone. Raises LocalProtocolError."""
        new = self.state is State.NEW
        self._advance(event, LocalProtocolError)
        if isinstance(event, Chunk):
            if not 0 < event.length <= MAX_CHUNK:  # length zero would mean the end
                raise LocalProtocolError(f"a chunk of {event.length} octets")
            return event.length.to_bytes(4, "big")
        if isinstance(event, End):
            return bytes(4)
        self._number += 1
        return b"zIDSESSION\0" + _COMMANDS[type(event)] if new else _COMMANDS[type(event)]

    def send_whole(self, content: bytes) -> bytes:
        """Return all octets of a message in one chunk, its own too. Raises LocalProtocolError."""
        begin = self.send(_BEGIN)
        octets = b"".join((begin, len(content).to_bytes(4, "big"), content, bytes(4) if content else b""))
        self._advance(_END, LocalProtocolError)
        return octets

    def receive_data(self, data: bytes) -> None:
        """Take what was read; b"" says that clamd closed. Parses nothing, raises nothing."""
        self._buffer += data
        self._eof = self._eof or not data

    def next_event(self) -> Event | NeedData:
        """Return the next event, or NEED_DATA. Raises RemoteProtocolError and nothing else."""
        if not self._buffer and not self._eof:
            return NEED_DATA
        line, nul, rest = self._buffer.partition(b"\0")  # replies are short
        if len(line) > self._max_reply:
            raise RemoteProtocolError(f"reply longer than {self._max_reply} octets")
        if nul:
            event = self._event(bytes(line))
            self._advance(event, RemoteProtocolError)
            self._buffer = rest
            return event
        if self._eof and self.state not in (State.DONE, State.IDLE, State.NEW):
            raise ClosedEarlyError("closed before its reply")
        return NEED_DATA

    def _event(self, line: bytes) -> Event:
        match = _REPLY.fullmatch(line)
        if match and int(match[1]) != self._number:
            raise RemoteProtocolError(f"reply {int(match[1])} where {self._number} was due")
        text = match[2] if match else line
        if text.endswith(b" ERROR"):  # the only reply that may lack its number
            return _TOO_LARGE if b"size limit exceeded" in text else Failed(printable(text[:-6], 500))
        if not match:
            raise RemoteProtocolError(f"not a reply of clamd: {printable(line, 80)}")
        if self.state is State.ASKED:
            return Told(printable(text, 500))
        if text == b"stream: OK":
            return _CLEAN
        if text.startswith(b"stream: ") and text.endswith(b" FOUND") and len(text) > len("stream:  FOUND"):
            return Found(printable(text[8:-6], 500))
        raise RemoteProtocolError(f"not an answer to INSTREAM: {printable(line, 80)}")

    def _advance(self, event: object, error: type[ProtocolError]) -> None:
        try:
            self.state = _NEXT[self.state, type(event)]
        except KeyError:
            raise error(f"{type(event).__name__} in {self.state.name}") from None
