"""What of a message is kept here: copies held in quarantine, and the archive's (design section 3 and rule 5).

Called by mpp.gateway.pipeline when it is known what the next hops said. All that is kept of one message is one record, committed before
the reply; where that cannot be, the reply is 452 and nothing was promised. A recipient whose next hop has the message while the archive
has not is told so to the memo, and the retry archives without delivering again.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mpp.gateway.assembly import Assembly
from mpp.gateway.delivery import Outcome, State
from mpp.gateway.log import event as log
from mpp.gateway.outcomes import NOT_KEPT, UNARCHIVED, UNHELD
from mpp.gateway.received import Received
from mpp.mail.message import Message
from mpp.protocols.smtp.reply import Reply
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError
from mpp.store.letter import STRIPPED, UNDELIVERABLE, Copy, Letter
from mpp.verdict.finding import Finding
from mpp.verdict.plan import Disposition, Plan

HELD = Reply(250, "2.0.0", "Ok, taken")
_LEAST_S = 0.1
_FINDINGS, _TEXT = 40, 300  # of findings that go with a held message, and characters of each text


async def hold_and_archive(
    received: Received,
    message: Message,
    plan: Plan,
    findings: Sequence[Finding],
    outcomes: dict[str, Outcome],
    assembly: Assembly,
    *,
    handed_on: bool,
    unread: bool,
) -> None:
    """Keep what has to be kept, and put what became of it into `outcomes`: every recipient has one afterwards.

    `handed_on`: somebody beside the recipients has the message.
    """
    copies = _copies(received, plan, outcomes, handed_on=handed_on)
    copies += _stripped(plan, outcomes)
    archived = _to_archive(received, copies, outcomes)
    if not copies and not archived:
        return
    tenant = assembly.directory.tenant
    for name in dict.fromkeys(map(tenant, (*(copy.recipient for copy in copies), *archived))):
        own = tuple(copy for copy in copies if tenant(copy.recipient) == name)
        kept = [address for address in archived if tenant(address) == name]
        letter = _letter(received, message, plan, findings, own, kept, assembly, name, unread=unread)
        await _keep(received, letter, kept, outcomes, assembly)


async def _keep(
    received: Received, letter: Letter, archived: Sequence[str], outcomes: dict[str, Outcome], assembly: Assembly
) -> None:
    """Store one tenant's part, and put what became of it into `outcomes`."""
    copies = letter.copies
    try:
        async with asyncio.timeout(max(_LEAST_S, received.deadline - time.monotonic())):
            await assembly.store.store(letter)
    except (StoreError, TimeoutError) as error:
        cause = str(error) or "no answer in time"
        log(
            "error",
            "hold-failed",
            id=received.id,
            recipients=[*(copy.recipient for copy in copies), *archived],
            cause=cause,
        )
        _not_kept(copies, archived, outcomes, cause)
        return
    for copy in copies:
        if copy.verdict == UNDELIVERABLE:
            log("error", "undeliverable", id=received.id, recipient=copy.recipient, reply=copy.reply)
        if copy.verdict != STRIPPED:
            outcomes[copy.recipient] = Outcome(State.HELD, HELD, "", copy.rule)
    for address in _beside(copies, archived):
        outcome = outcomes[address]
        if outcome.reply.text.startswith((UNARCHIVED, UNHELD)):
            outcome.reply = Reply(250, "2.0.0", "Ok")


def _beside(copies: Sequence[Copy], archived: Sequence[str]) -> set[str]:
    """Return those for whom the message is kept beside what they got."""
    return {*archived, *(copy.recipient for copy in copies if copy.verdict == STRIPPED)}


def _copies(received: Received, plan: Plan, outcomes: Mapping[str, Outcome], *, handed_on: bool) -> list[Copy]:
    """Return what is to be held: by the plan, and where one reply has to serve all, what was refused beside something accepted."""
    copies = [
        Copy(address, fate.verdict, fate.rule, fate.score)
        for address, fate in plan.fates.items()
        if fate.disposition is Disposition.QUARANTINE and address not in outcomes
    ]
    refused = [address for address, outcome in outcomes.items() if outcome.state is State.REFUSED]
    each_apart = received.listener.address.protocol == "lmtp"
    if each_apart or not refused:
        return copies
    if not (copies or handed_on or any(outcome.state is State.ACCEPTED for outcome in outcomes.values())):
        return copies
    for address in refused:
        outcome, fate = outcomes[address], plan.fates.get(address)
        if outcome.host or fate is None:
            score = fate.score if fate else 0.0
            copies.append(Copy(address, UNDELIVERABLE, "next hop", score, outcome.reply.words))
        else:
            copies.append(Copy(address, fate.verdict, fate.rule, fate.score))
    return copies


