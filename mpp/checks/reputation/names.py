"""What a DNS list is asked, and what its answers mean (RFC 5782). Pure."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_CODE = re.compile(r"\s*(?:(127\.[0-9.]+)(?:/([0-9]{1,2}))?|&\s*([0-9]{1,3}))\s*=\s*(-?[0-9]+(?:\.[0-9]+)?)\s*")
_LISTS = ipaddress.ip_network("127.0.0.0/8")
_REFUSALS = ipaddress.ip_network("127.255.255.0/24")  # "this resolver may not ask", as several lists say it


@dataclass(frozen=True, slots=True)
class Code:
    """Points for some answers: those in a network, or those whose last octet has a bit."""

    network: ipaddress.IPv4Network | None
    bit: int
    points: float

    def fits(self, answer: ipaddress.IPv4Address) -> bool:
        return answer in self.network if self.network is not None else bool(int(answer) & 0xFF & self.bit)


def read_code(text: str) -> Code:
    """Return the meaning of "127.0.0.2 = 4.5", "127.0.0.4/30 = 3" or "& 8 = 2". Raises ValueError."""
    match = _CODE.fullmatch(text)
    if not match:
        raise ValueError(
            'is no code; write "127.0.0.2 = 4.5", "127.0.0.4/30 = 3" or "& 8 = 2" (a bit of the last octet)'
        )
    network = ipaddress.IPv4Network(f"{match[1]}/{match[2] or 32}") if match[1] else None
    return Code(network, int(match[3] or 0), float(match[4]))


def points_of(answers: Iterable[str], codes: Sequence[Code], otherwise: float) -> float:
    """Return the points of a listing: each answer counts by the codes that fit, an answer without one `otherwise`, once.

    Raises ValueError for an answer that no list gives: it refuses to be asked, or something else answers in its place.
    """
    total, plain = 0.0, False
    for text in answers:
        answer = ipaddress.IPv4Address(text)
        if answer not in _LISTS or answer in _REFUSALS:
            raise ValueError(
                f"the answer {text} is no listing: it refuses this resolver, or something else answers for it"
            )
        fitting = [code.points for code in codes if code.fits(answer)]
        total += sum(fitting)
        plain = plain or not fitting
    return total + (otherwise if plain else 0.0)


def is_asked_for(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """No list knows private addresses, and none may learn them."""
    return ip.is_global


def address_name(address: str, zone: str) -> str:
    """Return the name that is asked for an address; "" for one that no list knows: private, loopback, none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if not is_asked_for(ip):
        return ""
    return f"{ip.reverse_pointer.removesuffix('.in-addr.arpa').removesuffix('.ip6.arpa')}.{zone}"


def domain_names(domain: str, zone: str) -> list[str]:
    """Return the names that are asked for a domain: its last two, three and four labels, and itself."""
    labels = domain.split(".")
    if len(labels) < 2:
        return []
    tails = [".".join(labels[-count:]) for count in (2, 3, 4) if count <= len(labels)]
    return [f"{name}.{zone}" for name in dict.fromkeys([*tails, domain]) if len(name) + len(zone) < 253]
