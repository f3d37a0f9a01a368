"""Command lines of SMTP and LMTP clients, read into events (RFC 5321, 4.1; RFC 1870, 3030, 3207, 3461, 6152, 6531, 6533).

For the server codec. `parse_command` is a pure function of the line: what depends on the dialogue (order, offered
extensions, the size limit) is the codec's. Nothing with a control character in it leaves as an argument, no text that is no
UTF-8, and no address that is no mailbox. Never raises: what cannot be read is `Invalid`, what cannot be gone on from is
`Fatal`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar

from mpp.mail.address import AddressError, parse_address
from mpp.mail.envelope import Parameters
from mpp.protocols.smtp.attributes import XCLIENT, XFORWARD, AttributeSyntaxError, parse_attributes
from mpp.protocols.smtp.reply import Reply

MAX_NAME = 255  # octets of a HELO name
SHOWN = 256  # octets of a refused command told to the caller
MAX_LOCAL = 255  # octets of a local part: RFC 5321, 4.5.3.1.1 says 64, but VERP and SRS in use are longer
KNOWN = 512  # octets: longer lines are rare, and would make the cache large

BARE = Reply(521, "5.5.2", "Bare CR or LF in a command, lines must end in CR LF")
UNKNOWN = Reply(500, "5.5.2", "Command not recognized")
NOT_IMPLEMENTED = Reply(502, "5.5.1", "Command not implemented")
NOT_SMTP = Reply(554, "5.5.1", "This is a mail server, goodbye")
BAD_ARGUMENT = Reply(501, "5.5.4", "Syntax error in argument")
NO_ARGUMENT = Reply(501, "5.5.4", "Argument needed")
NO_ARGUMENTS = Reply(501, "5.5.4", "No argument allowed")
BAD_NAME = Reply(501, "5.5.4", "Syntax: HELO name, printable and without spaces")
BAD_CHUNK = Reply(521, "5.5.4", "Syntax: BDAT size [LAST]")
BAD_PARAMETER = Reply(501, "5.5.4", "Syntax error in parameter")
TWICE = Reply(501, "5.5.4", "Parameter given twice")
UNKNOWN_PARAMETER = Reply(555, "5.5.4", "Parameter not recognized or not implemented")
BAD_UTF8 = Reply(501, "5.5.4", "Not UTF-8")


@dataclass(frozen=True, slots=True)
class Hello:
    verb: str  # HELO, EHLO or LHLO
    name: str  # printable ASCII without spaces, at most 255 octets


@dataclass(frozen=True, slots=True)
class Mail:
    reverse_path: str  # "" is the null reverse-path; without source route
    parameters: Parameters
    plain: bool = field(default=False, compare=False)  # nothing has to be offered for it


@dataclass(frozen=True, slots=True)
class Rcpt:
    address: str  # without source route; "postmaster" may have no domain
    parameters: Parameters
    plain: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Data:
    """Answer 354, and Content follows."""

    plain: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Bdat:
    """The codec's own: it reads the octets, then emits Chunk, Content or Invalid."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that is not the last one has come in whole. Any refusal ends the transaction."""

    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class StartTls:
    """Answer 220, and nothing more is read before `reset_for_tls`."""


@dataclass(frozen=True, slots=True)
class Quit:
    pass


@dataclass(frozen=True, slots=True)
class Reset:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Verify:
    text: str


@dataclass(frozen=True, slots=True)
class Expand:
    text: str


@dataclass(frozen=True, slots=True)
class Help:
    text: str


@dataclass(frozen=True, slots=True)
class Xclient:
    attributes: Mapping[str, str | None]  # by upper-case name, decoded; None: [UNAVAILABLE] or [TEMPUNAVAIL]


@dataclass(frozen=True, slots=True)
class Xforward:
    attributes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Invalid:
    """A command refused by the codec: send `reply` (or one that ends the connection) and count an error."""

    reply: Reply
    command: bytes  # as it came, cut to SHOWN octets; hostile


@dataclass(frozen=True, slots=True)
class Fatal:
    """Send `reply` and close: what follows on the wire cannot be told from smuggled commands."""

    reply: Reply


Command = (
    Hello | Mail | Rcpt | Data | Bdat | StartTls | Quit | Reset | Noop | Verify | Expand | Help | Xclient | Xforward
)
Parsed = Command | Invalid | Fatal


