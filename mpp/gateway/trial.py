"""Mail judged by the content filter alone, without scanners and without delivery: for replay, samples and `mpp filters test`.

Called by the command line and before new settings are taken. Reverse-path and recipient are read from what an MTA wrote
into the mail (Return-Path, Delivered-To, X-Original-To), else from From and To.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from mpp.gateway.assembly import hostname_of, rules_of
from mpp.gateway.routes import RouteTable
from mpp.gateway.settings import Settings
from mpp.mail.address import AddressError, parse_address
from mpp.mail.envelope import Client, Envelope, Recipient
from mpp.mail.line_ends import normalise
from mpp.mail.mailboxes import addresses
from mpp.mail.message import Message
from mpp.settings.problem import Problem
from mpp.verdict.decide import decide
from mpp.verdict.finding import Finding
from mpp.verdict.plan import Disposition, Plan
from mpp.verdict.select import PolicySelector
from mpp.verdict.transaction import Transaction

_SENDER, _RECIPIENT = (b"return-path", b"from"), (b"delivered-to", b"x-original-to", b"to")
_BECOMES = {
    "arrive": (Disposition.DELIVER, Disposition.TAG),
    "arrive-unmarked": (Disposition.DELIVER,),
    "be-marked": (Disposition.TAG,),
    "be-held": (Disposition.QUARANTINE,),
    "be-refused": (Disposition.REJECT,),
    "be-redirected": (Disposition.REDIRECT,),
    "be-discarded": (Disposition.DISCARD,),
}


@dataclass(frozen=True, slots=True)
class Tried:
    message: Message
    findings: list[Finding]
    plan: Plan


class Trial:
    """The filters of one settings value, ready to judge."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError and ValueError where its filters cannot be made."""
        self._settings = settings
        self.rules = rules_of(settings)
        self._routes = RouteTable(settings)
        self._policies = PolicySelector(settings.policies, settings.policy_rules, settings.groups, settings.tenants)
        self._hostname = hostname_of(settings)
        self._now = datetime.now().astimezone()

    def judge(self, message: Message, sender: str = "", recipient: str = "") -> Tried:
        """Return what the filters find and what is decided by that alone."""
        transaction = self._transaction(message, sender, recipient)
        findings = self.rules.examine(message, transaction, self._now)
        return Tried(message, findings, decide(transaction, self._settings.marks, findings))

    def _transaction(self, message: Message, sender: str, recipient: str) -> Transaction:
        sender = sender or _named(message, _SENDER)
        recipient = recipient or _named(message, _RECIPIENT) or "recipient@localhost"
        ours = self._is_ours(recipient)
        direction: Literal["inbound", "outbound"] = "inbound" if ours else "outbound"
        return Transaction(
            id="trial",
            envelope=Envelope(sender, (Recipient(recipient),)),
            client=Client("127.0.0.1"),
            message=message,
            size=len(message.raw),
            listener="",
            stage="edge",
            direction=direction,
            trusted=False,
            ours=frozenset({recipient} if ours else ()),
            policies={recipient: self._policies.choose("", recipient, direction)},
            hostname=self._hostname,
        )

    def _is_ours(self, recipient: str) -> bool:
        if not self._settings.routes:
            return True
        try:
            route = self._routes.find(parse_address(recipient))
        except AddressError:
            return False
        return route is not None and route.ours


def _named(message: Message, fields: tuple[bytes, ...]) -> str:
    for key in fields:
        field = message.field(key)
        if field is not None and (found := addresses(field.value)):
            return found[0]
    return ""


def message_of(raw: bytes) -> Message:
    """Return a mail from a file as the gateway would have got it."""
    return Message(raw if b"\n" not in raw.replace(b"\r\n", b"") else normalise(raw))


def sample_problems(settings: Settings) -> Iterator[Problem]:
    """Say which samples would not become what they must: their settings are not to be taken. Raises OSError, ValueError."""
    if not settings.samples:
        return
    trial = Trial(settings)
    for number, sample in enumerate(settings.samples):
        path = ("samples", number)
        try:
            message = message_of(Path(sample.file).read_bytes())
        except OSError as error:
            what = f"cannot be read: {error.strerror or error}"
            yield Problem((*path, "file"), what, "name a mail file that node.user may read")
            continue
        plan = trial.judge(message, sample.sender, sample.recipient).plan
        (fate,) = plan.fates.values()
        if fate.disposition not in _BECOMES[sample.must]:
            what = f"would be: {fate.disposition} by {fate.rule}, and it must {sample.must.replace('-', ' ')}"
            yield Problem((*path, "must"), what, "change the rule, or take the sample out")
