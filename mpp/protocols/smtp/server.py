"""SMTP and LMTP, server side: octets to events, replies to octets (RFC 5321, 2033, 2920, 3030, 3207).

Called by the session: one codec for one connection. It owns the order of commands and learns from the replies sent what
was accepted; it never decides about an address, a client or a content. Commands of one group may wait unread: each event is
answered by one `send` before `next_event` gives the following one, so nothing is read ahead of a STARTTLS. Never opens a
socket or reads a clock.

Only CRLF ends a command. A line with a CR or LF of its own is `Fatal`, since another host may have read two lines there.

`next_event` never raises; `send` and its kin raise LocalProtocolError where no reply of that kind is owed.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, ClassVar

from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData
from mpp.protocols.smtp.commands import (
    BARE,
    KNOWN,
    SHOWN,
    UNKNOWN,
    Bdat,
    Chunk,
    Command,
    Data,
    Expand,
    Fatal,
    Hello,
    Help,
    Invalid,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Reset,
    StartTls,
    Verify,
    Xclient,
    Xforward,
    known_line,
    read_line,
)
from mpp.protocols.smtp.data import Chunks, Content, Lines
from mpp.protocols.smtp.order import IN_ORDER, PARAMETER_OFFERED_AS, State, out_of_order
from mpp.protocols.smtp.reply import Reply

__all__ = [
    "Chunk",
    "Content",
    "Data",
    "Event",
    "Expand",
    "Fatal",
    "Hello",
    "Help",
    "Invalid",
    "Mail",
    "Noop",
    "Quit",
    "Rcpt",
    "Reset",
    "ServerCodec",
    "StartTls",
    "Verify",
    "Xclient",
    "Xforward",
]

Event = (
    Hello
    | Mail
    | Rcpt
    | Data
    | Chunk
    | Content
    | StartTls
    | Quit
    | Reset
    | Noop
    | Verify
    | Expand
    | Help
    | Xclient
    | Xforward
    | Invalid
    | Fatal
)


_PARAMETER_NOT_OFFERED = Reply(555, "5.5.4", "Parameter not available here")
_TOO_LARGE = Reply(552, "5.3.4", "Message is larger than allowed here")
_DISCARDED = Reply(452, "4.3.1", "Too much mail at the moment, please try again later")
_UTF8_RECIPIENT = Reply(553, "5.6.7", "Address is not ASCII, MAIL needs SMTPUTF8")
_LINE_TOO_LONG = Reply(500, "5.5.2", "Command line too long")

_CLOSING = frozenset({421, 521})  # we close the connection after them


@lru_cache(256)
def _keywords(extensions: tuple[str, ...]) -> frozenset[str]:
    return frozenset(extension.partition(" ")[0].upper() for extension in extensions)


def _usual_extensions(max_size: int) -> tuple[str, ...]:
    return ("PIPELINING", f"SIZE {max_size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "CHUNKING")


@lru_cache(256)
def _hello_reply(verb: str, name: str, extensions: tuple[str, ...]) -> Reply:
    return Reply(250, "", name if verb == "HELO" else "\n".join((name, *extensions)))


class ServerCodec:
    """One connection, from after our greeting to QUIT.

    `max_command` octets of a command line with CRLF; `max_line` octets of a line of content without CRLF (0: any);
    `max_size` octets of content (0: any). `max_size` and `extensions` may be changed at any time.
    """

    def __init__(
        self,
        *,
        lmtp: bool = False,
        max_command: int = 2048,
        max_line: int = 0,
        max_size: int = 50 << 20,
        extensions: Sequence[str] | None = None,
    ) -> None:
        self.lmtp = lmtp
        self.max_command, self.max_line, self.max_size = max_command, max_line, max_size
        self.state = State.NEW
        self.accepted = 0  # recipients of this transaction
        self.receiving = False  # octets of content come in
        self.extensions = _usual_extensions(max_size) if extensions is None else extensions
        self._buffer, self._position = b"", 0
        self._arrived: list[bytes] = []  # not yet in the buffer
        self._owed: Event | None = None
        self._read: Callable[[], Event | NeedData] = self._read_command
        self._overlong, self._overlong_bare, self._last_octet = b"", False, b""
        self._content: Lines | Chunks | None = None
        self._chunk = Bdat(0, last=False)  # the one being read
        self._left = 0  # octets of it that are still to come
        self._chunk_refused: Invalid | None = None
        self._discard = self._utf8 = False

    @property
    def extensions(self) -> tuple[str, ...]:
        """What EHLO lists, in this order; it decides too which commands and parameters are taken."""
        return self._extensions

    @extensions.setter
    def extensions(self, extensions: Sequence[str]) -> None:
        self._extensions = tuple(extensions)
        self._offered = _keywords(self._extensions)

    @property
    def owes(self) -> bool:
        """True while an event waits for its reply."""
        return self._owed is not None

    @property
    def closed(self) -> bool:
        """True after QUIT, a Fatal or a reply that ends the connection: nothing more is read."""
        return self._read == self._read_nothing

    @property
    def held(self) -> int:
        """Octets of content held now."""
        return self._content.held if self._content is not None else 0

    @property
    def ahead(self) -> bool:
        """True while octets wait that came with the command owed an answer, or after it."""
        return self._position < len(self._buffer) or bool(self._arrived)

    @property
    def received(self) -> int:
        """Octets of content that came so far, those read away too: what a minimum rate is measured by."""
        if self._chunk_refused is not None:
            return self._chunk.size - self._left
        return self._content.size if self._content is not None else 0

    @property
    def unread(self) -> int:
        """Octets that wait for their turn."""
        return len(self._buffer) - self._position + sum(map(len, self._arrived))

    def receive_data(self, data: bytes) -> None:
        """Take what was read. Parses nothing, raises nothing."""
        if not self._arrived and self._position == len(self._buffer):
            self._buffer, self._position = data, 0
        elif data:
            self._arrived.append(data)

    def next_event(self) -> Event | NeedData:
        """Return the next event; NEED_DATA too while a reply is owed, in the TLS handshake and after the end."""
        if self._owed is not None:
            return NEED_DATA
        if self._arrived:
            self._store()
        if self._position == len(self._buffer):
            return NEED_DATA
        event = self._read()
        if event is not NEED_DATA:
            self._owed = event
        return event

    def _store(self) -> None:
        if self._position < len(self._buffer):
            self._arrived.insert(0, self._buffer[self._position :])
        self._buffer, self._position = b"".join(self._arrived), 0
        self._arrived.clear()

    def discard(self) -> None:
        """Read the content of this transaction away: Content comes with `discarded` and no data."""
        self._discard = True
        if self._content is not None:
            self._content.discard()

    # replies

    def send(self, reply: Reply) -> bytes:
        """Return the octets that answer the event owed.

        To Content over LMTP the reply is given once for each accepted recipient. Raises LocalProtocolError.
        """
        event, self._owed = self._owed, None
        if event is None:
            raise LocalProtocolError("no reply is owed")
        copies = self.accepted if self.lmtp and isinstance(event, Content) else 1
        if (follow := self._FOLLOW.get(type(event))) is not None:
            follow(self, event, reply)
        if reply.code in _CLOSING:
            self._read = self._read_nothing
        return reply.wire * copies

    def send_each(self, replies: Sequence[Reply]) -> bytes:
        """Return the octets that answer Content: over LMTP a reply for each accepted recipient in their order, else one."""
        if not isinstance(self._owed, Content) or len(replies) != (self.accepted if self.lmtp else 1):
            raise LocalProtocolError(f"{len(replies)} replies are not what is owed")
        self.send(replies[-1])
        return b"".join([reply.wire for reply in replies])

    def hello_reply(self, name: str) -> Reply:
        """Return the positive reply to the Hello owed, with the extensions offered now. Raises LocalProtocolError."""
        if not isinstance(self._owed, Hello):
            raise LocalProtocolError("no Hello to answer")
        return _hello_reply(self._owed.verb, name, self._extensions)

    def send_hello(self, name: str) -> bytes:
        """Accept the Hello owed as the host `name`."""
        return self.send(self.hello_reply(name))

    def reset_for_tls(self) -> None:
        """Forget every octet and all that was said before the handshake (RFC 3207, 4.2)."""
        self._arrived.clear()
        self._buffer, self._position = b"", 0
        self._owed = self._chunk_refused = None
        self._read, self.receiving = self._read_command, False
        self._end_transaction()
        self.state = State.NEW

    def _after_hello(self, _event: Event, reply: Reply) -> None:
        if reply.code < 300:
            self._end_transaction()
            self.state = State.READY

    def _after_mail(self, event: Mail, reply: Reply) -> None:
        if reply.code < 300:
            self.state = State.MAIL
            self._utf8 = "SMTPUTF8" in event.parameters

    def _after_rcpt(self, _event: Event, reply: Reply) -> None:
        if reply.code < 300:
            self.accepted += 1
            self.state = State.RCPT

    def _after_data(self, _event: Event, reply: Reply) -> None:
        if reply.code == 354:
            self._content = Lines(self.max_size, self.max_line)
            self._read, self.receiving = self._read_lines, True
            if self._discard:
                self._content.discard()

    def _after_chunk(self, _event: Event, reply: Reply) -> None:
        if reply.code >= 300:
            self._end_transaction()

    def _after_content(self, _event: Event, _reply: Reply) -> None:
        self._end_transaction()

    def _after_reset(self, _event: Event, reply: Reply) -> None:
        if reply.code < 300:
            self._end_transaction()

    def _after_xclient(self, _event: Event, reply: Reply) -> None:
        if reply.code == 220:
            self.state = State.NEW

    def _after_start_tls(self, _event: Event, reply: Reply) -> None:
        if reply.code == 220:
            self._read = self._read_nothing

    def _after_last(self, _event: Event, _reply: Reply) -> None:
        self._read = self._read_nothing

    _FOLLOW: ClassVar[dict[type, Callable[["ServerCodec", Any, Reply], None]]] = {
        Hello: _after_hello,
        Mail: _after_mail,
        Rcpt: _after_rcpt,
        Data: _after_data,
        Chunk: _after_chunk,
        Content: _after_content,
        Reset: _after_reset,
        Xclient: _after_xclient,
        StartTls: _after_start_tls,
        Quit: _after_last,
        Fatal: _after_last,
    }

    def _end_transaction(self) -> None:
        if self.state is not State.NEW:
            self.state = State.READY
        self.accepted = 0
        self._content = None
        self._discard = self._utf8 = False

    # reading

    def _read_nothing(self) -> NeedData:
        self._buffer, self._position = b"", 0
        return NEED_DATA

    def _read_command(self) -> Event | NeedData:
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start) + 1
        length = (end or len(buffer)) - start
        if length > self.max_command:
            self._overlong = buffer[start : start + min(self.max_command, SHOWN)]
            self._overlong_bare, self._last_octet = False, b""
            self._read = self._read_overlong
            return self._read_overlong()
        if not end:
            return NEED_DATA
        self._position = end
        event = (known_line if length <= KNOWN else read_line)(buffer[start:end])
        kind = type(event)
        if kind in IN_ORDER[self.state] and event.plain:  # type: ignore[union-attr]  # Mail, Rcpt or Data: the usual command
            return event  # type: ignore[return-value]
        if kind is Invalid or kind is Fatal:
            return event  # type: ignore[return-value]
        line = buffer[start : end - 2]
        refusal = self._refusal(event)  # type: ignore[arg-type]
        if isinstance(event, Bdat):
            return self._begin_chunk(event, refusal, line)
        return event if refusal is None else Invalid(refusal, line[:SHOWN])

    def _read_overlong(self) -> Event | NeedData:
        """Read an over-long line away up to its end, and still look for a CR or LF alone in it."""
        buffer, start = self._buffer, self._position
        end = buffer.find(b"\n", start)
        rest = self._last_octet + buffer[start : end + 1 or len(buffer)]
        self._overlong_bare = self._overlong_bare or rest.find(b"\r", 0, -2 if end >= 0 else -1) >= 0
        if end < 0:
            self._last_octet = rest[-1:]
            self._buffer, self._position = b"", 0
            return NEED_DATA
        self._position = end + 1
        self._read = self._read_command
        if self._overlong_bare or not rest.endswith(b"\r\n"):
            return Fatal(BARE)
        return Invalid(_LINE_TOO_LONG, self._overlong)

    def _refusal(self, event: Command) -> Reply | None:
        """Say what the dialogue as it stands has against a command that is well-formed."""
        kind: type = type(event)
        refusal = out_of_order(kind, self.state, self._offered, self.lmtp)
        if refusal is not None:
            return refusal
        if isinstance(event, Mail):
            return self._mail_refusal(event) if event.parameters else None
        if isinstance(event, Rcpt):
            if not (self._utf8 or event.address.isascii()):
                return _UTF8_RECIPIENT
            return self._parameter_refusal(event) if event.parameters else None
        return UNKNOWN if isinstance(event, Hello) and (event.verb == "LHLO") != self.lmtp else None

    def _mail_refusal(self, event: Mail) -> Reply | None:
        size = event.parameters.get("SIZE")
        if size is not None and self.max_size and int(size) > self.max_size:
            return _TOO_LARGE
        return self._parameter_refusal(event)

    def _parameter_refusal(self, event: Mail | Rcpt) -> Reply | None:
        for keyword in event.parameters:
            if PARAMETER_OFFERED_AS[keyword] not in self._offered:
                return _PARAMETER_NOT_OFFERED
        return None

    def _read_lines(self) -> Event | NeedData:
        assert isinstance(self._content, Lines)
        rest = self._content.feed(self._buffer[self._position :])
        self._buffer, self._position = rest or b"", 0
        if rest is None:
            return NEED_DATA
        self._read, self.receiving = self._read_command, False
        return self._content.content()

    def _begin_chunk(self, event: Bdat, refusal: Reply | None, line: bytes) -> Event | NeedData:
        """Begin to read a chunk, a refused one too: its octets are on their way whatever we say (RFC 3030, 2)."""
        self._chunk, self._left = event, event.size
        self._chunk_refused = None if refusal is None else Invalid(refusal, line[:SHOWN])
        if refusal is None:
            if not isinstance(self._content, Chunks):
                self._content = Chunks(self.max_size, self.max_line)
                if self._discard:
                    self._content.discard()
            self._content.announce(event.size)
            self.state = State.CHUNKS
        self._read, self.receiving = self._read_chunk, True
        return self._read_chunk()

    def _read_chunk(self) -> Event | NeedData:
        octets = self._buffer[self._position : self._position + self._left]
        self._position += len(octets)
        self._left -= len(octets)
        if octets and self._chunk_refused is None:
            assert isinstance(self._content, Chunks)
            self._content.feed(octets)
        if self._left:
            return NEED_DATA
        self._read, self.receiving = self._read_command, False
        refused, self._chunk_refused = self._chunk_refused, None
        return refused or self._chunk_event()

    def _chunk_event(self) -> Event:
        content = self._content
        assert isinstance(content, Chunks)
        if self._chunk.last:
            return content.content()
        if content.too_large or content.discarded:
            self._end_transaction()
            return Invalid(_TOO_LARGE if content.too_large else _DISCARDED, b"BDAT")
        return Chunk(self._chunk.size, self._chunk.last)
