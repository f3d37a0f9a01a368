"""Sessions that are kept for the next job."""

import asyncio
from types import SimpleNamespace

from mpp.net.connect import server_of
from mpp.net.pool.kept import Kept

ONE, OTHER = server_of("127.0.0.1:1"), server_of("127.0.0.1:2")


def a_session() -> SimpleNamespace:
    ended = asyncio.Event()
    return SimpleNamespace(ended=ended, connection=SimpleNamespace(readable=False, closed=False, close=ended.set))


async def test_what_nobody_takes_is_closed_at_every_server_and_what_is_taken_is_not() -> None:
    kept: Kept[SimpleNamespace] = Kept(keep_s=0.05)
    taken, left, later = a_session(), a_session(), a_session()
    kept.keep(ONE, left)
    kept.keep(ONE, taken)
    assert kept.take(ONE) is taken, "the one last used is given out first"
    kept.keep(OTHER, later)
    async with asyncio.timeout(10):
        await left.ended.wait()
        await later.ended.wait()
    assert not taken.ended.is_set()
    assert kept.take(ONE) is None
    again = a_session()
    kept.keep(ONE, again)  # the timer begins anew
    async with asyncio.timeout(10):
        await again.ended.wait()


async def test_what_spoke_unasked_is_closed_and_not_given_out() -> None:
    kept: Kept[SimpleNamespace] = Kept()
    good, spoke = a_session(), a_session()
    kept.keep(ONE, good)
    kept.keep(ONE, spoke)
    spoke.connection.readable = True
    assert kept.take(ONE) is good
    assert spoke.ended.is_set()
