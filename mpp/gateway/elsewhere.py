"""Where redirected mail and copies go: to addresses that no client has named, found by the same routes (rules 1 and 5).

For mpp.gateway.pipeline. They are delivered like recipients and count like recipients: the reply is 250 only when they were
accepted too, and the memo keeps a retry from delivering twice. What their next hop refuses for good is deferred: the copy
is demanded, so somebody has to mend the address while the sender keeps the mail.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mpp.gateway.assembly import Assembly
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.targets import Target
from mpp.mail.edits import Edit
from mpp.mail.envelope import Recipient
from mpp.net.dns import DnsError
from mpp.protocols.smtp.reply import Reply
from mpp.verdict.plan import Disposition, Plan

NO_WAY = Reply(451, "4.3.0", "Message could not be handed on now, please try again later")
_Key = tuple[Target, tuple[Edit, ...]]


@dataclass(slots=True)
class Elsewhere:
    """`targets`: by address; `outcomes`: of addresses that have the message already, or cannot be reached."""

    targets: dict[str, Target] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    redirected: frozenset[str] = frozenset()  # recipients that get nothing themselves

    def groups(self, plan: Plan) -> Iterator[tuple[_Key, Recipient]]:
        """Yield who gets which octets: copies as the message came, the redirected with their edits."""
        done = set(self.outcomes)
        for fate in plan.fates.values() if self.targets else ():
            for edits, addresses in (((), fate.copies), (fate.edits, fate.to)):
                for address in addresses:
                    if address not in done:
                        done.add(address)
                        yield (self.targets[address], edits), Recipient(address)

    def settle(self, plan: Plan, outcomes: dict[str, Outcome]) -> None:
        """Give the redirected the outcome of those who got their mail; no refusal elsewhere is final."""
        for address in self.targets:
            outcome = outcomes.get(address)
            if outcome is not None and outcome.state is State.REFUSED:
                cause = f"refused: {outcome.reply.words}"
                outcomes[address] = Outcome(State.DEFERRED, NO_WAY, outcome.host, cause)
        for address in self.redirected:
            theirs = [outcomes[each] for each in plan.fates[address].to]
            worst = next((each for each in theirs if each.state is not State.ACCEPTED), theirs[0])
            outcomes[address] = replace(worst)


async def find_elsewhere(reverse_path: str, plan: Plan, mark: bytes, listener: str, assembly: Assembly) -> Elsewhere:
    """Find the targets of all addresses that the plan names beside the recipients."""
    addresses = dict.fromkeys(each for fate in plan.fates.values() for each in (*fate.copies, *fate.to))
    if not addresses:
        return Elsewhere()
    found = Elsewhere(
        redirected=frozenset(
            address for address, fate in plan.fates.items() if fate.disposition is Disposition.REDIRECT
        )
    )
    for address, said in (await assembly.memo.accepted(reverse_path, addresses, mark)).items():
        found.outcomes[address] = Outcome(State.ACCEPTED, Reply(250, "2.0.0", said), "memo")
    for address in addresses:
        if address in found.outcomes:
            continue
        target = await _target(address, listener, assembly)
        if target is None:
            found.outcomes[address] = Outcome(State.DEFERRED, NO_WAY, "", f"no route leads to {address}")
        else:
            found.targets[address] = target
    return found


async def _target(address: str, listener: str, assembly: Assembly) -> Target | None:
    destination = assembly.destinations.find(address, listener, True)
    if isinstance(destination, Reply):
        return None
    try:
        return destination.target or await assembly.targets.by_mx(destination.route, destination.domain)
    except DnsError:
        return None
