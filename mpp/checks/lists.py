"""What the allow and block lists say of a message, as findings for recipients of ours (mpp.verdict.lists decides which).

Asked by mpp.gateway.pipeline before any scanner, and by `mpp scan`. Never waits, never raises.
"""

from collections.abc import Iterator, Sequence

from mpp.mail.mailboxes import addresses
from mpp.settings.tenants import Directory
from mpp.verdict.finding import NOT_COUNTED, Finding, Listed
from mpp.verdict.lists import Lists, Match, Recipient, Sender
from mpp.verdict.transaction import Transaction

CHECK = "lists"
_TOLD = 3  # entries that did not count


def listed(lists: Lists, directory: Directory, transaction: Transaction, now: float) -> list[Finding]:
    """Return the findings; `now` in seconds since 1970. Recipients with equal findings share one."""
    if not lists:
        return []
    sender = sender_of(transaction)
    whom: dict[Finding, list[str]] = {}
    for recipient in transaction.envelope.recipients:
        address = recipient.address
        if address not in transaction.ours:
            continue
        about = Recipient(address, directory.tenant(address), directory.groups(address))
        for finding in _findings(lists.find(sender, about, now)):
            whom.setdefault(finding, []).append(address)
    return [finding._replace(recipients=frozenset(found)) for finding, found in whom.items()]


def all_blocked(findings: Sequence[Finding], transaction: Transaction) -> bool:
    """True where a list blocks the sender for every recipient: no scanner needs to look then."""
    blocked = [finding.recipients for finding in findings if finding.listed is Listed.BLOCK]
    return bool(blocked) and {each.address for each in transaction.envelope.recipients} <= frozenset().union(*blocked)


def sender_of(transaction: Transaction) -> Sender:
    """Return who the mail says it is from. What SPF and DKIM prove comes with the check that asks them."""
    message = transaction.message
    header = [address for value in message.values(b"from")[:5] for address in addresses(value)] if message else []
    return Sender((transaction.envelope.reverse_path, *header), transaction.client.address)


def _findings(match: Match) -> Iterator[Finding]:
    for entry, reason in match.passed[:_TOLD]:
        yield Finding(CHECK, NOT_COUNTED, text=f"The entry {entry} does not count: {reason}")
    holds = match.entry
    if holds is not None:
        kind = Listed(holds.action)
        text = f"The entry {holds} holds: {match.why}"
        yield Finding(CHECK, f"list-{kind}", text=text, evidence=holds.note, listed=kind)
