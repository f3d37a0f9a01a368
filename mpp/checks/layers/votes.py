"""Voting rules: whose findings only mark, or count nothing, because too few others found the same. Pure.

Called by mpp.checks.layers.judge, after each layer and with all findings so far: what is not yet confirmed ends no
layers. A scanner in shadow, one that failed and one that was not asked have no vote.
"""

from collections.abc import Iterable, Sequence
from math import fsum

from mpp.checks.layers.conditions import SURE
from mpp.checks.layers.settings import Vote
from mpp.verdict.finding import Counts, Finding, Verdict
from mpp.verdict.weigh import within

_RANK = {Counts.FULL: 0, Counts.MARKS: 1, Counts.NOTHING: 2}
_OTHERWISE = {"mark": Counts.MARKS, "ignore": Counts.NOTHING}


def limited(findings: list[Finding], votes: Sequence[Vote]) -> list[Finding]:
    """Return the findings, those that a rule holds back limited by the strictest rule that does."""
    for vote in votes:
        if len(in_favour(findings, vote)) < vote.needed:
            counts, limit = _OTHERWISE[vote.otherwise], f"votes.{vote.name}"
            findings = [
                limit_to(each, counts, limit) if each.check in vote.scanners and _concerns(each, vote) else each
                for each in findings
            ]
    return findings


def limit_to(finding: Finding, counts: Counts, limit: str) -> Finding:
    """Return the finding with no more of a say than `counts`, and the name of what limits it."""
    return finding._replace(counts=counts, limit=limit) if _RANK[counts] > _RANK[finding.counts] else finding


def in_favour(findings: Iterable[Finding], vote: Vote) -> set[str]:
    """Return the voters who found it, for any recipient."""
    voters = vote.voters or vote.scanners
    points: dict[tuple[str, frozenset[str]], list[float]] = {}
    found: set[str] = set()
    for each in findings:
        if each.check not in voters or each.counts is Counts.NOTHING:
            continue
        if each.verdict in (SURE if vote.of == "virus" else (Verdict.SPAM, Verdict.FORGED_BOUNCE)):
            found.add(each.check)
        elif vote.of == "spam" and each.score:
            points.setdefault((each.check, each.recipients), []).append(within(each.score))
    return found | {check for (check, _), scores in points.items() if round(fsum(scores), 3) >= vote.spam_from}


def _concerns(finding: Finding, vote: Vote) -> bool:
    if vote.of == "virus":
        return finding.verdict in SURE
    return finding.score > 0 or finding.verdict in (Verdict.SPAM, Verdict.FORGED_BOUNCE)
