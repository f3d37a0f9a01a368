"""An SMTP client that says exactly the octets it is given, for tests of what a server makes of them."""

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Self

_LAST_LINE = re.compile(rb"(?:^|\n)\d{3}(?:[ \r][^\n]*)?\n")


@dataclass(frozen=True, slots=True)
class Reply:
    code: int
    lines: tuple[str, ...]  # without codes and line ends
    wire: bytes

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


class ClosedError(AssertionError):
    """The server closed where a reply was expected."""


class Dialogue:
    """One connection; the greeting is read at once unless `greeted` is False. Every wait ends after `timeout_s`."""

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        timeout_s: float = 20.0,
        greeted: bool = True,
        tls: ssl.SSLContext | None = None,
        source: str = "",
    ) -> None:
        bound = (source, 0) if source else None
        self.socket: socket.socket = socket.create_connection((host, port), timeout_s, source_address=bound)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._buffer = b""
        self.greeting = self.reply() if greeted else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def reply(self) -> Reply:
        """Read one whole reply. Raises ClosedError, TimeoutError."""
        while not (match := _LAST_LINE.search(self._buffer)):
            data = self.socket.recv(65536)
            if not data:
                raise ClosedError(f"closed after {self._buffer!r}")
            self._buffer += data
        wire, self._buffer = self._buffer[: match.end()], self._buffer[match.end() :]
        lines = tuple(line[4:].decode("ascii") for line in wire.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n"))
        return Reply(int(wire[:3]), lines, wire)

    def say(self, line: str | bytes) -> Reply:
        """Send a command with CRLF and return its reply."""
        self.send((line.encode() if isinstance(line, str) else line) + b"\r\n")
        return self.reply()

    def hello(self, name: str = "client.example") -> Reply:
        return self.say(f"EHLO {name}")

    def envelope(self, reverse_path: str = "sender@example.net", *recipients: str, parameters: str = "") -> list[Reply]:
        """MAIL and a RCPT for each recipient (bob@example.org where none is named); their replies."""
        replies = [self.say(f"MAIL FROM:<{reverse_path}> {parameters}".rstrip())]
        return replies + [self.say(f"RCPT TO:<{each}>") for each in recipients or ("bob@example.org",)]

    def data(self, wire: bytes) -> Reply:
        """DATA, then exactly these octets, terminator included; the last reply (that of DATA where it was refused)."""
        answer = self.say("DATA")
        if answer.code != 354:
            return answer
        self.send(wire)
        return self.reply()

    def starttls(self, context: ssl.SSLContext, name: str = "localhost") -> Reply:
        answer = self.say("STARTTLS")
        if answer.code == 220:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
            self._buffer = b""
        return answer

    def closed(self) -> bool:
        """True where the server has closed and nothing more is to be read; waits for it."""
        try:
            return not self._buffer and not self.socket.recv(1)
        except ConnectionError:
            return True
        except TimeoutError:
            return False
