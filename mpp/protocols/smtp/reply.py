"""Replies of our SMTP and LMTP server (RFC 5321, 4.2; enhanced codes by RFC 2034 and 3463).

Made by the session and by the server codec; replies of other servers are the client codec's. The text may come from
outside (a next hop, an operator, an address): the wire form is cleaned, so that it can neither end a line nor steer a
terminal; a backslash stays as it is, since most such text has its escapes already. Raises ValueError for a code that is no reply code, and nothing else.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from mpp.mail.escape import ascii_once

MAX_LINE = 512  # octets with CRLF (RFC 5321, 4.5.3.1.5)
_ROOM = MAX_LINE - len("250-\r\n")

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(slots=True, unsafe_hash=True)  # frozen by habit: made for each message, frozen costs three times as much
class Reply:
    """One reply. `text` may have several lines, parted by LF; `enhanced` is "" where none belongs (greeting, EHLO, 354)."""

    code: int
    enhanced: str
    text: str
    wire: bytes = field(init=False, repr=False, compare=False)
    """The octets to send: ASCII, lines of at most 512 octets. Written when first asked for."""

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError("no reply code of SMTP")

    def __getattr__(self, name: str) -> bytes:
        # Called for what is not set: a plain attribute afterwards, where a property would be a call each time.
        if name != "wire":
            raise AttributeError(name)
        self.wire = self._write()
        return self.wire

    @classmethod
    def read(cls, words: str) -> "Reply":
        """Return the reply that `words` wrote. Raises ValueError for other text."""
        code, enhanced, text = words.split(" ", 2)
        return cls(int(code), enhanced, text)

    @property
    def words(self) -> str:
        """Code, enhanced code and text in one, as logs, traces, memo and store have it; nothing is cleaned."""
        return f"{self.code} {self.enhanced} {self.text}"

    @property
    def positive(self) -> bool:
        return self.code < 300

    @property
    def transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        return self.code >= 500

    def _write(self) -> bytes:
        prefix = _prefix(self.code, self.enhanced)
        room = _ROOM - len(prefix)
        text = self.text
        if (
            text.isascii() and text.isprintable() and 0 < len(text) <= room and text[-1] != " "
        ):  # one plain line, as most
            return f"{self.code} {prefix}{text}\r\n".encode("ascii")
        lines = [piece for line in self.text.split("\n") for piece in _fold(ascii_once(line), room)]
        last = lines.pop()
        written = [f"{self.code}-{prefix}{line}\r\n" for line in lines]
        written.append(f"{self.code} {prefix}{last}".rstrip() + "\r\n")
        return "".join(written).encode("ascii")


@lru_cache(256)
def _prefix(code: int, enhanced: str) -> str:
    """Return what stands before each line's text. An enhanced code of another class than the code's would say two things at
    once: a next hop's slip is not passed on."""
    fits = _ENHANCED.fullmatch(enhanced) is not None and int(enhanced[0]) == code // 100
    return f"{enhanced} " if fits else ""


def _fold(line: str, room: int) -> list[str]:
    """Cut a line where it is too long, at a space if its last half has one."""
    pieces = []
    while len(line) > room:
        cut = line.rfind(" ", room // 2, room) + 1 or room
        pieces.append(line[:cut].rstrip())
        line = line[cut:]
    pieces.append(line)
    return pieces
