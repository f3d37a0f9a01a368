"""What SMTP says about a message beside its content (RFC 5321, 2.3.1): reverse-path, recipients, parameters.

Values only. Addresses are text as they came, without angle brackets; the null reverse-path is "".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Parameters = Mapping[str, str | None]
"""ESMTP parameters by upper-case keyword; None where the keyword came without a value."""


# Frozen by habit: these two are made for each message, and frozen would cost three times as much.


@dataclass(slots=True)
class Recipient:
    address: str
    parameters: Parameters = field(default_factory=dict)  # NOTIFY, ORCPT as they came (RFC 3461)


@dataclass(slots=True)
class Envelope:
    reverse_path: str
    recipients: tuple[Recipient, ...]
    parameters: Parameters = field(default_factory=dict)  # of MAIL: SIZE, BODY, SMTPUTF8, RET, ENVID

    @property
    def smtputf8(self) -> bool:
        """True where the client asked for RFC 6531."""
        return "SMTPUTF8" in self.parameters


@dataclass(frozen=True, slots=True)
class Client:
    """Who speaks to us: after PROXY and XCLIENT the client they name; `x_` fields from XFORWARD only inform."""

    address: str  # "192.0.2.1", "2001:db8::1", or "" on a unix socket
    port: int = 0
    name: str = ""  # verified host name, "" where unknown
    helo: str = ""
    protocol: str = "SMTP"  # SMTP, ESMTP, LMTP with S and A as RFC 3848 has them
    tls: str = ""  # "TLSv1.3 TLS_AES_256_GCM_SHA384", "" in the clear
    login: str = ""
