"""What the findings that apply to one recipient add up to: a score, and findings by class. Pure, order has no effect.

Called by mpp.verdict.decide. Scores come from scanners and are not trusted to be numbers: not a number and infinite
count as 0, what is beyond MOST is cut, and both are named in `odd`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from operator import attrgetter

from mpp.verdict.finding import NOTES, SPAM_SCANNED, VIRUS_SCANNED, Counts, Finding, Listed, OnFailure, Verdict

_SHORT = attrgetter("symbol", "check")

MOST = 1e6  # points, up or down: so that sums and header fields stay readable


@dataclass(slots=True)
class Weight:
    """Frozen by habit: made once here, only read afterwards. Each list is in the order of names."""

    score: float  # rounded to 1/1000
    firm: float  # the score without the points that only mark: what a refusal goes by
    known: bool  # a spam scanner gave an answer
    scanned: bool  # a virus scanner gave an answer
    tests: list[Finding]  # what the score is made of
    odd: list[Finding]  # whose score is no number, or beyond MOST
    virus: list[Finding]
    banned: list[Finding]
    blocked: list[Finding]  # by a list
    allowed: list[Finding]  # by a list
    failed: list[Finding]  # scanners without an answer that must not be gone on without
    refused: list[Finding]  # not looked into, with a reply of their own
    unchecked: list[Finding]  # not looked into; the policy says what that means
    spam: list[Finding]  # spam or forged-bounce by class, whatever the score
    passed: list[Finding]  # failed or too large, and gone on without; nothing that could look
    shadow: list[Finding]  # recorded only, whatever they say
    acted: list[Finding]  # rules of the content filter that held


def weigh(findings: Sequence[Finding]) -> Weight:
    """Add up the findings of one recipient. Never raises."""
    if not findings:
        return _NOTHING
    weight = _nothing()
    scores: list[float] = []
    soft: list[float] = []
    for finding in _in_order(findings):
        if finding.counts is Counts.NOTHING:
            weight.shadow.append(finding)
            continue
        if (score := finding.score) != 0:
            scores.append(within(score))
            if scores[-1] != score:
                weight.odd.append(finding)
            if finding.counts is Counts.MARKS and scores[-1] > 0:  # what speaks for the mail is not held back
                soft.append(-scores[-1])
        _file(finding, weight)
    if scores:
        weight.score = _sum(scores)
        weight.firm = _sum(scores + soft) if soft else weight.score
    return weight


def _sum(scores: Sequence[float]) -> float:
    return round(fsum(scores), 3) + 0.0  # + 0.0 makes of -0.0 a plain 0


def _nothing() -> Weight:
    return Weight(0.0, 0.0, False, False, [], [], [], [], [], [], [], [], [], [], [], [], [])


_NOTHING = _nothing()


def within(score: float) -> float:
    """Return a score that can be added and written: what is not finite is 0, too much is MOST."""
    return max(-MOST, min(MOST, score)) if isfinite(score) else 0.0


def _file(finding: Finding, weight: Weight) -> None:
    """Put one finding where it belongs: at most one class each, by its verdict first."""
    verdict, symbol = finding.verdict, finding.symbol
    if finding.actions:
        weight.acted.append(finding)
        if verdict is None and not finding.score:
            return
    if finding.counts is Counts.MARKS and (verdict is Verdict.VIRUS or verdict is Verdict.BANNED):
        weight.spam.append(finding)  # a sure class that only marks: marked as spam is, and not withheld
        weight.scanned = weight.scanned or verdict is Verdict.VIRUS
    elif verdict is Verdict.VIRUS:
        weight.virus.append(finding)
        weight.scanned = True
    elif verdict is Verdict.BANNED:
        weight.banned.append(finding)
    elif finding.listed is not None:
        (weight.blocked if finding.listed is Listed.BLOCK else weight.allowed).append(finding)
    elif finding.failure is not None:
        (weight.passed if finding.failure is OnFailure.CONTINUE else weight.failed).append(finding)
    elif finding.refusal:
        weight.refused.append(finding)
    elif verdict is Verdict.UNCHECKED:
        weight.unchecked.append(finding)
    elif verdict is Verdict.SPAM or verdict is Verdict.FORGED_BOUNCE:
        weight.spam.append(finding)
        weight.known = True
    elif symbol == VIRUS_SCANNED:
        weight.scanned = True
    elif symbol == SPAM_SCANNED:
        weight.known = True
    elif symbol in NOTES:
        weight.passed.append(finding)
    else:
        weight.tests.append(finding)
        weight.known = True


def _in_order(findings: Sequence[Finding]) -> Sequence[Finding]:
    """Return the findings in an order that does not depend on the one they came in."""
    if len(findings) == 1:
        return findings
    distinct = len(set(map(_SHORT, findings))) == len(findings)
    return sorted(findings, key=_SHORT if distinct else _canonical)


def _canonical(finding: Finding) -> tuple[str, ...]:
    """Everything that makes a difference; a score as text, since nan has no order."""
    return (
        finding.symbol,
        finding.check,
        repr(finding.score),
        finding.text,
        finding.evidence,
        finding.refusal,
        finding.verdict or "",
        finding.failure or "",
        finding.counts,
        finding.limit,
        finding.listed or "",
        repr(finding.actions),
    )
