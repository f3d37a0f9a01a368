"""SMTP and LMTP, client side: commands and bodies to octets, octets to answers (RFC 5321, 2033, 2920, 3207).

Called by the delivery: one codec for one connection. Several commands in one `send` are a pipelined group; answers come
in the order of the commands. Never opens a socket, reads a clock, or judges what a refusal means for a recipient.
Raises LocalProtocolError from `send` and `send_body`, RemoteProtocolError from `next_event`, and nothing else.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mpp.mail.escape import printable
from mpp.protocols.errors import NEED_DATA, LocalProtocolError, NeedData, RemoteProtocolError
from mpp.protocols.smtp.client_commands import (
    WRITERS,
    Command,
    Data,
    EndOfData,
    Greeting,
    Hello,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Reset,
    StartTls,
    Xclient,
    Xforward,
    attribute_groups,
)
from mpp.protocols.smtp.dots import SLICE, Buffer, stuffed, stuffed_whole

__all__ = [
    "SLICE",
    "Answer",
    "ClientCodec",
    "Command",
    "Data",
    "EndOfData",
    "Greeting",
    "Hello",
    "Mail",
    "Noop",
    "Quit",
    "Rcpt",
    "Reset",
    "ServerReply",
    "StartTls",
    "Xclient",
    "Xforward",
    "attribute_groups",
    "parse_extensions",
]

MAX_LINES = 128  # of one reply
MAX_LINE = 4096  # octets of one reply line; RFC 5321, 4.5.3.1.5 asks for 512


@dataclass(frozen=True, slots=True)
class ServerReply:
    """A reply of the server, cleaned: `lines` hold no control characters, neither the codes."""

    code: int  # 200 to 599
    enhanced: str  # "5.1.1" (RFC 3463) where the first line has one of the code's class, else ""
    lines: tuple[str, ...]

    @property
    def positive(self) -> bool:
        return self.code < 400

    @property
    def transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    @property
    def text(self) -> str:
        """The lines joined by newlines."""
        return "\n".join(self.lines)


class Answer(NamedTuple):
    """The server's reply to `command`; None where nothing was asked, which is allowed to a 421 alone."""

    command: Command | Greeting | EndOfData | None
    reply: ServerReply


_SINGLE = re.compile(rb"(([245])[0-9][0-9]|3[0-9][0-9])(?: (?:(\2\.[0-9]{1,3}\.[0-9]{1,3})(?: |$))?(.*))?", re.DOTALL)
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")
_KEYWORD = re.compile(r"[A-Z0-9][A-Z0-9-]*")
_LAST_OF_GROUP = frozenset((Hello, StartTls, Data, Quit, Xclient))  # RFC 2920, 3.1; VRFY, EXPN are never sent
_FOLLOWED = frozenset((Hello, StartTls, Xclient))  # their acceptance changes what the codec knows
_FOLLOWED_LMTP = _FOLLOWED | {Mail, Rcpt, Reset}  # whoever is accepted has an answer after the body
_GREETING, _END_OF_DATA = Greeting(), EndOfData()
_KNOWN = 256  # octets read at once that are looked up as a whole

_new = tuple.__new__  # a named tuple made by its own constructor costs twice as much


