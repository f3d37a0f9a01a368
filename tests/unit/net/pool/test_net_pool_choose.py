"""When a job waits for a faster server, and when the slower one that is free is the better choice."""

from math import log

import pytest

from mpp.net.connect import Server
from mpp.net.pool.capacity import Capacity
from mpp.net.pool.choose import Situation, expected
from mpp.net.pool.member import Member
from mpp.net.pool.speeds import Level, Speeds


def member(seconds: float, places: int = 1) -> Member:
    level = Level(log(seconds), variance=0.0, at=1.0, known=True)
    return Member(Server("s", "s", 1), f"{seconds}", capacity=Capacity(places), own=level, level=level)


@pytest.mark.parametrize(
    ("times", "waiting", "slow_is_used"),
    [
        (4, 1, False),
        (
            4,
            2.5,
            True,
        ),  # would the faster one do nothing else it would wait: two and a half in line, and its own second
        (10, 7, False),
        (10, 8.5, True),
        (1.1, 1, True),  # hardly slower
    ],
)
def test_the_slower_server_stays_free_while_the_line_before_the_faster_is_shorter(
    times: float, waiting: float, slow_is_used: bool
) -> None:
    fast, slow = member(1.0), member(times)
    situation = Situation(Speeds(), [fast, slow], lambda: waiting, 4096, "", 1.0, {slow: 1}, lambda: 0.5)
    assert expected([slow], situation) is (slow if slow_is_used else None)
