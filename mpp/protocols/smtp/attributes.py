"""Attributes of XCLIENT and XFORWARD (Postfix XCLIENT_README and XFORWARD_README): what a proxy says about its client.

For the command parser. Values leave decoded and checked: addresses in their shortest form, ports as numbers in decimal, no
control character, no text that is no UTF-8. Raises AttributeSyntaxError and nothing else.
"""

import ipaddress
import re
from collections.abc import Callable

XCLIENT = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT", "REVERSE_NAME"})
XFORWARD = frozenset({"NAME", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"})

_ABSENT = frozenset({"[UNAVAILABLE]", "[TEMPUNAVAIL]"})
_XTEXT = re.compile(rb"[!-*,-<>-~\x80-\xff]*+(?:\+[0-9A-Fa-f][0-9A-Fa-f][!-*,-<>-~\x80-\xff]*+)*+")
_ENCODED = re.compile(rb"\+([0-9A-Fa-f]{2})")
_NAME = re.compile(r"[!-~\x80-\U0010ffff]{1,255}")


class AttributeSyntaxError(ValueError):
    """An attribute is unknown, given twice or malformed; the message never repeats its value."""


def parse_attributes(argument: bytes, known: frozenset[str]) -> dict[str, str | None]:
    """Read NAME=value words; a value is None where the proxy says that it does not know."""
    attributes: dict[str, str | None] = {}
    for word in argument.split():
        name, equals, value = word.partition(b"=")
        key = name.decode("ascii", "replace").upper()
        if key not in known or not equals:
            raise AttributeSyntaxError("not known")
        if key in attributes:
            raise AttributeSyntaxError(f"{key} given twice")
        try:
            attributes[key] = _value(key, value)
        except ValueError:
            raise AttributeSyntaxError(f"{key} has a bad value") from None
    if not attributes:
        raise AttributeSyntaxError("none given")
    return attributes


def _value(key: str, encoded: bytes) -> str | None:
    if not _XTEXT.fullmatch(encoded):
        raise ValueError("not xtext")
    text = _ENCODED.sub(lambda match: bytes.fromhex(match[1].decode()), encoded).decode()
    return None if text.upper() in _ABSENT else _CHECKS[key](text)


def address(text: str) -> str:
    """Return an IP address in its shortest form; "IPV6:" may stand before version 6. Raises ValueError.

    A mapped IPv4 address is that IPv4 address, so that one client has one name in every table of networks.
    """
    if text[:5].upper() == "IPV6:":
        version6 = ipaddress.IPv6Address(text[5:])
    elif ":" in text:
        version6 = ipaddress.IPv6Address(text)
    else:
        return str(ipaddress.IPv4Address(text))
    if version6.scope_id is not None:
        raise ValueError("scoped address")
    return str(version6.ipv4_mapped or version6)


def _port(text: str) -> str:
    if not text.isascii() or not text.isdigit() or len(text) > 5 or int(text) > 65535:
        raise ValueError("not a port")
    return str(int(text))


def _one_of(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.upper() not in allowed:
            raise ValueError("not one of those allowed")
        return text.upper()

    return check


def _printable(text: str) -> str:
    if not _NAME.fullmatch(text) or not text.isprintable():
        raise ValueError("not printable, or too long")
    return text


_CHECKS: dict[str, Callable[[str], str]] = {
    "NAME": _printable,
    "REVERSE_NAME": _printable,
    "ADDR": address,
    "DESTADDR": address,
    "PORT": _port,
    "DESTPORT": _port,
    "PROTO": _one_of("SMTP", "ESMTP", "LMTP"),
    "HELO": _printable,
    "LOGIN": _printable,
    "IDENT": _printable,
    "SOURCE": _one_of("LOCAL", "REMOTE"),
}
