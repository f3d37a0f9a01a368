"""How many places a server has, learned where the settings do not say. For the dispatcher. Pure.

One place more is tried while jobs wait, and given up where the server turns out not to have it: a job beyond its children
waits inside it behind the others, so it never overtakes all of them, and its answer comes late. A job that did overtake all
proves that its place is real.
"""

from dataclasses import dataclass, field
from math import sqrt

FIRST = 2
MOST = 64
SAMPLES = 24  # answers before their mean says anything
LATE = 0.15  # in logarithms, of the mean time
TURNS = 8  # answers for each place without one that overtook all: then no place is free when the last one is taken
PAUSE_S, PAUSE_MOST_S = 10.0, 600.0
_MEMORY = 256.0


@dataclass(slots=True)
class _Sample:
    """Mean and spread of late answers; old ones fade."""

    weight: float = 0.0
    mean: float = 0.0
    spread: float = 0.0

    def add(self, value: float) -> None:
        weight = self.weight = min(self.weight + 1, _MEMORY)
        off = value - self.mean
        step = off / weight
        self.spread += (off * (off - step) - self.spread) / weight
        self.mean += step

    def error(self) -> float:
        """Return the variance of the mean."""
        return self.spread / self.weight if self.weight > 1 else 1.0


@dataclass(slots=True)
class Capacity:
    """The places of one server. `set_to` is what the settings say; 0: learn."""

    set_to: int = 0
    limit: int = FIRST
    changed_at: float = 0.0
    _pressed: bool = False
    _grow_at: float = 0.0
    _pause: float = PAUSE_S
    _turns: int = 0  # answers while all places were in use
    _overtook: int = 0  # those that came before all that were there at their start
    _full: _Sample = field(default_factory=_Sample)
    _less: _Sample = field(default_factory=_Sample)

    def places(self) -> int:
        return self.set_to or self.limit

    def pressed(self) -> None:
        """A job waits."""
        self._pressed = True

    def answered(self, busy: int, late: float, overtook: bool, now: float) -> None:
        """Learn from an answer: `busy` places were in use at its start, and it was so late, in logarithms.

        `overtook`: none of the others had its answer meanwhile.
        """
        if self.set_to:
            return
        if busy < self.limit:
            self._less.add(late)
            return
        self._full.add(late)
        self._turns += 1
        self._overtook += overtook
        later = self._full.mean - self._less.mean
        doubt = 2 * sqrt(self._full.error() + self._less.error())
        enough = self._full.weight >= SAMPLES and self._less.weight >= SAMPLES / 3
        if self.limit > 1 and not self._overtook and self._turns >= TURNS * self.limit and enough and later > LATE:
            self._grow_at, self._pause = now + self._pause, min(self._pause * 2, PAUSE_MOST_S)
            self._set(self.limit - 1, now)
        elif self._pressed and now >= self._grow_at and self.limit < MOST:
            real = self.limit == 1 or self._overtook > 1 or (enough and later + doubt < LATE)
            if real and self._turns >= 4:
                self._set(self.limit + 1, now)

    def adopt(self, limit: int, changed_at: float) -> None:
        """Take what another worker has concluded later than this one."""
        if changed_at > self.changed_at and 1 <= limit <= MOST:
            self._set(limit, changed_at)

    def _set(self, limit: int, now: float) -> None:
        self.limit, self.changed_at, self._pressed = limit, now, False
        self._turns = self._overtook = 0
        self._full, self._less = _Sample(), _Sample()
