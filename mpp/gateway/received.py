"""A transaction that RCPT and the end of data have made whole, and what became of it. For mpp.gateway.session, the pipeline and
whoever holds, traces or logs a message.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mpp.checks.layers.judge import Judged
from mpp.gateway.delivery import Outcome
from mpp.gateway.destinations import Direction
from mpp.gateway.settings import Listener
from mpp.gateway.targets import Target
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.protocols.smtp.reply import Reply
from mpp.verdict.plan import Plan
from mpp.verdict.policy import Policy
from mpp.verdict.transaction import Transaction

UNEXAMINED = Judged([])


@dataclass(slots=True)
class Accepted:
    """A recipient that RCPT accepted: how to reach it, and which policy holds for it."""

    recipient: Recipient  # as the next hop is told it
    target: Target
    policy: tuple[str, Policy]


@dataclass(slots=True)
class Received:
    """A complete transaction, as the session hands it over."""

    id: str
    listener: Listener
    client: Client
    trusted: bool
    direction: Direction
    envelope: Envelope
    accepted: Sequence[Accepted]
    data: bytes
    eight_bit: bool
    arrived: float  # monotonic, end of data
    deadline: float  # monotonic, for all of it
    gone: Callable[[], bool]


@dataclass(slots=True)
class Result:
    """What became of a message: the reply, and all that the log says of it."""

    replies: Mapping[str, Reply]  # for LMTP, by recipient
    reply: Reply  # for SMTP
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    plan: Plan | None = None
    transaction: Transaction | None = None
    judged: Judged = field(default_factory=lambda: UNEXAMINED)
    digest: bytes = b""
    checked_s: float = 0.0
