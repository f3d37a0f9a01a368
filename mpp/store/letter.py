"""What the gateway hands to the store: a message with its envelope, and what is to become of each recipient's copy."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mpp.mail.envelope import Client, Envelope
from mpp.mail.message import Message
from mpp.settings.tenants import DEFAULT_TENANT

UNDELIVERABLE = "undeliverable"  # in place of a verdict: refused by the next hop after another recipient was accepted
STRIPPED = "stripped"  # in place of a verdict: delivered without some of its attachments, and kept as it came


@dataclass(slots=True)
class Copy:
    """One recipient's copy that is held."""

    recipient: str
    verdict: str
    rule: str  # the settings key that decided
    score: float = 0.0
    reply: str = ""  # a next hop's refusal where undeliverable
    until_ms: int | None = None  # when it expires; None: with the letter's other copies


@dataclass(slots=True)
class Letter:
    """One message for one tenant. With `archived` it is kept whatever becomes of the copies, of which there may be none."""

    id: str  # of the transaction
    received_ms: int
    envelope: Envelope
    client: Client
    message: Message
    copies: tuple[Copy, ...]
    held_until_ms: int
    archived_until_ms: int | None = None  # None: not archived
    direction: str = "inbound"
    tenant: str = DEFAULT_TENANT
    unread: bool = False  # its octets are not to be looked into: they may be what made processes crash
    about: Mapping[str, Any] = field(default_factory=dict)  # more for `show`: findings, why; must be JSON
