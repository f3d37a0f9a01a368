"""All that is known of a message beside what the checks find: envelope, client, where it came in, which policies hold.

Made by mpp.gateway.pipeline (and by `mpp scan`) when the data are complete; read by checks and by decide(). Values only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mpp.mail.envelope import Client, Envelope
from mpp.mail.message import Message
from mpp.verdict.policy import Policy


@dataclass(slots=True)  # one for each message: frozen would cost four times as much
class Transaction:
    id: str
    envelope: Envelope
    client: Client
    message: Message | None  # None where nothing is to be parsed (checks = false)
    size: int  # octets of the message
    listener: str
    stage: Literal["edge", "proxy", "after-queue"]
    direction: Literal["inbound", "outbound", "internal"]
    trusted: bool  # the client is in networks.trusted, or logged in: its marks stay
    ours: frozenset[str]  # recipients in our own domains, as the envelope writes them
    policies: Mapping[str, tuple[str, Policy]]  # by recipient: name and policy; where one lacks, the built-in default
    hostname: str
    contact: str = "postmaster"
    overdue: bool = False  # deferred by failing scanners for so long that deferring has to end
    digest: bytes = b""  # of the message without its leading Received fields: a retry has the same
