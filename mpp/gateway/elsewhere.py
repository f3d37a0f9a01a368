"""Where redirected mail and copies go: to addresses that no client has named, found by the same routes (rules 1 and 5).

For mpp.gateway.pipeline. They are delivered like recipients and count like recipients: the reply is 250 only when they were
accepted too, and the memo keeps a retry from delivering twice. What their next hop refuses for good is deferred: the copy
is demanded, so somebody has to mend the address while the sender keeps the mail.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace

from mpp.gateway.assembly import Assembly
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.targets import Target
from mpp.mail.edits import Edit
from mpp.mail.envelope import Recipient
from mpp.net.dns import DnsError
from mpp.protocols.smtp.reply import Reply
from mpp.verdict.plan import Disposition, Fate, Plan

NO_WAY = Reply(451, "4.3.0", "Message could not be handed on now, please try again later")
_BESIDE = "> "  # begins what the memo calls such an address, which may be that of a recipient too; no address begins so
Group = tuple[Target, tuple[Edit, ...]]  # who gets the same octets by the same way


@dataclass(slots=True)
class Elsewhere:
    """By address. Who is a recipient too gets what is for him beside it, unless both are the same octets."""

    targets: dict[str, Target] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    sent: dict[str, Group] = field(default_factory=dict)

    def groups(self, plan: Plan) -> Iterator[tuple[Group, Recipient]]:
        """Yield who gets which octets, each address once: the redirected with their edits, copies as the message came.

        What was taken out of the recipient's mail is in no copy either: a mailbox is a mailbox, and the original is in quarantine.
        """
        for fate in plan.fates.values() if self.targets else ():
            for edits, addresses in ((fate.edits if fate.held_too else (), fate.copies), (fate.edits, fate.to)):
                for address in addresses:
                    if address in self.targets and address not in self.sent:
                        group = self.sent[address] = self.targets[address], edits
                        yield group, Recipient(address)

    def take(self, group: Group, outcomes: Mapping[str, Outcome]) -> None:
        """Note what became of a group; no refusal elsewhere is final."""
        for address, sent in self.sent.items():
            if sent == group and (outcome := outcomes.get(address)) is not None:
                if outcome.state is State.REFUSED:
                    outcome = Outcome(State.DEFERRED, NO_WAY, outcome.host, f"refused: {outcome.reply.words}")
                self.outcomes[address] = outcome

    def settle(self, plan: Plan, outcomes: dict[str, Outcome]) -> None:
        """Give the redirected the outcome of those who got their mail, but for who was settled by an earlier attempt."""
        for address, fate in plan.fates.items() if self.outcomes else ():
            if fate.disposition is Disposition.REDIRECT and address not in outcomes:
                theirs = [self.outcomes[each] for each in fate.to]
                worst = next((each for each in theirs if each.state is not State.ACCEPTED), theirs[0])
                host = next((each.host for each in theirs if each.host != "memo"), "elsewhere")
                outcomes[address] = replace(worst, host=worst.host if worst.host != "memo" else host)

    @property
    def handed_on(self) -> bool:
        """True where somebody beside the recipients has the message."""
        return bool(self.outcomes) and any(each.state is State.ACCEPTED for each in self.outcomes.values())

    def failed(self, fate: Fate) -> bool:
        """True where a copy that is demanded of a recipient's mail is not where it has to be."""
        return any(self.outcomes[each].state is not State.ACCEPTED for each in fate.copies)

    def beside(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        """Return the outcomes of recipients and of all others, by the names that the memo has for them."""
        return outcomes | {_BESIDE + address: outcome for address, outcome in self.outcomes.items()}


NOWHERE = Elsewhere()  # of most mail; never written to, since no address is in it


async def find_elsewhere(
    reverse_path: str, plan: Plan, mark: bytes, known: Container[str], listener: str, assembly: Assembly
) -> Elsewhere:
    """Find the targets of all addresses that the plan names beside the recipients; `known` are recipients who have their mail."""
    addresses: dict[str, None] = {}
    for address, fate in plan.fates.items():
        if fate.copies or fate.to:
            addresses |= dict.fromkeys(fate.copies if address in known else (*fate.copies, *fate.to))
    if not addresses:
        return NOWHERE
    found = Elsewhere()
    had = await assembly.memo.accepted(reverse_path, [_BESIDE + address for address in addresses], mark)
    for address in addresses:
        if (said := had.get(_BESIDE + address)) is not None:
            found.outcomes[address] = Outcome(State.ACCEPTED, Reply(250, "2.0.0", said), "memo")
        elif (target := await _target(address, listener, assembly)) is not None:
            found.targets[address] = target
        else:
            found.outcomes[address] = Outcome(State.DEFERRED, NO_WAY, "", f"no route leads to {address}")
    return found


async def _target(address: str, listener: str, assembly: Assembly) -> Target | None:
    destination = assembly.destinations.find(address, listener, True)
    if isinstance(destination, Reply):
        return None
    try:
        return destination.target or await assembly.targets.by_mx(destination.route, destination.domain)
    except DnsError:
        return None
