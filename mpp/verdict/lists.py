"""Allow and block lists: which entry holds for a mail from somebody to a recipient, and why. Pure.

Asked by mpp.checks.lists for each recipient, and by `mpp lists test`. The nearest level wins: the recipient's own list, then
groups, the domain, the tenant, all tenants; on one level the narrower pattern, then `block`. An entry of one level hides
those of the levels above, be they stricter or not.

Anybody can write anybody's address into MAIL and From, so an allow entry counts only where the mail comes from a network
that the entry names or by an address in its pattern, where authentication has proved the domain (`Sender.proved`), or where
its owner took the risk (`override`). One that does not count is told and changes nothing: the search goes on.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from mpp.settings.tenants import domain_keys, forms
from mpp.settings.values import Network, read_domain, read_network, read_recipient

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Level(IntEnum):
    """Whose list it is; the lower number is nearer to the recipient."""

    USER = 0
    GROUP = 1
    DOMAIN = 2
    TENANT = 3
    GLOBAL = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a list, as `mpp lists add` wrote it; `owner` and `pattern` are normal (read_owner, read_pattern)."""

    action: Literal["allow", "block"]
    level: Level
    owner: str  # "anna@example.org", a group's name, "example.org"; "" for a tenant's and for all
    pattern: str  # "bob@example.net", "@example.net", "@.example.net" with subdomains, "@.", "192.0.2.0/24"
    networks: tuple[Network, ...] = ()  # an allow entry for addresses counts from these
    override: bool = False  # an allow entry that counts without any proof
    expires: float = 0.0  # seconds since 1970; 0: never
    note: str = ""

    def __str__(self) -> str:
        whose = f"{self.level.name.lower()} {self.owner}".rstrip()
        return f"{self.action} {self.pattern} ({whose})"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who a mail says it is from, and what of that is known."""

    addresses: tuple[str, ...]  # reverse-path and those of From
    client: str = ""  # address of the connecting client, "" on a unix socket
    proved: frozenset[str] = frozenset()  # domains that aligned SPF or DKIM stands for, in lower case


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who it is for: the tenant's lists are looked at beside those of all."""

    address: str
    tenant: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What the lists say. `entry` is None where none holds; `passed` are entries that fit and do not count, with the reason."""

    entry: Entry | None
    why: str = ""
    risky: bool = False  # an allow entry that counts by its override alone
    passed: tuple[tuple[Entry, str], ...] = ()


def read_pattern(text: str) -> str:
    """Return a pattern in its normal form. Raises ValueError with what to write."""
    text = text.strip()
    if "@" not in text:
        try:
            return str(read_network(text))
        except ValueError:
            raise ValueError(_PATTERNS) from None
    local, _, domain = text.lower().rpartition("@")
    if domain == ".":
        domain = ""
        if not local:
            return "@."
    try:
        return read_recipient(f"{local}@{domain}") if local else f"@{read_domain(domain)}"
    except ValueError:
        raise ValueError(_PATTERNS) from None


_PATTERNS = 'is no pattern; write "user@example.net", "@example.net", "@.example.net" (with subdomains), "@." (all) or an address or network'


def read_owner(level: Level, text: str) -> str:
    """Return whose list it is, in normal form. Raises ValueError with what to write."""
    if level in (Level.TENANT, Level.GLOBAL):
        if text:
            raise ValueError(f"names somebody, and a {level.name.lower()} list has no owner; leave it out")
        return ""
    if level is Level.GROUP:
        if not text:
            raise ValueError("is missing; name the group")
        return text
    local, at, domain = text.rpartition("@")
    if bool(local and at) != (level is Level.USER):
        wanted = '"user@example.org"' if level is Level.USER else '"example.org" or ".example.org"'
        raise ValueError(f"is no {level.name.lower()}; write {wanted}")
    return f"{local.lower()}{at}{read_domain(domain)}"


@dataclass(slots=True)
class _Owned:
    """The entries of one owner: by address pattern, and those for networks."""

    addresses: dict[str, list[Entry]] = field(default_factory=dict)
    networks: list[tuple[Network, Entry]] = field(default_factory=list)


class Lists:
    """All entries of all tenants, ready to be asked. Never changes."""

    def __init__(self, entries: Iterable[tuple[str, Entry]] = ()) -> None:
        """Take (tenant, entry); of a global entry the tenant does not matter."""
        self._owned: dict[tuple[str, Level, str], _Owned] = {}
        for tenant, entry in entries:
            key = ("" if entry.level is Level.GLOBAL else tenant, entry.level, entry.owner)
            owned = self._owned.setdefault(key, _Owned())
            if "@" in entry.pattern:
                owned.addresses.setdefault(entry.pattern, []).append(entry)
            else:
                owned.networks.append((read_network(entry.pattern), entry))
        for owned in self._owned.values():
            owned.networks.sort(key=lambda each: -each[0].prefixlen)

    def __bool__(self) -> bool:
        return bool(self._owned)

    def find(self, sender: Sender, recipient: Recipient, now: float) -> Match:
        """Return the entry that holds at `now` (seconds since 1970). Never raises."""
        client = _client(sender.client)
        patterns = [(address, _patterns(address)) for address in dict.fromkeys(map(str.lower, sender.addresses))]
        passed: list[tuple[Entry, str]] = []
        for key in _owners(recipient):
            owned = self._owned.get(key)
            if owned is None:
                continue
            for entry, address in _fitting(owned, patterns, client, now):
                reason, counts = _counts(entry, address, client, sender)
                if counts:
                    return Match(entry, reason, entry.action == "allow" and reason == _OVERRIDE, tuple(passed))
                passed.append((entry, reason))
        return Match(None, passed=tuple(passed))


_OVERRIDE = "by its override, without proof of who sent it: RISKY"


def _owners(recipient: Recipient) -> Iterator[tuple[str, Level, str]]:
    """Whose lists hold for a recipient, the nearest first; of domains the longest name first."""
    address, tenant = recipient.address.lower(), recipient.tenant
    local, at, domain = address.rpartition("@")
    for form in forms(domain):
        yield tenant, Level.USER, f"{local}{at}{form}"
    for group in recipient.groups:
        yield tenant, Level.GROUP, group
    for key in domain_keys(domain):
        yield tenant, Level.DOMAIN, key
    yield tenant, Level.TENANT, ""
    yield "", Level.GLOBAL, ""


def _patterns(address: str) -> list[str]:
    """All patterns that fit an address in lower case, the narrowest first; the null reverse-path fits "@." alone."""
    if "@" not in address:
        return ["@."]
    local, _, domain = address.rpartition("@")
    return [*(f"{local}@{form}" for form in forms(domain)), *(f"@{key}" for key in domain_keys(domain)), "@."]


def _fitting(
    owned: _Owned, patterns: Sequence[tuple[str, list[str]]], client: IPAddress | None, now: float
) -> Iterator[tuple[Entry, str]]:
    """Entries of one owner that fit, with the address they fit: by address first (narrowest), then by network; block first."""
    found: list[tuple[int, int, Entry, str]] = []
    for address, wider in patterns if owned.addresses else ():
        for rank, pattern in enumerate(wider):
            for entry in owned.addresses.get(pattern, ()):
                order = rank if pattern != "@." else _WIDEST  # alike for long and short domains
                found.append((order, entry.action != "block", entry, address))
    for network, entry in owned.networks if client is not None else ():
        if client in network:
            found.append((_NETWORK - network.prefixlen, entry.action != "block", entry, ""))
    found.sort(key=lambda each: each[:2])
    return ((entry, address) for _, _, entry, address in found if not entry.expires or now < entry.expires)


_NETWORK, _WIDEST = 1000, 2000  # ranks: domains have fewer labels, a prefix has at most 128 bits


def _counts(entry: Entry, address: str, client: IPAddress | None, sender: Sender) -> tuple[str, bool]:
    """Return why an entry that fits counts or not, and whether it does."""
    if not address:
        return f"the client {client} is in {entry.pattern}", True
    shown = f"<{address}>" if address != "@" else "the null sender"
    if entry.action == "block":
        return f"{shown} fits {entry.pattern}", True
    if client is not None and any(client in network for network in entry.networks):
        return f"{shown} fits {entry.pattern} and comes from {client}, a network that the entry names", True
    if address.rpartition("@")[2] in sender.proved:
        return f"{shown} fits {entry.pattern}, and its domain is proved", True
    if entry.override:
        return _OVERRIDE, True
    return f"nothing proves that {shown} sent it", False


def _client(address: str) -> IPAddress | None:
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return None  # a unix socket
    return getattr(client, "ipv4_mapped", None) or client