class ClientCodec:
    """One connection to a server: `send` or `send_body`, `receive_data`, then `next_event` until NEED_DATA."""

    def __init__(self, *, lmtp: bool = False) -> None:
        self.lmtp = lmtp
        self._followed = _FOLLOWED_LMTP if lmtp else _FOLLOWED
        self.extensions: dict[str, str] = {}  # after EHLO: upper-case keyword, its parameters as they came
        self.closed = False  # the server has closed
        self._asked: deque[Command | Greeting | EndOfData] = deque((_GREETING,))
        self._last: Command | Greeting | None = _GREETING  # unanswered and nothing may be sent before its answer
        self._body_wanted = False  # 354 has come
        self._accepted: list[str] = []  # in LMTP: recipients of this transaction
        self._buffer = b""  # not yet cut into lines
        self._whole: deque[bytes] = deque()  # lines not yet looked at
        self._ready: deque[ServerReply] = deque()  # whole replies that came before them, not yet given out
        self._code = b""  # of the reply whose lines are coming
        self._lines: list[str] = []

    @property
    def waiting(self) -> int:
        """Answers still to come."""
        return len(self._asked)

    @property
    def at_rest(self) -> bool:
        """True where nothing is awaited and no body is due: another conversation may begin."""
        return not self._asked and not self._body_wanted

    def send(self, *commands: Command) -> bytes:
        """Return the octets of a group.

        EHLO, STARTTLS, DATA, QUIT and XCLIENT may only be the last of it, and no group follows before their answer.
        Raises LocalProtocolError for that, for a command where a body is due, and for control characters, spaces or
        angle brackets where they would change the meaning of a line.
        """
        if self._body_wanted:
            raise LocalProtocolError("a body is due")
        octets, last, lmtp = b"", self._last, self.lmtp
        for command in commands:
            if last is not None:
                raise LocalProtocolError(f"{type(command).__name__} before the answer to {type(last).__name__}")
            kind = type(command)
            octets += WRITERS[kind](command, lmtp)
            if kind in _LAST_OF_GROUP:
                last = command
        self._last = last
        self._asked += commands
        return octets

    def send_body(self, buffers: Iterable[Buffer]) -> bytes:
        """Return the body in one piece with dots doubled at line starts (RFC 5321, 4.5.2), and the end of data.

        A body that does not end in CRLF gets one. Looks at everything at once: for large bodies see `body_slices`.
        Raises LocalProtocolError where no body is due.
        """
        self._body_begins()
        return stuffed_whole(b"".join(buffers))

    def body_slices(self, buffers: Iterable[Buffer]) -> Iterator[Buffer]:
        """The same octets lazily: no step looks at more than 256 KiB, and what needs no dot is not copied.

        It must be read to its end. Raises LocalProtocolError at once where no body is due.
        """
        self._body_begins()
        return stuffed(buffers)

    def _body_begins(self) -> None:
        if not self._body_wanted:
            raise LocalProtocolError("no body is due")
        self._body_wanted = False
        if self.lmtp:
            self._asked.extend(EndOfData(recipient) for recipient in self._accepted)
        else:
            self._asked.append(_END_OF_DATA)
        self._accepted = []

    def receive_data(self, data: Buffer) -> None:
        """Take what was read; b"" says the server closed. Judges nothing, raises nothing."""
        data = bytes(data)
        if not data:
            self.closed = True
        elif self._buffer:
            self._buffer += data
        elif len(data) > _KNOWN or self._whole or self._lines or not (replies := _replies(data)):
            self._buffer = data
        else:
            self._ready.extend(replies)

    def next_event(self) -> Answer | NeedData:
        """Return the next answer, or NEED_DATA.

        Raises RemoteProtocolError for garbage, for a reply that nothing asked for (but 421), over a limit of replies,
        and where the server closed with answers due.
        """
        if self._ready:
            reply: ServerReply | None = self._ready.popleft()
        elif self._buffer or self._whole or self.closed:
            reply = self._next_reply()
        else:
            return NEED_DATA
        if reply is None:
            return NEED_DATA
        if not self._asked:
            if reply.code != 421:
                raise RemoteProtocolError(f"a reply that nothing asked for: {reply.code} {reply.text[:80]}")
            return Answer(None, reply)
        command = self._asked.popleft()
        if command is self._last:
            self._last = None
        kind, code = type(command), reply.code
        if code < 300 and kind is not Data:
            if kind in self._followed:
                self._accepted_command(command, reply)
        elif code >= 400:
            if kind is Hello:
                self.extensions = {}
        elif kind is Data and code == 354:
            self._body_wanted = True
        else:
            raise RemoteProtocolError(f"{code} in answer to {kind.__name__}")
        return _new(Answer, (command, reply))

    def _next_reply(self) -> ServerReply | None:
        """Read the next reply line by line, None where it has not come."""
        lines = self._whole
        if not lines and self._buffer:
            lines.extend(self._buffer.split(b"\n"))
            self._buffer = lines.pop()
        while lines:
            line = lines.popleft()
            if line[-1:] == b"\r":
                line = line[:-1]
            if not self._lines and line[3:4] != b"-":
                return _single(line) if len(line) <= 128 else _read_single(line)
            if (reply := self._continue(line)) is not None:
                return reply
        if len(self._buffer) > MAX_LINE + 1:
            raise RemoteProtocolError(f"a reply line of more than {MAX_LINE} octets")
        if self.closed and (self._asked or self._buffer or self._lines):
            raise RemoteProtocolError("the server closed before its reply")
        return None

    def _continue(self, line: bytes) -> ServerReply | None:
        """Take one line of a multi-line reply; return the reply where it was the last."""
        match = _LINE.fullmatch(line)
        if not match or len(line) > MAX_LINE:
            raise RemoteProtocolError(f"not a reply: {printable(line, 80)}")
        if self._lines and match[1] != self._code:
            raise RemoteProtocolError(f"the code changes within a reply: {printable(line, 80)}")
        if len(self._lines) >= MAX_LINES:
            raise RemoteProtocolError(f"a reply of more than {MAX_LINES} lines")
        self._code = match[1]
        self._lines.append(printable(match[3] or b""))
        if match[2] == b"-":
            return None
        lines, self._lines = self._lines, []
        return _reply(int(match[1]), lines)

    def _accepted_command(self, command: Command | Greeting | EndOfData, reply: ServerReply) -> None:
        match command:
            case Mail() | Reset():
                self._accepted = []
            case Rcpt():
                self._accepted.append(command.address)
            case Hello():
                self.extensions = {} if command.verb == "HELO" else parse_extensions(reply.lines[1:])
            case StartTls() | Xclient():
                if (
                    self._buffer or self._whole or self._ready
                ):  # answers written before the handshake are an attacker's (RFC 3207, 6)
                    raise RemoteProtocolError(f"octets behind the answer to {type(command).__name__}")
                self.extensions = {}


