"""Mailboxes as the envelope writes them (RFC 5321, 4.1.2; RFC 6531, 3.3 for addresses that are not ASCII).

For the door, relay control, policies and routes: text in, a value out, `AddressError` and nothing else for all that is no
mailbox. The null reverse-path is no mailbox; who may get it looks for "" first.

Deviations from the grammar, each because mail in use needs it: dots may stand anywhere in an unquoted local part, local
parts may be longer than 64 octets (VERP, SRS), and a label of a domain may hold underscores. A source route is read and
dropped (RFC 5321, appendix C). Invisible and format characters are refused although RFC 6531 lets some through: two
addresses that look alike should be alike.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MAX_LENGTH = 1024  # octets; SMTP promises 256, what is in use stays below 500

_MAILBOX = re.compile(
    r"""(?:@(?:\[[^\[\]]*+\]|[^@,:\[\]"]++)(?:,@(?:\[[^\[\]]*+\]|[^@,:\[\]"]++))*:)?  # source route
        (?P<text>
            (?: (?P<plain>[A-Za-z0-9!\#$%&'*+/=?^_`{|}~.\-\x80-\U0010ffff]++)
              | "(?P<quoted>[^"\\]*+(?:\\[ -~][^"\\]*+)*+)" )
            @ (?P<domain>\[[!-Z^-~]++\]|[A-Za-z0-9_.\-\x80-\U0010ffff]++)
        )""",
    re.VERBOSE,
)
_QUOTED_PAIR = re.compile(r"\\(.)")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ROUTED = re.compile(r"[%!@]")


class AddressError(ValueError):
    """The text is no mailbox; the message says why and never repeats the text."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. Two addresses of one mailbox may differ in `text` by case of the domain and needless quotes."""

    text: str  # as it came, without the source route
    local: str  # without quotes and backslashes
    domain: str  # lower case, U-labels as given; "[192.0.2.1]" for a literal; "" for postmaster alone

    @property
    def routed(self) -> bool:
        """True where a next hop might read another destination out of the local part ("a%b@c", "b!a@c")."""
        return _ROUTED.search(self.local) is not None

    @property
    def ascii_domain(self) -> str:
        """The domain as the DNS has it, A-labels for U-labels (RFC 5890)."""
        return self.domain if self.domain.isascii() else a_labels(self.domain)

    @property
    def literal(self) -> bool:
        """True where the domain is an address literal (RFC 5321, 4.1.3)."""
        return self.domain.startswith("[")

    @property
    def smtputf8(self) -> bool:
        """True where the next hop must know RFC 6531."""
        return not self.text.isascii()


@lru_cache(4096)
def parse_address(text: str) -> Address:
    """Read a mailbox without angle brackets. Raises AddressError."""
    if not text.isprintable():
        raise AddressError("control or invisible character")
    if len(text) > MAX_LENGTH or (not text.isascii() and len(text.encode()) > MAX_LENGTH):
        raise AddressError(f"longer than {MAX_LENGTH} octets")
    match = _MAILBOX.fullmatch(text)
    if match is None:
        if text.lower() == "postmaster":
            return Address(text, text, "")
        raise AddressError("not of the form local@domain")
    whole, plain, quoted, domain = match.group("text", "plain", "quoted", "domain")
    local = plain if plain is not None else _QUOTED_PAIR.sub(r"\1", quoted)
    return Address(whole, local, _literal(domain) if domain[0] == "[" else _domain(domain))


def _domain(text: str) -> str:
    domain = text.lower()
    ascii_domain = domain if domain.isascii() else a_labels(domain)
    if len(ascii_domain) > 255 or not all(map(_LABEL.fullmatch, ascii_domain.split("."))):
        raise AddressError("not a domain name")
    return domain


def _literal(text: str) -> str:
    inner = text[1:-1].lower()
    try:
        if inner.startswith("ipv6:"):
            return f"[ipv6:{ipaddress.IPv6Address(inner[5:]).compressed}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ipaddress.AddressValueError:
        raise AddressError("not an address literal") from None


@lru_cache(1024)
def a_labels(domain: str) -> str:
    """Turn a lower-case domain into A-labels. Raises AddressError.

    Labels follow RFC 5892 nearly: letters, marks and digits that no compatibility form changes. Nothing is mapped as IDNA
    2003 did ("ß" to "ss"), since that would name another domain.
    """
    return ".".join(label if label.isascii() else _a_label(label) for label in domain.split("."))


def _a_label(label: str) -> str:
    if unicodedata.normalize("NFKC", label) != label:
        raise AddressError("domain label is not in its normal form")
    if not all(character == "-" or unicodedata.category(character) in _LETTERS for character in label):
        raise AddressError("not a domain name")
    return "xn--" + label.encode("punycode").decode("ascii")


def u_labels(domain: str) -> str:
    """Turn A-labels of a lower-case domain into letters. Raises ValueError."""
    return ".".join(
        label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
        for label in domain.split(".")
    )


_LETTERS = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})