def _stripped(plan: Plan, outcomes: Mapping[str, Outcome]) -> Iterator[Copy]:
    """Yield what is to be held as it came for those who got it without some of its attachments, now or with an earlier
    attempt, whatever is thought of the message by now."""
    for address, outcome in outcomes.items():
        if outcome.state is not State.ACCEPTED:
            continue
        fate, said = plan.fates.get(address), outcome.reply.text
        if outcome.host == "memo" and said.startswith(UNHELD):
            yield Copy(address, STRIPPED, said.removeprefix(UNHELD), fate.score if fate is not None else 0.0)
        elif outcome.host != "memo" and fate is not None and fate.held_too:
            yield Copy(address, STRIPPED, fate.held_too, fate.score)


def _to_be_kept(outcome: Outcome | None) -> bool:
    """True for what a next hop has taken, now or with an earlier attempt that could not keep it."""
    if outcome is None or outcome.state is not State.ACCEPTED:
        return False
    return outcome.host != "memo" or outcome.reply.text.startswith((UNARCHIVED, UNHELD))


def _to_archive(received: Received, copies: Sequence[Copy], outcomes: Mapping[str, Outcome]) -> list[str]:
    """Return those whose policy wants a copy of what was accepted, unless an earlier attempt has archived it."""
    held = {copy.recipient for copy in copies}
    wanted = []
    for entry in received.accepted:
        if entry.policy[1].archive:
            address = entry.recipient.address
            if address in held or _to_be_kept(outcomes.get(address)):
                wanted.append(address)
    return wanted


def _not_kept(copies: Sequence[Copy], archived: Sequence[str], outcomes: dict[str, Outcome], cause: str) -> None:
    """What was refused stays refused, and the memo has the retry hear it; the rest is for another time."""
    for copy in copies:
        if copy.recipient not in outcomes:
            outcomes[copy.recipient] = Outcome(State.DEFERRED, NOT_KEPT, "", cause)
    rules = {copy.recipient: copy.rule for copy in copies if copy.verdict == STRIPPED}
    for address in _beside(copies, archived):
        if outcomes[address].state is State.ACCEPTED:
            lacks = UNHELD + rules[address] if address in rules else f"{UNARCHIVED}Ok"
            outcomes[address] = Outcome(State.UNARCHIVED, NOT_KEPT, outcomes[address].host, cause, lacks)


def _letter(
    received: Received,
    message: Message,
    plan: Plan,
    findings: Sequence[Finding],
    copies: tuple[Copy, ...],
    archived: Sequence[str],
    assembly: Assembly,
    tenant: str,
    *,
    unread: bool,
) -> Letter:
    settings, now = assembly.settings.store, now_ms()
    for copy in copies:
        copy.until_ms = now + int(assembly.directory.keep_s(tenant, copy.verdict, settings.keep_held) * 1000)
    return Letter(
        id=received.id,
        received_ms=now,
        envelope=received.envelope,
        client=received.client,
        message=message,
        copies=copies,
        held_until_ms=now + int(settings.keep_held * 1000),
        archived_until_ms=now + int(settings.keep_archived * 1000) if archived else None,
        direction=received.direction,
        tenant=tenant,
        about=_about(plan, findings, archived),
        unread=unread,
    )


def _about(plan: Plan, findings: Sequence[Finding], archived: Sequence[str]) -> dict[str, Any]:
    """Return why it is here, for those who look at it later."""
    told = [
        [each.check, each.symbol[:_TEXT], each.score, each.text[:_TEXT], each.evidence[:_TEXT], each.verdict or ""]
        for each in findings[:_FINDINGS]
    ]
    why = [sentence[:_TEXT] for sentence in plan.why[:_FINDINGS]]
    return {"verdict": plan.verdict, "why": why, "findings": told, **({"archived": list(archived)} if archived else {})}
