"""Notices when one symbol or one scanner suddenly decides about much more mail than usual, and lets it only mark.

That is what a bad rule or signature update looks like. Counted is what a symbol decides alone: without its points the
message would not be spam. A wave of spam, which many symbols see at once, is none of that. The counts are in memory that
the node's workers share; each judges for itself, by the same sums. Called by mpp.checks.layers.judge.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import fsum

from mpp.checks.guards.settings import Guards
from mpp.checks.layers.conditions import SURE
from mpp.checks.layers.votes import limit_to
from mpp.net.rows import TOUCHED
from mpp.net.shared import SharedRows, key_of
from mpp.verdict.finding import SPAM_SCANNED, VIRUS_SCANNED, Counts, Finding
from mpp.verdict.weigh import within

WINDOW_S = 300.0  # two of them, this one and the one before, are "now"; what was before is "usual"
_KEPT = 0.995  # of the usual counts, a window: half of them are twelve hours old or older
_UNIT = 256  # usual counts are kept in parts of one
_LOOK_S = 5.0  # a name is judged at most so often
_WINDOW, _NOW, _BEFORE, _USUAL = TOUCHED, 2, 3, 4  # words of a row
_ALL = "every message"


@dataclass(frozen=True, slots=True)
class Share:
    """How much of the mail something decides: now, and usually."""

    hits: float
    messages: float
    usual_hits: float
    usual_messages: float

    @property
    def now(self) -> float:
        return self.hits / self.messages if self.messages else 0.0

    @property
    def usual(self) -> float:
        """At least one message: what was never seen has a share too."""
        return max(self.usual_hits, 1.0) / self.usual_messages if self.usual_messages else 1.0


Tell = Callable[[str, bool, Share], None]  # a name, whether it has jumped or come down again, and its share


def jumped(share: Share, guards: Guards, *, before: bool) -> bool:
    """True where a share is far above the usual; with `before`, where it jumped and has not come down again."""
    if share.hits < guards.jump_hits or share.usual_messages < guards.jump_after:
        return False
    factor = guards.jump_factor / 2 if before else guards.jump_factor
    return share.now >= guards.jump_share and share.now >= factor * share.usual


def deciding(findings: Iterable[Finding], mark_above: float | None) -> Iterator[str]:
    """Yield what alone makes the message spam, or a virus: `scanner/SYMBOL`, and `scanner` for all it found together.

    A scanner is named only where another one looked too, and saw it otherwise: of one alone nobody can tell a wave from a
    fault.
    """
    counted, sure, points = [], [], 0.0
    for each in findings:
        if each.counts is not Counts.NOTHING:
            counted.append(each)
            if each.score > 0:
                points += each.score
            if each.verdict in SURE:
                sure.append((each, 1.0))
    if sure:
        looked = {each.check for each in counted if each.verdict in SURE or each.symbol == VIRUS_SCANNED}
        yield from _alone(sure, 1.0, looked)
    elif mark_above is not None and points >= mark_above - 0.001:
        looked = {each.check for each in counted if each.score or each.symbol == SPAM_SCANNED}
        yield from _alone([(each, within(each.score)) for each in counted if each.score], mark_above, looked)


def _alone(weighted: list[tuple[Finding, float]], limit: float, looked: set[str]) -> Iterator[str]:
    total = round(fsum(points for _, points in weighted), 3)
    if total < limit or not weighted:
        return
    sums: dict[str, list[float]] = {}
    for finding, points in weighted:
        if len(looked) > 1:
            sums.setdefault(finding.check, []).append(points)
        sums.setdefault(f"{finding.check}/{finding.symbol}", []).append(points)
    yield from (name for name, points in sums.items() if round(total - fsum(points), 3) < limit)


class Jumps:
    """One worker's eyes on the node's counts. Times are seconds of time.monotonic()."""

    def __init__(self, guards: Guards, rows: SharedRows, slot: int, tell: Tell) -> None:
        self._guards, self._rows, self._slot, self._tell = guards, rows, slot, tell
        self._looked: dict[str, float] = {}
        self.demoted: set[str] = set()  # what jumped, and is told of

    def limited(self, findings: list[Finding]) -> list[Finding]:
        """Return the findings, those that are demoted only marking."""
        if not self.demoted or self._guards.demote == "none":
            return findings
        return [self._limited(finding) for finding in findings]

    def _limited(self, finding: Finding) -> Finding:
        concerned = self._guards.demote == "all" if finding.verdict in SURE else finding.score > 0
        if concerned:
            for name in (f"{finding.check}/{finding.symbol}", finding.check):
                if name in self.demoted:
                    return limit_to(finding, Counts.MARKS, f"guards.{name}")
        return finding

    def note(self, findings: Iterable[Finding], mark_above: float | None, now: float) -> None:
        """Count a message that was judged, and judge what decided it."""
        window = int(now / WINDOW_S) + 1
        self._count(_ALL, window)
        for name in deciding(findings, mark_above):
            self._count(name, window)
            self._look(name, window, now)
        for name in tuple(self.demoted):
            if now - self._looked[name] > WINDOW_S / 10:
                self._look(name, window, now)

    def _look(self, name: str, window: int, now: float) -> None:
        if now - self._looked.get(name, -_LOOK_S) < _LOOK_S:
            return
        if len(self._looked) > 10_000:  # names come from scanners, and from what they found
            self._looked = {name: self._looked[name] for name in self.demoted}
        self._looked[name] = now
        share, before = self.share(name, window), name in self.demoted
        if jumped(share, self._guards, before=before) is before:
            return
        (self.demoted.discard if before else self.demoted.add)(name)
        self._tell(name, not before, share)

    def share(self, name: str, window: int) -> Share:
        hits, usual_hits = self._sum(name, window)
        messages, usual_messages = self._sum(_ALL, window)
        return Share(hits, messages, usual_hits, usual_messages)

    def _sum(self, name: str, window: int) -> tuple[float, float]:
        words, now, usual = self._rows.words, 0.0, 0.0
        for row in self._rows.find_all(key_of(name)):
            counts = rolled(window - words[row + _WINDOW], words[row + _NOW], words[row + _BEFORE], words[row + _USUAL])
            now += counts[0] + counts[1]
            usual += counts[2] / _UNIT
        return now, usual

    def _count(self, name: str, window: int) -> None:
        row, words = self._rows.claim(self._slot, key_of(name)), self._rows.words
        if (passed := window - words[row + _WINDOW]) > 0:
            counts = rolled(passed, words[row + _NOW], words[row + _BEFORE], words[row + _USUAL])
            words[row + _NOW], words[row + _BEFORE], words[row + _USUAL] = counts
            words[row + _WINDOW] = window
        words[row + _NOW] += 1


def rolled(passed: int, now: int, before: int, usual: int) -> tuple[int, int, int]:
    """Return the counts of this window, the one before, and usually, after so many windows have passed."""
    if passed <= 0:
        return now, before, usual
    if passed == 1:
        return 0, now, int((usual + before * _UNIT) * _KEPT)
    return 0, 0, int(((usual + before * _UNIT) * _KEPT + now * _UNIT) * _KEPT ** min(passed - 1, 10_000))
