"""The one function that decides what happens to a message, for each recipient (design rules 4 and 5).

Called by mpp.gateway.pipeline, `mpp scan` and simulation. Pure: no clock, no network, no store, so that a decision can be
replayed and explained. What is chosen and in which order is told in mpp.verdict.choose, the edits in mpp.verdict.marks.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from mpp.mail.escape import printable
from mpp.verdict.choose import Case, Choice, choose
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.marks import NO_FIELDS, Block, edits_for, fields_to_put
from mpp.verdict.plan import Disposition, Fate, Plan
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction
from mpp.verdict.weigh import Weight, weigh

_DEFAULT = ("default", Policy())
_new = tuple.__new__  # a named tuple made by its own constructor costs twice as much
_recipients = attrgetter("recipients")
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
_GOES_ON = (Disposition.DELIVER, Disposition.TAG, Disposition.REDIRECT)


def decide(transaction: Transaction, marks: Marks, findings: Sequence[Finding]) -> Plan:
    """Give each recipient of the transaction exactly one fate. The order of findings has no effect. Never raises.

    A score is the sum of the findings that apply to the recipient, rounded to 1/1000; a sum equal to a threshold
    reaches it. Plan.verdict is the worst over all recipients, Plan.score the highest.
    """
    common, personal = _shared_out(findings)
    fates: dict[str, Fate] = {}
    made: dict[object, tuple[Ruling, Fate]] = {}  # once for all who have the same policy and the same findings
    for recipient in transaction.envelope.recipients:
        address = recipient.address
        name, policy = transaction.policies.get(address, _DEFAULT)
        ours = address in transaction.ours
        own = personal.get(address) if personal else None
        key = address if own else (name, ours)
        pair = made.get(key)
        if pair is None:
            overdue, stage = transaction.overdue, transaction.stage
            case = _new(Case, (policy, marks, name, ours, stage, transaction.contact, transaction.hostname, overdue))
            pair = made[key] = _fate([*common, *own] if own else common, case, transaction)
        fates[address] = pair[1]
    if len(made) != 1:
        return _joined(tuple(made.values()), fates)
    ((weight, choice, _), _), *_ = made.values()
    return Plan(choice.verdict, weight.score, fates, choice.why)


def _joined(made: Sequence[tuple["Ruling", Fate]], fates: Mapping[str, Fate]) -> Plan:
    """Return the plan of recipients who differ."""
    whys = {id(fate): ruling.choice.why for ruling, fate in made}
    stories: dict[tuple[str, ...], list[str]] = {}
    for address, fate in fates.items():
        stories.setdefault(whys[id(fate)], []).append(address)
    verdict = min((ruling.choice.verdict for ruling, _ in made), key=_RANK.__getitem__, default=Verdict.CLEAN)
    score = max((ruling.weight.score for ruling, _ in made), default=0.0)
    return Plan(verdict, score, fates, next(iter(stories)) if len(stories) == 1 else _told(stories))


class Ruling(NamedTuple):
    """All of a fate that does not depend on the message itself."""

    weight: Weight
    choice: Choice
    block: Block


def rule(findings: Sequence[Finding], case: Case) -> Ruling:
    """Choose for one case by these findings."""
    weight = weigh(findings)
    choice = choose(weight, case)
    goes_on = (case.ours or weight.acted) and choice.disposition in _GOES_ON
    return Ruling(weight, choice, fields_to_put(weight, case, choice) if goes_on else NO_FIELDS)


_RULED_MOST = 256
_ruled: dict[tuple[object, ...], tuple[Ruling, Case]] = {}


def _rule_known(findings: Sequence[Finding], case: Case) -> Ruling:
    """As `rule`, kept for the usual message: nothing found, or one note that repeats.

    Policy and marks are known by identity, since a look at all their values costs more than it saves; the case that is
    kept holds on to them, so that no other object gets their identity.
    """
    key = (id(case.policy), id(case.marks), *case[2:], *findings)
    known = _ruled.get(key)
    if known is None:
        if len(_ruled) >= _RULED_MOST:
            _ruled.clear()
        known = _ruled[key] = rule(findings, case), case
    return known[0]


def _shared_out(findings: Sequence[Finding]) -> tuple[Sequence[Finding], dict[str, list[Finding]]]:
    """Return the findings for everybody, and those for some recipients by address."""
    personal: dict[str, list[Finding]] = {}
    if not any(map(_recipients, findings)):
        return findings, personal
    for finding in findings:
        for address in finding.recipients:
            personal.setdefault(address, []).append(finding)
    return [finding for finding in findings if not finding.recipients], personal


def _fate(findings: Sequence[Finding], case: Case, transaction: Transaction) -> tuple[Ruling, Fate]:
    usual = not findings or (len(findings) == 1 and not findings[0].actions)  # edits may hold much, and are not kept
    ruling = _rule_known(tuple(findings), case) if usual else rule(findings, case)
    choice = ruling.choice
    edits = edits_for(transaction, case, ruling.weight, choice, ruling.block) if choice.disposition in _GOES_ON else ()
    score = ruling.weight.score
    return ruling, Fate(
        choice.disposition,
        choice.rule,
        choice.reply,
        edits,
        choice.verdict,
        score,
        choice.to,
        choice.copies,
        choice.held_too,
    )


def _told(stories: dict[tuple[str, ...], list[str]]) -> tuple[str, ...]:
    """Return the sentences where recipients differ: each says for whom it is."""
    told: list[str] = []
    for why, addresses in stories.items():
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        whom = ", ".join(printable(address, 100) for address in addresses[:3]) + more
        told += [f"For {whom}: {sentence}" for sentence in why]
    return tuple(told)