class _Refused(Exception):  # noqa: N818 not an error of ours
    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def parse_command(line: bytes) -> Parsed:
    """Read one command line without its CRLF."""
    verb, _, argument = line.partition(b" ")
    verb = verb.upper()
    if verb.startswith(b"BDAT"):
        return _bdat(line)
    parse = _VERBS.get(verb)
    if parse is None:
        return _unknown(verb, line)
    if _CONTROL.search(argument):
        return Invalid(BAD_ARGUMENT, line[:SHOWN])
    try:
        return parse(argument.strip(b" "))
    except _Refused as refused:
        return Invalid(refused.reply, line[:SHOWN])


def read_line(line: bytes) -> Parsed:
    """Read what stands up to an LF. Another host may have read two lines where a CR or LF is alone."""
    bare = len(line) < 2 or line[-2] != 13 or line.find(b"\r") < len(line) - 2
    return Fatal(BARE) if bare else parse_command(line[:-2])


known_line = lru_cache(2048)(read_line)
"""The same for lines of at most KNOWN octets, which come again and again. Frozen events: it gives the same object again."""

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def _unknown(verb: bytes, line: bytes) -> Parsed:
    if verb in _HTTP or verb.endswith(b":"):
        return Fatal(NOT_SMTP)  # a browser or a proxy made to speak to us; its body would be read as commands
    return Invalid(NOT_IMPLEMENTED if verb in _UNOFFERED else UNKNOWN, line[:SHOWN])


_HTTP = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"CONNECT", b"OPTIONS", b"DELETE", b"PATCH", b"TRACE", b"PRI"})
_UNOFFERED = frozenset({b"AUTH", b"ETRN", b"TURN", b"ATRN", b"SEND", b"SOML", b"SAML"})


def _text(argument: bytes) -> str:
    try:
        text = argument.decode()
    except UnicodeDecodeError:
        raise _Refused(BAD_UTF8) from None
    if not text.isprintable():  # C1 controls, reading direction, spaces that are none
        raise _Refused(BAD_ARGUMENT)
    return text


def _hello(verb: str) -> Callable[[bytes], Command]:
    def parse(argument: bytes) -> Command:
        if not _NAME.fullmatch(argument):
            raise _Refused(BAD_NAME)
        return Hello(verb, argument.decode("ascii"))

    return parse


_NAME = re.compile(rb"[!-~]{1,%d}" % MAX_NAME)


def _bare(event: Command) -> Callable[[bytes], Command]:
    """A command that takes no argument."""

    def parse(argument: bytes) -> Command:
        if argument:
            raise _Refused(NO_ARGUMENTS)
        return event

    return parse


def _bdat(line: bytes) -> Parsed:
    # Where the size cannot be read nobody knows how many octets that follow are content, so there is no way on.
    match = _BDAT.fullmatch(line)
    return Fatal(BAD_CHUNK) if match is None else Bdat(int(match[1]), match[2] is not None)


_BDAT = re.compile(rb"(?i:BDAT) +([0-9]{1,19})( +(?i:LAST))? *")


def _verify(argument: bytes) -> Command:
    return Verify(_needed(argument))


def _expand(argument: bytes) -> Command:
    return Expand(_needed(argument))


def _needed(argument: bytes) -> str:
    if not argument:
        raise _Refused(NO_ARGUMENT)
    return _text(argument)


# MAIL and RCPT


def _path_pattern(keyword: str) -> re.Pattern[str]:
    # Quoted strings may hold ">" and spaces; what is no mailbox after all is parse_address's to say.
    return re.compile(
        rf"""{keyword}: [ ]* (?:<(?P<path>[^<>"\\ ]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^<>"\\ ]*+)*+)>(?:[ ]++(?P<parameters>.*))?|(?P<other>.*))""",
        re.VERBOSE | re.IGNORECASE,
    )


_FROM, _TO = _path_pattern("FROM"), _path_pattern("TO")


def _mail(argument: bytes) -> Command:
    path, parameters = _path(_text(argument), _FROM, "FROM", "5.1.7")
    values = _parameters(parameters, _MAIL_PARAMETERS)
    address = _address(path, BAD_SENDER) if path else ""
    if path and "@" not in address:
        raise _Refused(BAD_SENDER)
    if not address.isascii() and "SMTPUTF8" not in values:
        raise _Refused(UTF8_SENDER)
    return Mail(address, values, not values)


def _rcpt(argument: bytes) -> Command:
    path, parameters = _path(_text(argument), _TO, "TO", "5.1.3")
    values = _parameters(parameters, _RCPT_PARAMETERS)
    address = _address(path, BAD_RECIPIENT)
    return Rcpt(address, values, not values and address.isascii())


