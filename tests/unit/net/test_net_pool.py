"""The pool of servers: turns, places, back-off. Jobs are plain coroutines; the loop's clock is the test's own."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mpp.net.connect import Server, server_of
from mpp.net.pool.asking import PoolError
from mpp.net.pool.pool import Pool
from mpp.protocols.errors import RemoteProtocolError


class Clock:
    """Replaces the loop's time(), so that minutes pass at once: `advance` lets timers fall due."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._time = loop.time
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock)
    return clock


@pytest.fixture
def far(clock: Clock) -> float:
    return clock() + 1000


def pool_of(*names: str, connections: int = 1) -> Pool:
    return Pool([Server(name, name, 1) for name in names], connections=connections, jitter=lambda: 1.0)


async def name_of(server: Server, until: float) -> str:
    return server.name


def failing(*bad: str, error: Exception | None = None) -> Callable[[Server, float], Awaitable[str]]:
    async def job(server: Server, until: float) -> str:
        if server.name in bad:
            raise error or ConnectionRefusedError("refused")
        return server.name

    return job


class Gate:
    """A job that stays at its server until it is let go."""

    def __init__(self) -> None:
        self.at: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, server: Server, until: float) -> str:
        self.at.append(server.name)
        await self.open.wait()
        return server.name


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_servers_are_used_in_turn(far: float) -> None:
    pool = pool_of("a", "b", "c")
    assert [await pool.run(name_of, far) for _ in range(6)] == ["a", "b", "c", "a", "b", "c"]
    assert [state.answers for state in pool.state()] == [2, 2, 2]


async def test_no_more_jobs_at_a_server_than_it_has_places(far: float) -> None:
    pool, gate = pool_of("a", "b", connections=2), Gate()
    tasks = [asyncio.create_task(pool.run(gate, far)) for _ in range(6)]
    await settle()
    assert sorted(gate.at) == ["a", "a", "b", "b"]
    assert [state.in_use for state in pool.state()] == [2, 2]
    gate.open.set()
    await asyncio.gather(*tasks)
    assert len(gate.at) == 6
    assert [state.in_use for state in pool.state()] == [0, 0]


async def test_waiting_for_a_place_ends_at_the_deadline(clock: Clock) -> None:
    pool, gate = pool_of("a"), Gate()
    task = asyncio.create_task(pool.run(gate, clock() + 1000))
    await settle()
    with pytest.raises(PoolError, match="no place"):
        await pool.run(name_of, clock() + 0.001)
    gate.open.set()
    assert await task == "a"
    assert await pool.run(name_of, clock() + 1000) == "a"


async def test_a_cancelled_job_gives_its_place_back(far: float) -> None:
    pool, gate = pool_of("a"), Gate()
    first = asyncio.create_task(pool.run(gate, far))
    second = asyncio.create_task(pool.run(gate, far))
    third = asyncio.create_task(pool.run(name_of, far))
    await settle()
    first.cancel()
    second.cancel()
    assert await third == "a"
    assert pool.state()[0].in_use == 0
    assert pool.state()[0].up


async def test_a_job_cancelled_as_it_gets_its_place_gives_it_back(far: float) -> None:
    pool, gate = pool_of("a"), Gate()
    first = asyncio.create_task(pool.run(gate, far))
    second = asyncio.create_task(pool.run(name_of, far))
    await settle()
    gate.open.set()
    await asyncio.sleep(0)  # the first is done and has handed its place on
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert await pool.run(name_of, far) == "a"
    assert pool.state()[0].in_use == 0


async def test_a_failed_job_is_tried_once_elsewhere(far: float) -> None:
    pool = pool_of("a", "b", "c")
    assert await pool.run(failing("a"), far) == "b"
    assert [state.up for state in pool.state()] == [False, True, True]
    assert pool.state()[0].cause == "refused"
    with pytest.raises(PoolError) as raised:
        await pool.run(failing("a", "b", "c"), far)
    assert raised.value.server in ("b", "c")
    assert sum(state.failures for state in pool.state()) == 3


async def test_garbage_counts_as_a_failure_and_a_bug_does_not(far: float) -> None:
    pool = pool_of("a")
    with pytest.raises(PoolError, match="junk"):
        await pool.run(failing("a", error=RemoteProtocolError("junk")), far)
    pool = pool_of("a")
    with pytest.raises(KeyError):
        await pool.run(failing("a", error=KeyError("ours")), far)
    assert pool.state()[0].up
    assert pool.state()[0].in_use == 0


