"""Two engines side by side, over the opinions that the log kept of each message. Pure; for `mpp scanners compare`.

A message counts where both were asked and gave an answer. An engine says bad where it says so (virus, banned, spam), or
where its points reach `spam_from`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mpp.checks.layers.engines import Opinion

_BAD = ("virus", "banned", "spam")
_NO_ANSWER = ("failed", "unchecked")


@dataclass(slots=True)
class Engine:
    """One of the two: how often it was asked at all, and what that took."""

    asked: int = 0
    unanswered: int = 0
    times_ms: list[float] = field(default_factory=list)

    def note(self, opinion: Opinion) -> None:
        self.asked += 1
        self.unanswered += opinion.says in _NO_ANSWER
        self.times_ms.append(opinion.took_ms)

    def summary(self) -> Mapping[str, object]:
        times = sorted(self.times_ms)
        return {
            "asked": self.asked,
            "unanswered": self.unanswered,
            "cost_s": round(sum(times) / 1000, 3),
            **{f"p{share}_ms": _at(times, share) for share in (50, 95, 99)},
        }


@dataclass(slots=True)
class Comparison:
    first: Engine = field(default_factory=Engine)
    second: Engine = field(default_factory=Engine)
    both_bad: int = 0
    both_clean: int = 0
    only_first: list[str] = field(default_factory=list)  # ids of messages
    only_second: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        return self.both_bad + self.both_clean + len(self.only_first) + len(self.only_second)

    @property
    def agreement(self) -> float:
        """The share of messages of which both said the same; 0.0 where there are none."""
        return (self.both_bad + self.both_clean) / self.compared if self.compared else 0.0


def compare(messages: Iterable[tuple[str, list[Opinion]]], first: str, second: str, spam_from: float) -> Comparison:
    """Set two engines beside each other over messages, each an id and its opinions."""
    found = Comparison()
    for identity, opinions in messages:
        by_name = {opinion.engine: opinion for opinion in opinions}
        one, other = by_name.get(first), by_name.get(second)
        for opinion, engine in ((one, found.first), (other, found.second)):
            if opinion is not None:
                engine.note(opinion)
        if one is None or other is None or one.says in _NO_ANSWER or other.says in _NO_ANSWER:
            continue
        match is_bad(one, spam_from), is_bad(other, spam_from):
            case True, True:
                found.both_bad += 1
            case False, False:
                found.both_clean += 1
            case True, False:
                found.only_first.append(identity)
            case _:
                found.only_second.append(identity)
    return found


def is_bad(opinion: Opinion, spam_from: float) -> bool:
    return opinion.says in _BAD or opinion.points >= spam_from


def _at(times: list[float], share: int) -> float | None:
    return times[min(len(times) - 1, len(times) * share // 100)] if times else None
