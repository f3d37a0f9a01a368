"""Puts the points of each scanner onto the one scale that policies go by. Pure.

The scanners' settings have the types, mpp.checks.layers.judge calls it with one scanner's findings. A weight is put on each symbol. A table maps the scanner's
sum, for points between two of its rows by the line between them, outside of them by the outermost row; what that
changes is a row of its own, so that the symbols keep the points that people know them by and the sum is what counts.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from typing import Annotated

from pydantic import AfterValidator

from mpp.settings.problem import Path, Problem
from mpp.verdict.finding import Finding
from mpp.verdict.reasons import number
from mpp.verdict.weigh import within

_POINT = re.compile(r"\s*(-?\d{1,6}(?:\.\d{1,6})?)\s*=\s*(-?\d{1,6}(?:\.\d{1,6})?)\s*")


def read_point(text: str) -> tuple[float, float]:
    """Return what a point of a scale says: so many points of the engine are so many of ours. Raises ValueError."""
    match = _POINT.fullmatch(text)
    if not match:
        raise ValueError('is no point of a scale; write "12 = 5": the scanner\'s points, then what they count')
    return float(match[1]), float(match[2])


def _point(text: str) -> str:
    read_point(text)
    return text


ScalePoint = Annotated[str, AfterValidator(_point)]


def scale_problems(path: Path, weight: float, scale: Sequence[str]) -> Iterator[Problem]:
    """What weight and scale of a scanner say against themselves and each other; `path` is the scanner's."""
    points = [read_point(text)[0] for text in scale]
    if scale and weight != 1:
        yield Problem((*path, "weight"), "means nothing beside scale", "remove one of the two")
    if len(points) == 1:
        yield Problem((*path, "scale"), "has one point, so every sum would count the same", "write two points or more")
    for item, (before, point) in enumerate(pairwise(points), 1):
        if point <= before:
            what = f"stands after a point for {number(before)}, and points must ascend"
            yield Problem((*path, "scale", item), what, "put the points in order, each once")


SCALED = "SCALED"  # the symbol of the row: what the table makes of the sum


@dataclass(frozen=True, slots=True)
class Scale:
    weight: float = 1.0
    table: tuple[tuple[float, float], ...] = ()  # the scanner's points, ascending, and what they count

    def counts(self, points: float) -> float:
        """Return what a sum of the scanner's points counts."""
        if not self.table:
            return points * self.weight
        at = bisect_right(self.table, points, key=lambda row: row[0])
        if at == 0 or at == len(self.table):
            return self.table[min(at, len(self.table) - 1)][1]
        (low, low_counts), (high, high_counts) = self.table[at - 1], self.table[at]
        return low_counts + (points - low) * (high_counts - low_counts) / (high - low)


PLAIN = Scale()


def scaled(findings: list[Finding], scale: Scale, check: str) -> list[Finding]:
    """Return the findings of one scanner as they count."""
    if scale == PLAIN:
        return findings
    if not scale.table:
        return [_weighed(finding, scale.weight) if finding.score else finding for finding in findings]
    return [*findings, *_rows(findings, scale, check)]


def _weighed(finding: Finding, weight: float) -> Finding:
    return finding._replace(score=round(within(finding.score) * weight, 3))


def _rows(findings: Sequence[Finding], scale: Scale, check: str) -> list[Finding]:
    """Return a row for each group of recipients whose sum the table changes."""
    groups: dict[frozenset[str], list[float]] = {}
    for finding in findings:
        groups.setdefault(finding.recipients, []).append(within(finding.score))
    rows = []
    for recipients, scores in groups.items():
        points = fsum(scores)
        counts = scale.counts(points)
        if change := round(counts - points, 3):
            text = f"{number(points)} points of {check} count {number(counts)} (scanners.{check}.scale)"
            rows.append(Finding(check, SCALED, change, text, recipients=recipients))
    return rows