async def test_where_none_is_up_a_job_fails_at_once(far: float) -> None:
    pool = pool_of("a")
    with pytest.raises(PoolError):
        await pool.run(failing("a"), far)
    asked = []

    async def job(server: Server, until: float) -> None:
        asked.append(server)

    with pytest.raises(PoolError, match="not up: refused"):
        await pool.run(job, far)
    assert asked == []


async def test_back_off_doubles_is_short_at_first_and_ends_with_an_answer(clock: Clock) -> None:
    pool = pool_of("a")
    waits = []
    for _ in range(60):
        with pytest.raises(PoolError):
            await pool.run(failing("a"), clock() + 1000)
        waited = 0.0
        while True:  # until the next job is let through
            asked = []

            async def job(server: Server, until: float, asked: list[Server] = asked) -> None:
                asked.append(server)
                raise ConnectionRefusedError

            clock.advance(0.1)
            waited += 0.1
            with pytest.raises(PoolError):
                await pool.run(job, clock() + 1000)
            if asked:
                break
        waits.append(waited)
        if len(waits) == 20:
            clock.advance(60.0)
        if waited > 25:
            break
    assert 0.4 < waits[0] < 1.1
    assert max(waits[:15]) < 2.0
    assert 25 < waits[-1] < 31
    clock.advance(31)
    assert await pool.run(name_of, clock() + 1000) == "a"
    assert pool.state()[0].up
    with pytest.raises(PoolError):
        await pool.run(failing("a"), clock() + 1000)
    clock.advance(0.6)
    assert await pool.run(name_of, clock() + 1000) == "a"


async def test_one_job_tries_a_server_that_was_down_and_the_others_wait_for_it(clock: Clock) -> None:
    pool, gate = pool_of("a", connections=4), Gate()
    with pytest.raises(PoolError):
        await pool.run(failing("a"), clock() + 1000)
    clock.advance(1)
    trial = asyncio.create_task(pool.run(gate, clock() + 1000))
    others = [asyncio.create_task(pool.run(gate, clock() + 1000)) for _ in range(3)]
    await settle()
    assert gate.at == ["a"]
    gate.open.set()
    assert await trial == "a"
    assert await asyncio.gather(*others) == ["a"] * 3


async def test_those_who_wait_for_a_trial_hear_that_it_failed(clock: Clock) -> None:
    pool = pool_of("a")
    with pytest.raises(PoolError):
        await pool.run(failing("a"), clock() + 1000)
    clock.advance(1)
    go = asyncio.Event()

    async def dying(server: Server, until: float) -> None:
        await go.wait()
        raise ConnectionResetError("reset")

    trial = asyncio.create_task(pool.run(dying, clock() + 1000))
    await settle()
    other = asyncio.create_task(pool.run(name_of, clock() + 1000))
    await settle()
    go.set()
    with pytest.raises(PoolError, match="reset"):
        await trial
    with pytest.raises(PoolError, match="not up: reset"):
        await other


async def test_a_hanging_trial_leaves_time_for_a_server_that_answers(clock: Clock) -> None:
    pool = pool_of("a", "b")
    assert await pool.run(failing("a"), clock() + 1000) == "b"
    clock.advance(1)

    async def hangs_at_a(server: Server, until: float) -> str:
        if server.name == "a":
            await asyncio.Event().wait()
        return server.name

    assert await pool.run(hangs_at_a, clock() + 0.05) == "b"


async def test_jobs_that_fail_together_count_once_for_the_back_off(clock: Clock) -> None:
    pool = pool_of("a", connections=8)
    go = asyncio.Event()

    async def dying(server: Server, until: float) -> None:
        await go.wait()
        raise ConnectionResetError

    tasks = [asyncio.create_task(pool.run(dying, clock() + 1000)) for _ in range(8)]
    await settle()
    go.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, PoolError) for result in results)
    assert pool.state()[0].failures == 8
    clock.advance(0.51)
    assert await pool.run(name_of, clock() + 1000) == "a"


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("127.0.0.1:783", Server("127.0.0.1:783", "127.0.0.1", 783)),
        ("[::1]:783", Server("[::1]:783", "::1", 783)),
        ("unix:/run/x", Server("unix:/run/x", "", 0, "/run/x")),
        ("tls:sa.example.org:783", Server("tls:sa.example.org:783", "sa.example.org", 783, "", True)),
    ],
)
def test_servers_as_the_settings_write_them(text: str, server: Server) -> None:
    assert server_of(text) == server
