"""Received fields (RFC 5321, 4.4; RFC 3848 and RFC 6531 for the protocol's name): writing ours, counting all, and the
digest that stays the same when an MTA in front writes a new one at each attempt.

On the path of every message: what repeats (client, second of the clock) is kept ready. Never raises on outside text;
whatever a client calls itself is reduced to characters that cannot end a comment, a field or a line.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from time import gmtime

from mpp.mail.envelope import Client
from mpp.mail.message import Message

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RECEIVED = re.compile(rb"(?:received[ \t]*+:[^\n]*+(?:\n[ \t][^\n]*+)*+\n?+)*+", re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9._:\[\]-]")
_UNSAFE_TEXT = re.compile(r"[^A-Za-z0-9._: /+=-]")
_MAX_FOR = 900  # octets of a line's 998 for the recipient


def digest(raw: bytes) -> bytes:
    """Return 16 octets that name the message without its leading run of Received fields.

    Costs about 1 ms a MiB: a caller with a large message asks for it in a thread (the hash releases the GIL).
    """
    run = _RECEIVED.match(raw)
    start = run.end() if run else 0
    return blake2b(memoryview(raw)[start:] if start else raw, digest_size=16).digest()


def count_hops(message: Message, hostname: str, instance: str) -> tuple[int, int]:
    """Count the Received fields of the header, and those that this host and instance wrote (see `received_field`)."""
    values = message.values(b"received")
    if not values:
        return 0, 0
    mark = _by(hostname, instance).encode("ascii")
    own = 0
    for value in values:
        if value.find(mark) >= 0:  # `in` would try the mark as a number first, which costs an exception
            own += 1
    return len(values), own


def received_field(
    client: Client,
    *,
    hostname: str,
    instance: str,
    identifier: str,
    now: float,  # seconds since 1970, UTC
    recipient: str = "",
    smtputf8: bool = False,
) -> bytes:
    """Write our Received field with its line end. Name the recipient only where there is exactly one (RFC 5321, 7.6)."""
    return (
        f"{_hop(client, hostname, instance, smtputf8)}\r\n"
        f"\tid {_UNSAFE.sub('?', identifier)}{_for(recipient, smtputf8)};\r\n"
        f"\t{date(int(now))}\r\n"
    ).encode()


@lru_cache(1024)
def _hop(client: Client, hostname: str, instance: str, smtputf8: bool) -> str:
    """Say who gave the message to whom, the same for all messages of a connection."""
    protocol = _UNSAFE.sub("?", client.protocol)
    if smtputf8:
        protocol = "UTF8" + protocol.removeprefix("E")
    tls = f" ({_UNSAFE_TEXT.sub('?', client.tls[:200])})" if client.tls else ""
    from_ = _from(client.helo, client.name, client.address)
    return f"Received: {from_}\r\n\t{_by(hostname, instance)} with {protocol}{tls}"


@lru_cache(1024)
def _for(recipient: str, smtputf8: bool) -> str:
    return f"\r\n\tfor <{recipient}>" if recipient and _nameable(recipient, smtputf8) else ""


@lru_cache(64)
def date(now: int) -> str:
    """Write seconds since 1970 as RFC 5322, 3.3 has it, in UTC; no locale has a say."""
    year, month, day, hour, minute, second, weekday, *_ = gmtime(now)
    return f"{_DAYS[weekday]}, {day} {_MONTHS[month - 1]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} +0000"


def _from(helo: str, name: str, address: str) -> str:
    helo = _UNSAFE.sub("?", helo[:255]) or "unknown"
    name = _UNSAFE.sub("?", name[:255]) or "unknown"
    if not address:
        return f"from {helo} (local socket)"
    literal = _UNSAFE.sub("?", address[:64])
    return f"from {helo}\r\n\t({name} [{'IPv6:' if ':' in literal else ''}{literal}])"


@lru_cache(64)
def _by(hostname: str, instance: str) -> str:
    return f"by {_UNSAFE.sub('?', hostname[:255])} (MPP {_UNSAFE.sub('?', instance[:64])})"


def _nameable(recipient: str, smtputf8: bool) -> bool:
    return (
        recipient.isprintable()
        and (smtputf8 or recipient.isascii())
        and len(recipient.encode()) <= _MAX_FOR
        and not {"<", ">"}.intersection(recipient)
    )
