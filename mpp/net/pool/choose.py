"""Which free place a job is given: the strategies. Pure functions of what the dispatcher knows.

All strategies share the queue and the places, so none keeps a job waiting at a busy server while another has room. Only
`expected` may answer "none yet": where a faster server will be free so soon that waiting for it pays.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from math import exp, log, sqrt
from typing import NamedTuple

from mpp.net.pool.asking import Strategy
from mpp.net.pool.member import Member
from mpp.net.pool.speeds import Speeds

ALIKE = log(1.15)  # expected times that differ by less are taken for equal


class Situation(NamedTuple):
    """What a strategy may look at, beside the servers with a free place."""

    speeds: Speeds
    up: Sequence[Member]  # all servers that will have a place at some time
    waiting: Callable[[], int]  # jobs that wait at the node, this one among them
    size: int
    key: str
    now: float
    free: Mapping[Member, int]
    draw: Callable[[], float]


Choice = Callable[[Sequence[Member], Situation], Member | None]


def expected(able: Sequence[Member], situation: Situation) -> Member | None:
    """The least expected time; None where it is worth waiting for a faster server.

    Those who wait are taken to be served by the faster servers alone, which have to do meanwhile what the slower ones
    would do: if that takes less time than the slower server would lose, it stays free. What is not surely slow is given the
    benefit of the doubt.
    """
    if len(situation.up) == 1:
        return able[0]
    now = situation.now
    hopes = [member.level.mean - sqrt(member.level.doubt(now)) for member in able]  # logarithms, as levels are
    hope = min(hopes)
    near = [member for member, each in zip(able, hopes, strict=True) if each <= hope + ALIKE]
    best = near[0] if len(near) == 1 else max(near, key=situation.free.__getitem__)
    if len(able) == len(situation.up):
        return best  # no faster one is busy
    fastest = min([member.level.mean for member in situation.up])
    if fastest >= hope:
        return best
    factor, rate = situation.speeds.factor(situation.size), 0.0
    for member in situation.up:
        jobs_in_a_second = member.places() / (factor * exp(member.level.mean))
        rate += jobs_in_a_second if member.level.mean < hope else -jobs_in_a_second
    if rate <= 0:
        return best  # most of the work is the slower ones'
    return None if situation.waiting() / rate + factor * exp(fastest) < factor * exp(hope) else best


def weighted(able: Sequence[Member], situation: Situation) -> Member:
    """Turns in proportion to the weights, evenly spread."""
    total = sum(member.weight for member in able)
    for member in able:
        member.credit += member.weight
    best = max(able, key=lambda member: member.credit)
    best.credit -= total
    return best


def two_choices(able: Sequence[Member], situation: Situation) -> Member:
    """The one with more room out of two drawn at random."""
    first = able[int(situation.draw() * len(able))]
    second = able[int(situation.draw() * len(able))]
    return max(first, second, key=situation.free.__getitem__)


def hashed(able: Sequence[Member], situation: Situation) -> Member:
    """The same server for the same key while it has room, by the highest hash of key and server: when a server goes or
    comes, only the keys that are its own move."""
    key = situation.key or str(situation.draw())
    return max(able, key=lambda member: blake2b(f"{key}\0{member.key}".encode(), digest_size=8).digest())


CHOICES: dict[Strategy, Choice] = {
    "expected": expected,
    "weighted": weighted,
    "round-robin": weighted,  # with equal weights
    "two-choices": two_choices,
    "hash-user": hashed,
    "hash-message": hashed,
}


def draw() -> float:
    """Return a random number from 0 up to 1."""
    return random.random()  # noqa: S311  balancing is no secret
