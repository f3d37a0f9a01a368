"""What each engine said of a message, in a word for the log: `spamd:spam:7.2:83.1`, name, opinion, points, milliseconds.

A fifth place says how far it counts where that is not fully: `marks`, `nothing`. Written for each message by the gateway,
read back by `mpp scanners compare`. Pure.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum
from typing import Literal, cast, get_args

from mpp.checks.layers.judge import Judged
from mpp.verdict.finding import SCANNER_FAILED, SPARED, TOO_LARGE, Counts, Finding, Verdict
from mpp.verdict.reasons import number
from mpp.verdict.weigh import within

Says = Literal["clean", "virus", "banned", "spam", "unchecked", "failed"]
_WORD = re.compile(
    rf"([A-Za-z0-9][A-Za-z0-9._-]{{0,63}}):({'|'.join(get_args(Says))}):(-?\d{{1,9}}(?:\.\d{{1,3}})?):(\d{{1,9}}(?:\.\d{{1,3}})?)"
    rf"(?::({'|'.join(Counts)}))?"
)
_WORST: tuple[Says, ...] = ("virus", "banned", "failed", "unchecked", "spam")
_SAYS: dict[Verdict | None, Says] = {
    Verdict.VIRUS: "virus",
    Verdict.BANNED: "banned",
    Verdict.UNCHECKED: "unchecked",
    Verdict.SPAM: "spam",
    Verdict.FORGED_BOUNCE: "spam",
}


@dataclass(frozen=True, slots=True)
class Opinion:
    """One engine's answer. `says` "clean" leaves to the points whether it is spam."""

    engine: str
    says: Says
    points: float
    took_ms: float
    counts: Counts = Counts.FULL

    @property
    def word(self) -> str:
        text = f"{self.engine}:{self.says}:{number(self.points)}:{self.took_ms:.1f}"
        return text if self.counts is Counts.FULL else f"{text}:{self.counts}"


def opinions(judged: Judged) -> list[Opinion]:
    """Return an opinion for each check that was asked; the points are the most that one recipient's findings make."""
    by_check: dict[str, list[Finding]] = {run.check: [] for run in judged.runs}
    for finding in judged.findings:
        if finding.check in by_check:
            by_check[finding.check].append(finding)
    return [_opinion(run.check, by_check[run.check], run.took_s * 1000) for run in judged.runs]


def _opinion(engine: str, findings: list[Finding], took_ms: float) -> Opinion:
    points: dict[frozenset[str], list[float]] = {}
    said: set[Says] = set()
    for finding in findings:
        if finding.score:
            points.setdefault(finding.recipients, []).append(within(finding.score))
        if finding.symbol in (SCANNER_FAILED, SPARED):
            said.add("failed")
        elif finding.symbol == TOO_LARGE:
            said.add("unchecked")
        elif finding.verdict in _SAYS:
            said.add(_SAYS[finding.verdict])
    says: Says = next((each for each in _WORST if each in said), "clean")
    most = max((fsum(scores) for scores in points.values()), default=0.0)
    limits = {finding.counts for finding in findings}
    counts = next((each for each in (Counts.NOTHING, Counts.MARKS) if each in limits), Counts.FULL)
    return Opinion(engine, says, round(most, 3), took_ms, counts)


def read(words: Iterable[str]) -> list[Opinion]:
    """Return the opinions of a log line; what is no word of ours is left out."""
    matches = [match for word in words if (match := _WORD.fullmatch(word))]
    return [
        Opinion(
            match[1],
            cast(Says, match[2]),
            float(match[3]),
            float(match[4]),
            Counts(match[5] or "full"),
        )
        for match in matches
    ]
