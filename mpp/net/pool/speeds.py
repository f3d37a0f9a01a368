"""How long a server will take for a job, learned from its answers against the size of what they were about.

For the dispatcher. The logarithm of an answer's time is taken as a level of the server plus a slope, common to the pool,
times the logarithm of the size. Levels follow by a Kalman filter whose doubt grows while nothing is heard, so a server
that was slow is believed so less and less. What lies far beyond all others is taken for a stall, not for a speed, until the
next answer says it again. Pure: time comes in as `now`, seconds.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from math import exp, log, log2, sqrt

REFERENCE = 12.0  # log2 of the octets that levels are told for
NOISE = 0.35  # variance of the logarithm of one answer's time, before it is known
DRIFT = 0.02  # by which doubt grows in a second
DOUBT = 1.0  # variance of a level of which nothing is known, and the most
OFTEN_S = 0.005  # answers of one server that follow each other faster say nothing more
KEPT = 512  # residuals that the quantiles come from
TAIL = 2.4  # what the 99th percentile is before there are answers: a lognormal of the usual spread
LATE = 1.3  # times the 99th percentile: beyond it an answer is overdue
_SLOPE_MOST = 1.2
_FADE = 0.995  # of the sums for the slope, with each answer


@dataclass(slots=True)
class Level:
    """What is known of one server: log seconds for a job of the reference size."""

    mean: float = 0.0
    variance: float = DOUBT
    at: float = 0.0  # when it was last learned from
    known: bool = False
    stalled_at: float | None = None  # when an answer came that was taken for a stall

    def doubt(self, now: float) -> float:
        """Return the variance as it has grown since the last answer."""
        return min(DOUBT, self.variance + DRIFT * max(0.0, now - self.at))


class Speeds:
    """What a pool has learned of answers, over all its servers."""

    def __init__(self) -> None:
        self.slope = 0.0
        self._weight = self._x = self._xx = self._xr = 0.0
        self._residuals: deque[float] = deque(maxlen=KEPT)
        self._fresh = 0  # residuals since the quantile was taken
        self._tail = TAIL
        self._noise = NOISE
        self._ratio = 1.2  # mean time over the median's
        self._ratio_weight = 0.0

    def expected(self, level: Level, size: int) -> float:
        """Return the seconds to be expected; of a server that nothing is known of as if it were the usual one."""
        return exp(level.mean) * self.factor(size)

    def factor(self, size: int) -> float:
        """Return what the size makes of the time that a level stands for."""
        return exp(self.slope * _offset(size)) * self._ratio

    def patience(self, level: Level, size: int) -> float:
        """Return the seconds after which an answer is overdue."""
        return exp(level.mean + self.slope * _offset(size) + self._tail + 0.5 * sqrt(level.variance)) * LATE

    def learn(self, level: Level, size: int, seconds: float, now: float) -> float:
        """Take an answer in, of many at once a few; returns how far it was from what the level says, in logarithms."""
        x, y = _offset(size), log(max(seconds, 1e-6))
        residual = y - level.mean - self.slope * x
        if level.known and now - level.at < OFTEN_S:
            return residual
        doubt = level.doubt(now)
        if not level.known:
            level.known, residual, level.mean = True, 0.0, y - self.slope * x
            level.variance, level.at = self._noise, now
            return residual
        far = self._tail + log(LATE) + sqrt(doubt)
        if abs(residual) > far:
            if level.stalled_at is None or now - seconds < level.stalled_at:
                level.stalled_at = now if level.stalled_at is None else level.stalled_at
                return residual
            doubt = DOUBT
        level.stalled_at = None
        gain = doubt / (doubt + self._noise)
        level.mean += gain * residual
        level.variance, level.at = (1 - gain) * doubt, now
        if abs(residual) <= far:
            self._note(x, residual)
        return residual

    def _note(self, x: float, residual: float) -> None:
        """Learn the slope and the spread from what the level could not tell."""
        self._weight = self._weight * _FADE + 1
        self._x = self._x * _FADE + x
        self._xx = self._xx * _FADE + x * x
        self._xr = self._xr * _FADE + x * (residual + self.slope * x)
        mean = self._x / self._weight
        spread = self._xx / self._weight - mean * mean
        if self._weight > 20 and spread > 0.05:
            target = (self._xr / self._weight - self.slope * mean * mean) / spread
            self.slope = min(max(self.slope + 0.02 * (target - self.slope), 0.0), _SLOPE_MOST)
        self._residuals.append(residual)
        self._ratio_weight = min(self._ratio_weight + 1, 200.0)
        self._ratio += (exp(min(residual, 3.0)) - self._ratio) / self._ratio_weight
        self._noise += (min(max(residual * residual, 0.02), 4.0) - self._noise) / (self._ratio_weight + 20)
        self._fresh += 1
        if self._fresh >= 32:
            self._fresh = 0
            self._tail = _tail(self._residuals)


def usual(levels: Iterable[Level]) -> float:
    """Return the level to begin with: the mean of those that are known, else a guess of 100 ms."""
    known = [level.mean for level in levels if level.known]
    return sum(known) / len(known) if known else log(0.1)


def merged(own: Level, others: Iterable[Level], now: float) -> Level:
    """Return what all workers together know of a server, each weighed by how sure it is."""
    known = [level for level in (own, *others) if level.known]
    if not known:
        return own
    weights = [1 / (level.doubt(now) + 1e-3) for level in known]
    total = sum(weights)
    mean = sum(weight * level.mean for weight, level in zip(weights, known, strict=True)) / total
    return Level(mean, min(DOUBT, 1 / total), now, known=True)


def _offset(size: int) -> float:
    return log2(max(size, 256)) - REFERENCE


def _tail(residuals: Iterable[float]) -> float:
    """Return the 99th percentile, mixed with the prior while there are few."""
    ordered = sorted(residuals)
    place = min(len(ordered) - 1, int(len(ordered) * 0.99))
    sure = min(1.0, len(ordered) / 200)
    return sure * ordered[place] + (1 - sure) * max(TAIL, ordered[place])
