"""The way of a message, from the end of data to the reply (design section 3). Read this file and you have seen the product.

    look at its shape -> checks by layers -> decide -> deliver -> hold and archive -> say what became of it

MPP keeps no queue: the reply is 250 only when every recipient's fate is settled, anything else leaves the message with
its sender. Called by mpp.gateway.session with a complete transaction; never raises for what a message holds.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from mpp.checks.layers.conditions import settled
from mpp.checks.layers.judge import Judged
from mpp.checks.lists import all_blocked, listed
from mpp.checks.structure.check import judge as judge_structure
from mpp.gateway.assembly import Assembly, Judges
from mpp.gateway.delivery import ClientGone, Content, Delivery, Outcome, State, deliver, settle
from mpp.gateway.elsewhere import NO_WAY, NOWHERE, Elsewhere, Group, find_elsewhere
from mpp.gateway.holding import hold_and_archive
from mpp.gateway.log import event as log
from mpp.gateway.outcomes import NOBODY, join, kept_apart
from mpp.gateway.received import UNEXAMINED, Received, Result
from mpp.gateway.tracing import discard_trace
from mpp.mail.edits import Edit, apply_edits
from mpp.mail.envelope import Recipient
from mpp.mail.message import Message
from mpp.mail.trace import count_hops, digest, received_field
from mpp.net.metrics import Counter
from mpp.protocols.smtp.reply import Reply
from mpp.store.clock import now_ms
from mpp.store.errors import StoreError
from mpp.store.spool import SpoolError
from mpp.verdict.decide import decide
from mpp.verdict.finding import Finding, OnFailure, Verdict
from mpp.verdict.plan import Disposition, Fate, Plan
from mpp.verdict.transaction import Transaction

LARGE = 1 << 19  # octets above which hashing and line ends are done beside the loop
READ_HERE = 1 << 15  # octets up to which a message is read on the loop: to read the dearest of them takes 25 ms
GONE = Reply(451, "4.4.2", "Connection lost")
NOT_AGAIN = Reply(451, "4.3.0", "Message was accepted for some recipients before and is not accepted any more")
LOOP = Reply(554, "5.4.6", "Message refused, it has been through too many hops")
OVERGROWN = Reply(554, "5.6.0", "Message refused, its header is too large")
NO_RECORD = Reply(452, "4.3.0", "Message cannot be recorded now, please try again later")
DISCARDED = Reply(250, "2.7.0", "Ok, discarded")
OWN_HOPS = 3  # our own Received fields that make a loop
CRASHES = 2  # in hand at so many: not parsed again, but held
DEFERRALS = 3  # by failing scanners, before limits.deferrals ends them
_UNJUDGED = Plan(Verdict.CLEAN, 0.0, {}, ("checks are off",))
_DELIVER = Fate(Disposition.DELIVER, "checks")
_GOES_ON = (Disposition.DELIVER, Disposition.TAG)
_address, _failure = attrgetter("address"), attrgetter("failure")


async def process(received: Received, assembly: Assembly) -> Result:
    """Judge, decide and carry out; return what the client is told."""
    data, settings = received.data, assembly.settings
    mark = digest(data) if len(data) <= LARGE else await asyncio.to_thread(digest, data)
    envelope = received.envelope
    known = await assembly.memo.accepted(envelope.reverse_path, map(_address, envelope.recipients), mark)
    message = Message(data, assembly.message_limits)
    judged = UNEXAMINED
    plan = _UNJUDGED
    try:
        crashes = assembly.table.take_in_hand(mark)
        if crashes >= CRASHES:
            return await _hold_unread(received, message, mark, known, assembly)
        await read(message)
        if refusal := _shape(message, assembly):
            return _refused(received, refusal if not known else NOT_AGAIN)
        transaction = _transaction(received, message, assembly)
        transaction.digest = mark
        if settings.checks:
            until = min(received.arrived + settings.limits.checks_timeout, received.deadline)
            judged = await judge(message, transaction, until, assembly)
            failed = OnFailure.DEFER in map(_failure, judged.findings)
            transaction.overdue = failed and _overdue(mark, assembly)
            plan = decide(transaction, settings.marks, judged.findings)
            assembly.layers.learn(judged, transaction, plan)
            if failed:
                assembly.table.deferred(mark, time.monotonic())
    finally:
        assembly.table.let_go(mark)
    checked = time.monotonic()
    result = await _carry_out(received, message, plan, judged, mark, known, assembly)
    result.transaction, result.judged, result.plan = transaction, judged, plan
    result.digest, result.checked_s = mark, checked - received.arrived
    return result


async def read(message: Message) -> None:
    """Read beside the loop what may take long; all else is read when somebody asks."""
    if len(message.raw) > READ_HERE:
        await asyncio.to_thread(lambda: (message.exceeded, message.oddities))  # reads all of it, and keeps it


async def judge(message: Message, transaction: Transaction, until: float, assembly: Judges) -> Judged:
    """Let lists, rules, attachments and scanners speak, by `until`; what one settles for every recipient needs no others."""
    noted = listed(assembly.lists.current, assembly.directory, transaction, time.time())
    if noted and all_blocked(noted, transaction):
        return Judged(noted)
    found: Sequence[Finding] = await judge_structure(message, assembly.settings.structure, until - time.monotonic())
    if found and any(finding.failure is not None for finding in found):
        return Judged([*noted, *found])
    if assembly.rules:
        found = (*found, *await assembly.rules.judge(message, transaction))
    found = (*noted, *found) if noted else found
    if assembly.attachments and not settled(transaction, found)[1]:
        left = until - time.monotonic()
        found = (*found, *await assembly.attachments.judge(message, transaction, left))
    return await assembly.layers.judge(message, transaction, until - time.monotonic(), found)


async def beside(work: Callable[[bytes], bytes], data: bytes) -> bytes:
    """Do `work` here, or in a thread where the data are large: nothing may hold the loop for long."""
    return work(data) if len(data) <= LARGE else await asyncio.to_thread(work, data)


def _shape(message: Message, assembly: Assembly) -> Reply | None:
    """Refuse what goes round in circles or has no end of header (RFC 5321, 6.3)."""
    settings = assembly.settings
    hops, own = count_hops(message, assembly.hostname, settings.node.instance)
    if hops > settings.limits.received or own >= OWN_HOPS:
        return LOOP
    for limit in message.exceeded:
        if limit.startswith("header"):
            return OVERGROWN
    return None


def _transaction(received: Received, message: Message, assembly: Assembly) -> Transaction:
    """Return the message as checks and decision see it."""
    settings, listener = assembly.settings, received.listener
    ours, policies = [], {}
    for entry in received.accepted:
        address = entry.recipient.address
        policies[address] = entry.policy
        if entry.target.route.ours:
            ours.append(address)
    return Transaction(
        id=received.id,
        envelope=received.envelope,
        client=received.client,
        message=message if settings.checks else None,
        size=len(received.data),
        listener=listener.name,
        stage=listener.stage,
        direction=received.direction,
        trusted=received.trusted,
        ours=frozenset(ours),
        policies=policies,
        hostname=assembly.hostname,
        contact=settings.node.contact,
    )


async def _hold_unread(
    received: Received, message: Message, mark: bytes, known: Mapping[str, str], assembly: Assembly
) -> Result:
    """Hold a message that was in hand when workers crashed, without another look into it."""
    log("error", "message.unread", id=received.id, digest=mark.hex(), cause="in hand at two crashes")
    assembly.table.add(Counter.MESSAGES_POISONED)
    fate = Fate(Disposition.QUARANTINE, "crashes", verdict=Verdict.UNCHECKED)
    why = ("The message was in hand at two crashes, so it was not looked into again and is held in quarantine",)
    plan = Plan(Verdict.UNCHECKED, 0.0, dict.fromkeys(_addresses(received), fate), why)
    result = await _carry_out(received, message, plan, UNEXAMINED, mark, known, assembly, unread=True)
    result.plan, result.digest = plan, mark
    return result


def _overdue(mark: bytes, assembly: Assembly) -> bool:
    """True where deferring this message has to end (limits.deferrals)."""
    number, first = assembly.table.deferrals_of(mark)
    limit = assembly.settings.limits.deferrals
    return limit > 0 and number >= DEFERRALS and time.monotonic() - first >= limit


async def _carry_out(
    received: Received,
    message: Message,
    plan: Plan,
    judged: Judged,
    mark: bytes,
    known: Mapping[str, str],
    assembly: Assembly,
    *,
    unread: bool = False,
) -> Result:
    """Give each recipient what the plan says, and join what came of it into the reply."""
    outcomes: dict[str, Outcome] = {}
    for address, said in known.items():
        outcomes[address] = Outcome(State.ACCEPTED, Reply(250, "2.0.0", said), "memo")
    own, groups, thrown_away, more = _sorted_out(received, plan, outcomes)
    if thrown_away:
        outcomes |= await _thrown_away(thrown_away, received, plan, assembly)
    elsewhere = NOWHERE
    if more:
        reverse_path, listener = received.envelope.reverse_path, received.listener.name
        elsewhere = await find_elsewhere(reverse_path, plan, mark, known, listener, assembly)
        for group, recipient in elsewhere.groups(plan):
            groups.setdefault(group, {}).setdefault(recipient.address, recipient)
    deliveries = [_delivery(received, message, group, tuple(who.values()), assembly) for group, who in groups.items()]
    try:
        if len(deliveries) == 1:
            became = [await deliver(deliveries[0], assembly.delivering)]
        else:
            became = await settle(deliveries, assembly.delivering)
        for group, taken in zip(groups, became, strict=True):
            for address, outcome in taken.items():
                if own.get(address) == group:
                    outcomes[address] = outcome
            elsewhere.take(group, taken)
    except ClientGone:
        return Result(dict.fromkeys(_addresses(received), GONE), GONE, outcomes)
    if more or len(outcomes) > 1:  # else there is no other whose mail would tell what has to be kept of a refused one's
        elsewhere.settle(plan, outcomes)
        await hold_and_archive(
            received, message, plan, judged.findings, outcomes, assembly, handed_on=elsewhere.handed_on, unread=unread
        )
    for address, (target, _) in own.items():
        if outcomes[address].state is State.ACCEPTED:
            assembly.asker.learn(target, address)
    return await _answered(received, plan, outcomes, elsewhere, mark, bool(known), assembly)


def _sorted_out(
    received: Received, plan: Plan, outcomes: dict[str, Outcome]
) -> tuple[dict[str, Group], dict[Group, dict[str, Recipient]], dict[str, str], bool]:
    """Return for whom there is something to deliver, these in groups, and the rule for whom it is thrown away; what is nothing but a
    reply goes to `outcomes`. True where there is more to be done than that: something to be kept, or for somebody else.
    """
    own: dict[str, Group] = {}
    groups: dict[Group, dict[str, Recipient]] = {}
    thrown_away: dict[str, str] = {}
    more = bool(outcomes)
    for entry in received.accepted:
        address = entry.recipient.address
        fate = plan.fates.get(address, _DELIVER)
        disposition = fate.disposition
        if fate.copies or fate.held_too or entry.policy[1].archive:
            more = True
        if address in outcomes:
            continue
        if disposition in _GOES_ON:
            own[address] = group = entry.target, fate.edits
            groups.setdefault(group, {})[address] = entry.recipient
        elif disposition is Disposition.DISCARD:
            thrown_away[address] = fate.rule
        elif disposition is Disposition.QUARANTINE or disposition is Disposition.REDIRECT:
            more = True
        else:
            outcomes[address] = _settled(fate)
    return own, groups, thrown_away, more


async def _answered(
    received: Received,
    plan: Plan,
    outcomes: dict[str, Outcome],
    elsewhere: Elsewhere,
    mark: bytes,
    known: bool,
    assembly: Assembly,
) -> Result:
    """Return what the client is told, after the memo has what its retry must know."""
    replies: dict[str, Reply] = {}
    everybody = elsewhere.beside(outcomes) if elsewhere.outcomes else outcomes
    if received.listener.address.protocol == "lmtp":
        for address in _addresses(received):
            failed = address in plan.fates and elsewhere.failed(plan.fates[address])
            replies[address] = NO_WAY if failed else outcomes[address].reply
        kept: Mapping[str, str] = kept_apart(everybody, replies)
        reply, refused, done = DISCARDED, NOBODY, not kept
    else:
        reply, kept, refused = join(everybody)
        done = reply.code == 250
    if known or kept or refused:
        await _note(received, everybody, kept, refused, mark, assembly, done=known and done)
    return Result(replies, reply, elsewhere.outcomes | outcomes if elsewhere.outcomes else outcomes)


async def _note(
    received: Received,
    outcomes: Mapping[str, Outcome],
    kept: Mapping[str, str],
    refused: Mapping[str, str],
    mark: bytes,
    assembly: Assembly,
    *,
    done: bool,
) -> None:
    """Make durable what the retry must know, before it is asked for; forget what a finished retry no longer needs.

    Where the memo cannot be written the reply stays as it is: it is true, and this process knows what it did.
    """
    reverse_path = received.envelope.reverse_path
    try:
        if kept or refused:
            await assembly.memo.keep(reverse_path, mark, dict(kept), dict(refused))
        elif done and not received.gone():
            await assembly.memo.forget(reverse_path, mark, outcomes, ())
    except StoreError as error:
        log("error", "memo-failed", id=received.id, recipients=list(outcomes), cause=str(error))


def _delivery(
    received: Received,
    message: Message,
    group: Group,
    recipients: tuple[Recipient, ...],
    assembly: Assembly,
) -> Delivery:
    target, edits = group
    top = received_field(
        received.client,
        hostname=assembly.hostname,
        instance=assembly.settings.node.instance,
        identifier=received.id,
        now=time.time(),
        recipient=recipients[0].address if len(received.accepted) == 1 else "",
        smtputf8=received.envelope.smtputf8,
    )
    if message.headless:  # or its first line would continue our own last field
        edits = (*edits, Edit(0, 0, b"\r\n"))
    buffers = [top, *apply_edits(message.raw, edits)] if edits else [top, message.raw]
    utf8 = received.eight_bit and received.envelope.smtputf8 and not message.raw[: message.header_length].isascii()
    content = Content(buffers, sum(map(len, buffers)), received.eight_bit, utf8)
    envelope = received.envelope
    if recipients != envelope.recipients:
        envelope = replace(envelope, recipients=recipients)
    return Delivery(target, envelope, content, received.client, received.id, received.deadline, received.gone)


async def _thrown_away(
    rules: Mapping[str, str], received: Received, plan: Plan, assembly: Assembly
) -> dict[str, Outcome]:
    """Discard for these recipients: the trace is durable before anybody is told that it was accepted (design rule 1)."""
    try:
        await assembly.recorder.durable(discard_trace(received, plan, now_ms(), assembly))
    except SpoolError as error:
        log("error", "discard-unrecorded", id=received.id, cause=str(error))
        return dict.fromkeys(rules, Outcome(State.DEFERRED, NO_RECORD, "", str(error)))
    return {address: Outcome(State.ACCEPTED, DISCARDED, "", rule) for address, rule in rules.items()}


def _settled(fate: Fate) -> Outcome:
    """The outcome of a fate that is nothing but a reply."""
    state = State.REFUSED if fate.disposition is Disposition.REJECT else State.DEFERRED
    return Outcome(state, Reply.read(fate.reply), "", fate.rule)


def _refused(received: Received, reply: Reply) -> Result:
    return Result(
        dict.fromkeys(_addresses(received), reply),
        reply,
        dict.fromkeys(_addresses(received), Outcome(State.REFUSED, reply, "")),
    )


def _addresses(received: Received) -> list[str]:
    return [entry.recipient.address for entry in received.accepted]