def parse_extensions(lines: Iterable[str]) -> dict[str, str]:
    """Return upper-case keywords with their parameters from the lines of an EHLO reply behind its first.

    `AUTH=LOGIN PLAIN`, which some servers say beside or instead of `AUTH LOGIN PLAIN`, is read as the latter.
    """
    extensions: dict[str, str] = {}
    for line in lines:
        keyword, _, parameters = line.strip().partition(" ")
        keyword = keyword.upper()
        if keyword.startswith("AUTH="):
            keyword, parameters = "AUTH", f"{keyword[5:]} {parameters}"
        if not _KEYWORD.fullmatch(keyword):
            continue
        parameters = parameters.strip()
        if keyword == "AUTH" and extensions.get("AUTH"):
            parameters = " ".join(dict.fromkeys(f"{extensions['AUTH']} {parameters}".split()))
        extensions[keyword] = parameters
    return extensions


def _read_single(line: bytes) -> ServerReply:
    match = _SINGLE.fullmatch(line)
    if not match or len(line) > MAX_LINE:
        raise RemoteProtocolError(f"not a reply: {printable(line, 80)}")
    code, _, enhanced, text = match.groups(b"")
    return ServerReply(int(code), enhanced.decode(), (printable(text),))


_single = lru_cache(maxsize=512)(_read_single)  # servers say the same few things over and over


@lru_cache(maxsize=512)
def _replies(data: bytes) -> tuple[ServerReply, ...]:
    """Return the replies of octets that are whole replies of one line each, () for all others: the usual answer to a group.

    What is not of this form is looked at line by line.
    """
    lines = data.split(b"\r\n")
    if lines.pop() or any(line[3:4] == b"-" or b"\n" in line for line in lines):
        return ()
    try:
        return tuple([_single(line) for line in lines])
    except RemoteProtocolError:
        return ()


def _reply(code: int, lines: list[str]) -> ServerReply:
    match = _ENHANCED.match(lines[0])
    if not match or match[1] != str(code)[0]:
        return ServerReply(code, "", tuple(lines))
    enhanced = match[0]
    before = enhanced + " "
    return ServerReply(code, enhanced, tuple("" if line == enhanced else line.removeprefix(before) for line in lines))
