"""What RCPT answers: relay control, route, policy, and whether the recipient exists (design section 3; RFC 5321, 3.3, 3.6).

Called by mpp.gateway.session for each RCPT, in the order of what a recipient costs: what the settings alone decide
(mpp.gateway.destinations), the memo's late refusals, then the next hop. Usually everything is known and the reply comes at once; else it has to be awaited.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mpp.gateway import replies
from mpp.gateway.assembly import Assembly
from mpp.gateway.destinations import Destination
from mpp.gateway.received import Accepted
from mpp.gateway.settings import Listener
from mpp.mail.envelope import Parameters, Recipient
from mpp.net.dns import DnsError
from mpp.protocols.smtp.reply import Reply

ASK_S = 30.0  # for one answer about a recipient
MOST_REFUSED = 50  # recipients that a trace names


@dataclass(slots=True)
class Transaction:
    """From MAIL to the reply after the data."""

    id: str
    assembly: Assembly
    listener: Listener
    trusted: bool
    reverse_path: str
    parameters: Parameters
    accepted: list[Accepted] = field(default_factory=list)
    refused_before: list[str] = field(default_factory=list)  # told a refusal that the memo kept
    refused: list[tuple[str, Reply]] = field(default_factory=list)  # at RCPT, for the trace

    def note(self, recipient: str, reply: Reply) -> None:
        """Keep a refusal for the trace; of very many the first ones."""
        if len(self.refused) < MOST_REFUSED:
            self.refused.append((recipient, reply))


def add_recipient(
    transaction: Transaction, text: str, parameters: Parameters, clock: Callable[[], float]
) -> Reply | Awaitable[Reply]:
    """Answer RCPT; an accepted recipient is in `transaction.accepted` then."""
    parts = transaction.assembly
    if len(transaction.accepted) >= parts.settings.limits.recipients:
        return replies.TOO_MANY
    found = parts.destinations.find(text, transaction.listener.name, transaction.trusted)
    if isinstance(found, Reply):
        return found
    if parts.memo.stale:
        return _after_a_look(transaction, text, parameters, clock)
    if (late := parts.memo.refusal(transaction.reverse_path, found.address)) is not None:
        transaction.refused_before.append(found.address)
        return Reply.read(late)
    recipient = Recipient(found.address, parameters)
    if found.target is None:
        return _by_mx(transaction, found, recipient, clock)
    return _at(transaction, found, Accepted(recipient, found.target, found.policy), clock)


async def _after_a_look(
    transaction: Transaction, text: str, parameters: Parameters, clock: Callable[[], float]
) -> Reply:
    """Another worker has changed the memo: the answer may be a refusal that it keeps."""
    await transaction.assembly.memo.refresh()
    answer = add_recipient(transaction, text, parameters, clock)
    return answer if isinstance(answer, Reply) else await answer


async def _by_mx(
    transaction: Transaction, found: Destination, recipient: Recipient, clock: Callable[[], float]
) -> Reply:
    try:
        target = await transaction.assembly.targets.by_mx(found.route, found.domain)
    except DnsError as error:
        return replies.NO_DNS if error.temporary else replies.NO_MAIL
    answer = _at(transaction, found, Accepted(recipient, target, found.policy), clock)
    return answer if isinstance(answer, Reply) else await answer


def _at(
    transaction: Transaction, found: Destination, entry: Accepted, clock: Callable[[], float]
) -> Reply | Awaitable[Reply]:
    target, recipient = entry.target, entry.recipient
    if transaction.accepted and transaction.assembly.settings.recipients.mixed == "split":
        first = transaction.accepted[0]
        differs = first.target is not target or first.policy[0] != entry.policy[0]
        if differs and transaction.listener.address.protocol != "lmtp":
            return replies.ALONE
    if found.certain:
        return _accept(transaction, entry)
    if target.recipients is not None:
        return _accept(transaction, entry) if target.recipients.holds(recipient.address) else replies.NO_RECIPIENT
    if not target.route.ask:
        return _accept(transaction, entry)
    known = transaction.assembly.asker.known(target, recipient.address)
    if known is None:
        return _asked(transaction, entry, clock)
    return _accept(transaction, entry) if known.code < 300 else known


async def _asked(transaction: Transaction, entry: Accepted, clock: Callable[[], float]) -> Reply:
    answer = await transaction.assembly.asker.ask(
        entry.target,
        transaction.reverse_path,
        entry.recipient.address,
        smtputf8="SMTPUTF8" in transaction.parameters,
        deadline=clock() + ASK_S,
    )
    return _accept(transaction, entry) if answer.code < 300 else answer


def _accept(transaction: Transaction, entry: Accepted) -> Reply:
    transaction.accepted.append(entry)
    return replies.OK_RCPT
