"""Is this silence usual? Times in, how long it has been too quiet out. Pure; mpp.gateway.alarms gathers and tells.

What comes in a stream (messages, held ones) is known by slots of ten minutes. It is missed where nothing came since a moment after
which, up to this time of the week, at least `least` came in each of the last weeks: so a quiet Sunday is no alarm, and neither is a
night. Before three weeks are known nothing is said. What comes one by one (signatures) is missed after twice the longest of the last
gaps. A setting may be a limit in seconds instead, or "off". All times are seconds; slots count local time, since people keep to it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

SLOT_S = 600
WEEK = 7 * 86400 // SLOT_S  # slots
WEEKS, LEAST_WEEKS = 4, 3  # looked at, and needed
GRACE = 1  # slots: what comes by the clock may come that much later
GAPS, TIMES = 5, 2  # gaps to be known, and how often the longest of them is waited for
LATE_S = 900.0  # a task that has not been done for so long, or for three of its turns
TURNS = 3

Limit = float | Literal["usual", "off"]


@dataclass(frozen=True, slots=True)
class Silence:
    """Of something that is silent for longer than is usual."""

    seconds: float
    usual: str  # why that is too long


def of_stream(slots: Mapping[int, int], now: float, limit: Limit, *, least: int, began: float) -> Silence | None:
    """Judge a stream by how many came in each slot; `began` stands for the last one where none is known. None: as usual."""
    if limit == "off":
        return None
    last = max((slot for slot, number in slots.items() if number > 0 and slot * SLOT_S <= now), default=None)
    quiet = now - (began if last is None else min(now, (last + 1) * SLOT_S))
    if limit != "usual":
        return _over(quiet, limit)
    came = _by_this_time(slots, last + 1, now) if last is not None else []
    if len(came) < LEAST_WEEKS or min(came) < least:
        return None
    return Silence(quiet, f"in each of the last {len(came)} weeks at least {min(came)} came by this time")


def _by_this_time(slots: Mapping[int, int], quiet_from: int, now: float) -> list[int]:
    """Return how many came in each of the last weeks that are known, at the times of this week that have been quiet."""
    known_from = min(slot for slot, number in slots.items() if number > 0)
    ends = min(int(now // SLOT_S) - GRACE, quiet_from + WEEK)  # the slot of now is not over
    return [
        sum(number for slot, number in slots.items() if quiet_from <= slot + week * WEEK < ends)
        for week in range(1, WEEKS + 1)
        if known_from <= quiet_from - week * WEEK
    ]


def of_updates(times: Sequence[float], now: float, limit: Limit) -> Silence | None:
    """Judge what comes one by one, by all the times at which it came. None: as usual, or nothing is known."""
    ordered = sorted({each for each in times if each <= now})
    if limit == "off" or not ordered:
        return None
    quiet = now - ordered[-1]
    if limit != "usual":
        return _over(quiet, limit)
    gaps = [later - earlier for earlier, later in pairwise(ordered)]
    if len(gaps) < GAPS or quiet <= TIMES * max(gaps):
        return None
    return Silence(quiet, f"the longest of the last {len(gaps)} gaps was {words(max(gaps))}")


def of_task(last: float, every: float, now: float, limit: Limit) -> Silence | None:
    """Judge a task that is to be done each `every` seconds and was last done well at `last`; a limit counts from its turn on."""
    if limit == "off":
        return None
    return _over(now - last, max(LATE_S, TURNS * every) if limit == "usual" else every + limit)


def _over(quiet: float, limit: float) -> Silence | None:
    return Silence(quiet, f"the limit is {words(limit)}") if quiet > limit else None


def words(seconds: float) -> str:
    """Return "3 d 4 h", "2 h 5 min", "40 s"."""
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, rest = divmod(rest, size)
        if number and len(parts) < 2:
            parts.append(f"{number} {unit}")
    return " ".join(parts) or "0 s"
