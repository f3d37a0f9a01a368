"""What RCPT answers: relay control, route, policy, and whether the recipient exists (design section 3; RFC 5321, 3.3, 3.6).

Called by mpp.gateway.session for each RCPT, in the order of what a recipient costs: syntax, relay control, the memo's late
refusals, then the next hop. Usually everything is known and the reply comes at once; else it has to be awaited.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mpp.gateway import replies
from mpp.gateway.assembly import Assembly
from mpp.gateway.pipeline import Accepted, Direction
from mpp.gateway.settings import Listener, Route
from mpp.gateway.targets import Target
from mpp.mail.address import Address, AddressError, parse_address
from mpp.mail.envelope import Parameters, Recipient
from mpp.net.dns import DnsError
from mpp.protocols.smtp.reply import Reply

ASK_S = 30.0  # for one answer about a recipient


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


def direction_of(trusted: bool, target: Target) -> Direction:
    """Return the way of a mail from such a client to such a target."""
    if not trusted:
        return "inbound"
    return "internal" if target.route.ours else "outbound"


def add_recipient(
    transaction: Transaction, text: str, parameters: Parameters, clock: Callable[[], float]
) -> Reply | Awaitable[Reply]:
    """Answer RCPT; an accepted recipient is in `transaction.accepted` then."""
    parts = transaction.assembly
    if len(transaction.accepted) >= parts.settings.limits.recipients:
        return replies.TOO_MANY
    try:
        address = parse_address(text)
    except AddressError:
        return replies.BAD_ADDRESS
    route = parts.routes.find(address)
    if route is None and not address.domain:
        return replies.NO_RECIPIENT  # postmaster alone, and no domain of ours to be the postmaster of
    relay = transaction.trusted or parts.settings.networks.relay_all
    if not relay and (route is None or not route.ours or address.routed):
        return replies.RELAY
    if route is None:
        return replies.NO_ROUTE
    recipient = Recipient(parts.routes.deliverable(address), parameters)
    if (late := parts.memo.refusal(transaction.reverse_path, recipient.address)) is not None:
        transaction.refused_before.append(recipient.address)
        code, enhanced, words = late.split(" ", 2)
        return Reply(int(code), enhanced, words)
    target = parts.targets.fixed(route)
    if target is None:
        return _by_mx(transaction, address, recipient, route, clock)
    return _at(transaction, address, recipient, target, clock)


async def _by_mx(
    transaction: Transaction, address: Address, recipient: Recipient, route: Route, clock: Callable[[], float]
) -> Reply:
    try:
        target = await transaction.assembly.targets.by_mx(route, address.ascii_domain)
    except DnsError as error:
        return replies.NO_DNS if error.temporary else replies.NO_MAIL
    answer = _at(transaction, address, recipient, target, clock)
    return answer if isinstance(answer, Reply) else await answer


def _at(
    transaction: Transaction, address: Address, recipient: Recipient, target: Target, clock: Callable[[], float]
) -> Reply | Awaitable[Reply]:
    parts, listener = transaction.assembly, transaction.listener
    policy = parts.policies.choose(listener.name, recipient.address, direction_of(transaction.trusted, target))
    entry = Accepted(recipient, target, policy)
    if transaction.accepted and listener.address.protocol != "lmtp":
        first = transaction.accepted[0]
        if first.target is not target or first.policy[0] != policy[0]:
            return replies.ALONE
    if target.route.ours and address.local.lower() == "postmaster":
        return _accept(transaction, entry)
    if target.recipients is not None:
        return _accept(transaction, entry) if target.recipients.holds(recipient.address) else replies.NO_RECIPIENT
    if not target.route.ask:
        return _accept(transaction, entry)
    known = parts.asker.known(target, recipient.address)
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