BAD_SENDER = Reply(501, "5.1.7", "Bad sender address syntax")
BAD_RECIPIENT = Reply(501, "5.1.3", "Bad recipient address syntax")
UTF8_SENDER = Reply(550, "5.6.7", "Address is not ASCII, MAIL needs SMTPUTF8")


def _path(argument: str, pattern: re.Pattern[str], keyword: str, enhanced: str) -> tuple[str, str]:
    match = pattern.fullmatch(argument)
    if match is None:
        raise _Refused(Reply(501, "5.5.2", f"Syntax: {'MAIL' if keyword == 'FROM' else 'RCPT'} {keyword}:<address>"))
    if match["path"] is None:
        raise _Refused(Reply(501, enhanced, "Address must stand in angle brackets, alone"))
    return match["path"], match["parameters"] or ""


def _address(path: str, refusal: Reply) -> str:
    try:
        address = parse_address(path)
    except AddressError:
        raise _Refused(refusal) from None
    if len(address.local.encode()) > MAX_LOCAL or len(address.domain.encode()) > 255:
        raise _Refused(refusal)
    return address.text


def _parameters(text: str, known: Mapping[str, Callable[[str | None], bool]]) -> Parameters:
    if not text:
        return _NONE
    values: dict[str, str | None] = {}
    for word in text.split():
        match = _PARAMETER.fullmatch(word)
        if match is None:
            raise _Refused(BAD_PARAMETER)
        keyword, value = match[1].upper(), match[2]
        if keyword in values:
            raise _Refused(TWICE)
        valid = known.get(keyword)
        if valid is None:
            raise _Refused(UNKNOWN_PARAMETER)
        if not valid(value):
            raise _Refused(UNKNOWN_PARAMETER if keyword == "BODY" and value else BAD_PARAMETER)
        values[keyword] = value
    return MappingProxyType(values)


_NONE: Parameters = MappingProxyType({})
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([!-<>-~\x80-\U0010ffff]++))?")


def _valid(pattern: str, limit: int = 0) -> Callable[[str | None], bool]:
    compiled = re.compile(pattern, re.IGNORECASE | re.ASCII)

    def valid(value: str | None) -> bool:
        return value is not None and (not limit or len(value) <= limit) and compiled.fullmatch(value) is not None

    return valid


def _notify(conditions: list[str]) -> bool:
    return conditions == ["NEVER"] or (len(set(conditions)) == len(conditions) and _CONDITIONS.issuperset(conditions))


_CONDITIONS = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_XTEXT = r"[!-*,-<>-~]*+(?:\+[2-7][0-9A-F](?<!\+7F)[!-*,-<>-~]*+)*+"  # decodes to printable ASCII (RFC 3461, 4)

_MAIL_PARAMETERS: Mapping[str, Callable[[str | None], bool]] = {
    "SIZE": _valid("[0-9]{1,20}"),
    "BODY": _valid("7BIT|8BITMIME"),
    "SMTPUTF8": lambda value: value is None,
    "RET": _valid("FULL|HDRS"),
    "ENVID": _valid(_XTEXT, 100),
}
_RCPT_PARAMETERS: Mapping[str, Callable[[str | None], bool]] = {
    "NOTIFY": lambda value: value is not None and _notify(value.upper().split(",")),
    "ORCPT": _valid(rf"utf-8;[!-<>-~\x80-\U0010ffff]++|[A-Z0-9-]++;{_XTEXT}", 500),
}

_VERBS: Mapping[bytes, Callable[[bytes], Command]] = {
    b"HELO": _hello("HELO"),
    b"EHLO": _hello("EHLO"),
    b"LHLO": _hello("LHLO"),
    b"MAIL": _mail,
    b"RCPT": _rcpt,
    b"DATA": _bare(Data()),
    b"STARTTLS": _bare(StartTls()),
    b"RSET": _bare(Reset()),
    b"QUIT": _bare(Quit()),
    b"NOOP": lambda argument: Noop(),  # an argument is allowed and ignored
    b"VRFY": _verify,
    b"EXPN": _expand,
    b"HELP": lambda argument: Help(_text(argument)),
    b"XCLIENT": lambda argument: Xclient(_attributes(argument, XCLIENT)),
    b"XFORWARD": lambda argument: Xforward(_attributes(argument, XFORWARD)),
}


def _attributes(argument: bytes, known: frozenset[str]) -> Mapping[str, str | None]:
    try:
        return MappingProxyType(parse_attributes(argument, known))
    except AttributeSyntaxError as error:
        raise _Refused(Reply(501, "5.5.4", f"Bad attribute: {error}")) from None
