"""The commands of an SMTP or LMTP client, and how they are written (RFC 5321, 2033; XFORWARD and XCLIENT as Postfix
documents them).

Values for mpp.protocols.smtp.client and its callers. Writing raises LocalProtocolError for whatever would change the
meaning of a line: control characters anywhere, spaces and angle brackets outside quotes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from mpp.protocols.errors import LocalProtocolError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_XTEXT = re.compile(rb"[^!-*,-<>-~]")  # RFC 3461, 4


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the first reply of a connection answers: nothing of ours, the connection itself."""


@dataclass(frozen=True, slots=True)
class Hello:
    name: str
    verb: str = ""  # "" means EHLO, or LHLO in LMTP; "HELO" for servers that refuse EHLO


@dataclass(frozen=True, slots=True)
class StartTls:
    """After a 220 the codec stands before EHLO again; octets that came after that reply in the clear are an error."""


@dataclass(slots=True)  # made for each message: frozen would cost three times as much
class Mail:
    reverse_path: str
    parameters: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(slots=True)
class Rcpt:
    address: str
    parameters: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Data:
    pass


@dataclass(frozen=True, slots=True)
class EndOfData:
    """What the answer after a body answers: never sent, stands in Answer.command."""

    recipient: str = ""  # in LMTP: whose answer this is


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Xforward:
    """Values are plain text and written as xtext; "" is written as [UNAVAILABLE]."""

    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Xclient:
    """As Xforward. A 220 puts the server, and so the codec, before EHLO again."""

    attributes: Mapping[str, str]


Command = Hello | StartTls | Mail | Rcpt | Data | Reset | Quit | Noop | Xforward | Xclient


def _write_mail(command: Mail, _lmtp: bool) -> bytes:
    return _line(_mail(command.reverse_path) + _parameters(command.parameters))


def _write_rcpt(command: Rcpt, _lmtp: bool) -> bytes:
    return _rcpt(command.address, _parameters(command.parameters) if command.parameters else "")


def _write_hello(command: Hello, lmtp: bool) -> bytes:
    if " " in command.name or not command.name:
        raise LocalProtocolError("no name to say hello with")
    return _line(f"{command.verb or ('LHLO' if lmtp else 'EHLO')} {command.name}")


def _bare(octets: bytes) -> Callable[[Any, bool], bytes]:
    return lambda _command, _lmtp: octets


def attribute_groups(attributes: Mapping[str, str], offered: str) -> list[dict[str, str]]:
    """Cut what the server's XFORWARD or XCLIENT parameters list into groups that fit into 512 octets of a command each.

    Values of more than 255 octets are said to be unavailable (Postfix, XFORWARD_README: command syntax).
    """
    names = set(offered.upper().split())
    groups: list[dict[str, str]] = []
    room = 0
    for name, value in attributes.items():
        if name.upper() not in names:
            continue
        written = _xtext(value)
        if len(written) > 255:
            value, written = "", b"[UNAVAILABLE]"
        needed = len(name) + len(written) + 2
        if needed > room:
            groups.append({})
            room = 512 - len("XFORWARD\r\n")
        groups[-1][name] = value
        room -= needed
    return groups


@lru_cache(1024)
def _mail(reverse_path: str) -> str:
    return f"MAIL FROM:<{_path(reverse_path)}>"


@lru_cache(1024)
def _rcpt(address: str, parameters: str) -> bytes:
    return _line(f"RCPT TO:<{_path(address)}>{parameters}")


def _line(text: str) -> bytes:
    if not (text.isascii() and text.isprintable()) and _CONTROL.search(text):
        raise LocalProtocolError("a control character in a command")
    try:
        return text.encode() + b"\r\n"
    except UnicodeEncodeError:
        raise LocalProtocolError("a command that is not valid Unicode") from None


def _path(address: str) -> str:
    if (" " in address or ">" in address) and '"' not in address:
        raise LocalProtocolError("an address with a space or bracket outside quotes")
    return address


def _parameters(parameters: Mapping[str, str | None]) -> str:
    if not parameters:
        return ""
    text = ""
    for keyword, value in parameters.items():
        if " " in keyword or (value is not None and " " in value):
            raise LocalProtocolError("a parameter with a space")
        text += f" {keyword}" if value is None else f" {keyword}={value}"
    return text


@lru_cache(1024)
def _attributes(verb: str, attributes: tuple[tuple[str, str], ...]) -> bytes:
    if not attributes:
        raise LocalProtocolError("no attributes to send")
    octets = verb.encode()
    for name, value in attributes:
        if not name.isascii() or not name.isalpha():
            raise LocalProtocolError("an attribute name that is no word")
        octets += b" " + name.encode() + b"=" + _xtext(value)
    return octets + b"\r\n"


def _xtext(value: str) -> bytes:
    if not value:
        return b"[UNAVAILABLE]"
    return _NOT_XTEXT.sub(lambda match: b"+%02X" % match[0][0], value.encode(errors="replace"))


# How each command is written, with its CRLF, given whether we speak LMTP.
WRITERS: dict[type, Callable[[Any, bool], bytes]] = {
    Mail: _write_mail,
    Rcpt: _write_rcpt,
    Data: _bare(b"DATA\r\n"),
    Hello: _write_hello,
    Xforward: lambda command, _lmtp: _attributes("XFORWARD", tuple(command.attributes.items())),
    Xclient: lambda command, _lmtp: _attributes("XCLIENT", tuple(command.attributes.items())),
    Reset: _bare(b"RSET\r\n"),
    Quit: _bare(b"QUIT\r\n"),
    Noop: _bare(b"NOOP\r\n"),
    StartTls: _bare(b"STARTTLS\r\n"),
}
