"""The connections to next hops: who waits for a place, what is known of a dead host and for how long."""

import asyncio
import contextlib
import time
from dataclasses import replace

import pytest

from mpp.gateway import hops as hops_module
from mpp.gateway.hop import HopError
from mpp.gateway.hops import DEAD_S, Hops


@pytest.fixture
async def hops():
    """At most two connections to a host, swept often."""
    made = Hops(lambda _policy: None, most=2)

    async def sweep():
        while True:
            await asyncio.sleep(0.005)
            made.sweep(time.monotonic())

    task = asyncio.create_task(sweep())
    yield made
    task.cancel()
    made.close()


def soon(seconds: float = 3.0) -> float:
    return asyncio.get_running_loop().time() + seconds


@pytest.fixture
def hosts(hop, target_of):
    return target_of(hop.port).hosts


@pytest.fixture
async def mute():
    """A server that accepts and says nothing: its settings, and the connections that came."""
    came: list[asyncio.StreamWriter] = []

    async def serve(_reader, writer):
        came.append(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], came
    for writer in came:
        writer.close()
    server.close()


async def test_all_who_wait_for_a_dead_host_are_told_at_once(hops, mute, target_of):
    port, came = mute
    hosts = [replace(target_of(port).hosts[0], connect_timeout=0.05)]
    began = time.monotonic()
    answers = await asyncio.gather(*(hops.acquire(hosts, soon()) for _ in range(24)), return_exceptions=True)
    assert all(isinstance(answer, HopError) for answer in answers)
    assert time.monotonic() - began < 0.5
    assert len(came) == 2


async def test_a_caller_without_time_does_not_make_a_host_dead(hops, mute, target_of):
    port, came = mute
    hosts = target_of(port).hosts
    for attempt in (1, 2):
        with pytest.raises(HopError, match="no answer"):
            await hops.acquire(hosts, soon(0.02))
        assert len(came) == attempt


async def test_a_refused_connection_makes_a_host_dead_however_little_time_there_is(hops, target_of, unused_tcp_port):
    hosts = target_of(unused_tcp_port).hosts
    with pytest.raises(HopError):
        await hops.acquire(hosts, soon(0.5))
    with pytest.raises(HopError, match="known as dead"):
        await hops.acquire(hosts, soon())


async def test_one_who_was_woken_and_came_too_late_stays_the_next(hops, hosts):
    held = [await hops.acquire(hosts, soon()) for _ in range(2)]
    order: list[str] = []

    async def wait(name):
        got = await hops.acquire(hosts, soon())
        order.append(name)
        return got

    waiting = [asyncio.create_task(wait(name)) for name in ("first", "second")]
    await asyncio.sleep(0)
    hops.release(held[0])  # wakes the first
    assert hops.kept(hosts) is held[0]
    await asyncio.sleep(0)
    hops.release(held[0])
    hops.release(held[1])
    for got in await asyncio.gather(*waiting):
        hops.release(got)
    assert order == ["first", "second"]


async def test_the_turn_of_one_who_gives_up_is_not_lost(hops, hosts):
    held = [await hops.acquire(hosts, soon()) for _ in range(2)]
    waiting = [asyncio.create_task(hops.acquire(hosts, soon())) for _ in range(2)]
    await asyncio.sleep(0)
    hops.release(held[0])
    waiting[0].cancel()
    assert await asyncio.wait_for(waiting[1], 0.5) is held[0]
    with contextlib.suppress(asyncio.CancelledError):
        await waiting[0]


async def test_a_fresh_connection_takes_the_place_of_an_idle_one(hop, hops, hosts):
    held = [await hops.acquire(hosts, soon()) for _ in range(2)]
    for each in held:
        hops.release(each)
    fresh = await asyncio.wait_for(hops.acquire(hosts, soon(), fresh=True), 0.5)
    assert fresh not in held
    assert hop.connections == 3
    hops.release(fresh)


async def test_hosts_without_a_connection_are_not_remembered_without_end(
    hops, hosts, target_of, unused_tcp_port, monkeypatch
):
    monkeypatch.setattr(hops_module, "MOST", 3)
    held = await hops.acquire(hosts, soon())
    refusing = [replace(target_of(unused_tcp_port).hosts[0], name=f"h{number}") for number in range(9)]
    for settings in refusing:
        with pytest.raises(HopError):
            await hops.acquire([settings], soon())
    hops.sweep(time.monotonic())
    assert len(hops._hosts) == 10  # each was found dead just now
    hops.sweep(time.monotonic() + DEAD_S)
    assert list(hops._hosts) == [hosts[0], *refusing[-2:]]
    hops.release(held)
