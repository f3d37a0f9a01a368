"""The one function that decides what happens to a message, for each recipient (design rules 4 and 5).

Called by mpp.gateway.pipeline, `mpp scan` and simulation. Pure: no clock, no network, no store, so that a decision can be
replayed and explained. What is chosen and in which order is told in mpp.verdict.choose, the edits in mpp.verdict.marks.
"""

from collections.abc import Sequence

from mpp.mail.escape import printable
from mpp.verdict.choose import Case, Choice, choose
from mpp.verdict.finding import Finding, Verdict
from mpp.verdict.marks import edits_for
from mpp.verdict.plan import Disposition, Fate, Plan
from mpp.verdict.policy import Marks, Policy
from mpp.verdict.transaction import Transaction
from mpp.verdict.weigh import Weight, weigh

_DEFAULT = ("default", Policy())
_RANK = {verdict: rank for rank, verdict in enumerate(Verdict)}
_GOES_ON = (Disposition.DELIVER, Disposition.TAG)


def decide(transaction: Transaction, marks: Marks, findings: Sequence[Finding]) -> Plan:
    """Give each recipient of the transaction exactly one fate. The order of findings has no effect. Never raises.

    A score is the sum of the findings that apply to the recipient, rounded to 1/1000; a sum equal to a threshold
    reaches it. Plan.verdict is the worst over all recipients, Plan.score the highest.
    """
    common, personal = _shared_out(findings)
    shared = weigh(common)
    fates: dict[str, Fate] = {}
    made: dict[tuple[str, bool], tuple[Choice, Fate]] = {}
    stories: dict[tuple[str, ...], list[str]] = {}
    verdict, scores = Verdict.CLEAN, []
    for recipient in transaction.envelope.recipients:
        address = recipient.address
        if address in fates:
            continue
        own = personal.get(address)
        weight = weigh([*common, *own]) if own else shared
        name, policy = transaction.policies.get(address, _DEFAULT)
        ours = address in transaction.ours
        pair = None if own else made.get((name, ours))
        if pair is None:
            pair = _fate(weight, Case(name, policy, ours, transaction.stage, transaction.contact, marks), transaction)
            if not own:
                made[name, ours] = pair
        choice, fates[address] = pair
        stories.setdefault(choice.why, []).append(address)
        scores.append(weight.score)
        if choice.verdict is not verdict and _RANK[choice.verdict] < _RANK[verdict]:
            verdict = choice.verdict
    return Plan(verdict, max(scores, default=0.0), fates, _told(stories))


def _shared_out(findings: Sequence[Finding]) -> tuple[list[Finding], dict[str, list[Finding]]]:
    """Return the findings for everybody, and those for some recipients by address."""
    common: list[Finding] = []
    personal: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.recipients:
            for address in finding.recipients:
                personal.setdefault(address, []).append(finding)
        else:
            common.append(finding)
    return common, personal


def _fate(weight: Weight, case: Case, transaction: Transaction) -> tuple[Choice, Fate]:
    choice = choose(weight, case)
    edits = edits_for(transaction, weight, case, choice) if choice.disposition in _GOES_ON else ()
    return choice, Fate(choice.disposition, choice.rule, choice.reply, edits, choice.verdict, weight.score)


def _told(stories: dict[tuple[str, ...], list[str]]) -> tuple[str, ...]:
    """Return the sentences; where recipients differ each says for whom it is."""
    if len(stories) == 1:
        return next(iter(stories))
    told: list[str] = []
    for why, addresses in stories.items():
        more = f" and {len(addresses) - 3} more" if len(addresses) > 3 else ""
        whom = ", ".join(printable(address, 100) for address in addresses[:3]) + more
        told += [f"For {whom}: {sentence}" for sentence in why]
    return tuple(told)
