"""The shell of a pool: places, retries, copies, names, trials. Jobs are plain coroutines; nothing here opens a socket."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest
import uvloop

from mpp.net.connect import Server, UnreachedError, server_of
from mpp.net.pool.asking import Asking, PoolError
from mpp.net.pool.places import LocalNode
from mpp.net.pool.pool import Pool, PoolSettings
from mpp.net.pool.pools import Pools
from mpp.protocols.errors import RemoteProtocolError

Job = Callable[[Server, float], Awaitable[str]]
IN_TURN = "round-robin"


def soon(seconds: float = 10.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def absent(server: Server, until: float) -> None:
    raise ConnectionRefusedError("still refused")


async def present(server: Server, until: float) -> None:
    return None


def pool_of(*names: str, connections: int = 1, probe=absent, strategy=IN_TURN, **more) -> Pool:
    servers = tuple(Server(f"10.0.0.{name}:1", f"10.0.0.{name}", 1) for name in names)
    settings = PoolSettings(servers, connections, strategy)
    return Pool(settings, probe, LocalNode(), jitter=lambda: 0.5, **more)


async def host_of(server: Server, until: float) -> str:
    return server.host[-1]


def failing(*bad: str, error: Exception | None = None) -> Job:
    async def job(server: Server, until: float) -> str:
        if server.host[-1] in bad:
            raise error or ConnectionRefusedError("refused")
        return server.host[-1]

    return job


class Gate:
    """A job that stays at its server until it is let go."""

    def __init__(self) -> None:
        self.at: list[str] = []
        self.open = asyncio.Event()

    async def __call__(self, server: Server, until: float) -> str:
        self.at.append(server.host[-1])
        await self.open.wait()
        return server.host[-1]

    async def reached(self, count: int) -> None:
        while len(self.at) < count:
            await asyncio.sleep(0)


@contextlib.contextmanager
def failed_with(text: str) -> Iterator[None]:
    with pytest.raises(PoolError, match=text):
        yield


async def test_servers_are_used_in_turn() -> None:
    pool = pool_of("1", "2", "3")
    assert sorted([await pool.run(host_of, soon()) for _ in range(6)]) == ["1", "1", "2", "2", "3", "3"]
    assert [state.answers for state in pool.state()] == [2, 2, 2]


async def test_no_more_jobs_at_a_server_than_it_has_places() -> None:
    pool, gate = pool_of("1", "2", connections=2), Gate()
    tasks = [asyncio.create_task(pool.run(gate, soon())) for _ in range(6)]
    await gate.reached(4)
    assert sorted(gate.at) == ["1", "1", "2", "2"]
    assert [state.in_use for state in pool.state()] == [2, 2]
    gate.open.set()
    await asyncio.gather(*tasks)
    assert len(gate.at) == 6
    assert [state.in_use for state in pool.state()] == [0, 0]


async def test_the_next_job_is_on_its_way_before_anything_is_made_of_an_answer() -> None:
    pool, order = pool_of("1"), []

    async def job(server: Server, until: float) -> str:
        order.append("sent")
        await asyncio.sleep(0)
        return server.host

    async def ask() -> None:
        await pool.run(job, soon())
        order.append("told")

    await asyncio.gather(ask(), ask())
    assert order == ["sent", "sent", "told", "told"]


async def test_an_answer_of_the_last_moment_counts_while_the_next_job_is_sent() -> None:
    pool = pool_of("1")

    async def last_moment(server: Server, until: float) -> str:
        time.sleep(max(0.0, until - asyncio.get_running_loop().time()) + 0.005)
        return "late"

    assert await asyncio.gather(pool.run(last_moment, soon(0.02)), pool.run(host_of, soon())) == ["late", "1"]


@pytest.mark.parametrize("error", [ConnectionResetError("broke"), KeyError("a fault of the job")])
async def test_what_befalls_a_copy_takes_nothing_from_the_answer(error: Exception) -> None:
    pool = pool_of("1", "2", "3")
    answered, ended = asyncio.Event(), asyncio.Event()

    async def job(server: Server, until: float) -> str:
        if server.host[-1] == "1":
            raise ConnectionRefusedError("refused")
        await (answered if server.host[-1] == "2" else ended).wait()
        if server.host[-1] == "3":
            raise error
        return "2"

    result = asyncio.create_task(pool.run(job, soon()))
    while not pool.state()[1].in_use:
        await asyncio.sleep(0)
    ticket = next(iter(pool._asked))
    ticket.copied = True  # as where the answer is overdue
    pool._core.queue.push(ticket, first=True)
    pool._step()
    while not pool.state()[2].in_use:
        await asyncio.sleep(0)
    other = asyncio.create_task(pool.run(host_of, soon()))  # waits, so that its request goes out first
    await asyncio.sleep(0)
    answered.set()
    ended.set()
    assert await result == "2"
    assert await other in "23"


async def test_waiting_for_a_place_ends_at_the_deadline() -> None:
    pool, gate = pool_of("1"), Gate()
    task = asyncio.create_task(pool.run(gate, soon()))
    await gate.reached(1)
    with failed_with("no place became free in time"):
        await pool.run(host_of, soon(0.01))
    gate.open.set()
    assert await task == "1"
    assert await pool.run(host_of, soon()) == "1"


async def test_each_job_ends_at_its_own_deadline() -> None:
    """One timer serves all of them, whichever comes first."""
    pool, gate = pool_of("1"), Gate()
    last = asyncio.create_task(pool.run(gate, soon()))
    await gate.reached(1)
    for seconds in (0.04, 0.02):
        with failed_with("in time"):
            await asyncio.gather(pool.run(gate, soon(seconds)), pool.run(gate, soon(seconds / 2)))
        with failed_with("in time"):
            await pool.run(gate, soon(0.01))
    assert not last.done()
    gate.open.set()
    assert await last == "1"


@pytest.mark.parametrize("steps", range(4))
async def test_a_job_cancelled_at_any_step_gives_its_place_back(steps: int) -> None:
    pool, gate = pool_of("1"), Gate()
    task = asyncio.create_task(pool.run(gate, soon()))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gate.open.set()
    assert await pool.run(host_of, soon()) == "1"
    assert pool.state()[0].in_use == 0
    assert pool.state()[0].up


async def test_a_refused_job_goes_to_all_others_and_the_dead_one_is_left_alone() -> None:
    pool = pool_of("1", "2", "3")
    for _ in range(6):
        assert await pool.run(failing("1", "2"), soon()) == "3"
    assert [(state.up, state.failures) for state in pool.state()] == [(False, 1), (False, 1), (True, 0)]
    assert pool.state()[0].cause == "refused"


async def test_a_job_that_breaks_two_servers_has_failed() -> None:
    pool = pool_of("1", "2", "3")
    with failed_with("junk"):
        await pool.run(failing("1", "2", "3", error=RemoteProtocolError("junk")), soon())
    assert sum(state.failures for state in pool.state()) == 2


async def test_where_all_refuse_it_is_known_at_once_and_nobody_is_asked_again() -> None:
    pool = pool_of("1", "2")
    with failed_with("refused"):
        await pool.run(failing("1", "2"), soon())
    asked = []

    async def job(server: Server, until: float) -> None:
        asked.append(server)

    with failed_with("not up: refused"):
        await pool.run(job, soon())
    assert asked == []


async def test_a_fault_of_the_job_is_not_the_servers() -> None:
    pool = pool_of("1")
    with pytest.raises(KeyError):
        await pool.run(failing("1", error=KeyError("ours")), soon())
    assert pool.state()[0].up
    assert pool.state()[0].in_use == 0


async def test_a_dead_server_is_tried_and_used_again() -> None:
    tried = asyncio.Event()
    answers: list[Exception | None] = [UnreachedError("not yet"), None]

    async def probe(server: Server, until: float) -> None:
        error = answers.pop(0)
        if error:
            raise error
        tried.set()

    told = []
    pool = pool_of("1", probe=probe, tell=lambda member: told.append((member.key, member.dead)))
    with failed_with("refused"):
        await pool.run(failing("1"), soon())
    await tried.wait()
    assert await pool.run(host_of, soon()) == "1"
    assert told == [("10.0.0.1:1", True), ("10.0.0.1:1", False)]


async def test_a_silent_server_is_dead_at_the_deadline_and_says_so() -> None:
    pool = pool_of("1")
    with failed_with("10.0.0.1:1: no answer in time"):
        await pool.run(Gate(), soon(0.03))
    await asyncio.sleep(0)
    assert not pool.state()[0].up
    with failed_with("not up: no answer in time"):
        await pool.run(host_of, soon())


async def test_what_is_stuck_is_done_elsewhere_and_the_first_answer_counts() -> None:
    pool, gate = pool_of("1", "2", strategy="expected"), Gate()

    async def stuck_once(server: Server, until: float) -> str:
        if not gate.at:
            return await gate(server, until)
        return "elsewhere"

    assert await pool.run(stuck_once, soon(0.2), Asking(100)) == "elsewhere"
    (first,) = [state for state in pool.state() if state.in_use]
    assert first.up  # it still has its time
    gate.open.set()
    while any(state.in_use for state in pool.state()):
        await asyncio.sleep(0)
    assert sum(state.answers for state in pool.state()) == 2


async def test_what_is_stuck_for_good_gives_its_place_back_at_the_deadline_though_nobody_waits() -> None:
    pool, gate = pool_of("1", "2", strategy="expected"), Gate()

    async def stuck_once(server: Server, until: float) -> str:
        return "elsewhere" if gate.at else await gate(server, until)

    assert await pool.run(stuck_once, soon(0.2), Asking(100)) == "elsewhere"
    async with asyncio.timeout(10):
        while any(state.in_use for state in pool.state()):
            await asyncio.sleep(0.01)
    assert [state.failures for state in pool.state() if state.name.startswith(f"10.0.0.{gate.at[0]}")] == [1]
    assert not gate.open.is_set()


async def test_a_job_begun_when_its_time_is_over_gives_its_place_back() -> None:
    pool = pool_of("1")
    with failed_with("no answer in time"):
        await pool.run(Gate(), soon(-1.0))
    while any(state.in_use for state in pool.state()):
        await asyncio.sleep(0)
    assert not pool.state()[0].up


async def test_what_changes_a_server_is_never_copied() -> None:
    pool, gate = pool_of("1", "2", strategy="expected"), Gate()
    with failed_with("no answer in time"):
        await pool.run(gate, soon(0.1), Asking(100, copies=False))
    assert len(gate.at) == 1


async def test_each_address_of_a_name_is_a_server_and_follows_dns() -> None:
    answers = [(("192.0.2.1", "192.0.2.2"), 0.0)]
    asked = asyncio.Event()

    async def resolve(name: str) -> tuple[tuple[str, ...], float]:
        assert name == "sa.example.org"
        if not answers:
            asked.set()
            raise OSError("DNS is down")
        return answers.pop(0)

    pool = Pool(PoolSettings((server_of("sa.example.org:783"),), 1, IN_TURN), absent, LocalNode(), resolve=resolve)
    reached = [await pool.run(address_of, soon()) for _ in range(4)]
    assert sorted(reached) == ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2"]
    assert [state.name for state in pool.state()] == ["sa.example.org:783@192.0.2.1", "sa.example.org:783@192.0.2.2"]
    pool._use_addresses(server_of("sa.example.org:783"), ("192.0.2.2", "192.0.2.3"), "")
    assert [(state.name[-1], state.answers) for state in pool.state()] == [("2", 2), ("3", 0)]
    pool._use_addresses(server_of("sa.example.org:783"), (), "DNS is down")  # what was known stays in use
    assert {await pool.run(address_of, soon()) for _ in range(2)} == {"192.0.2.2", "192.0.2.3"}
    pool.close()


async def address_of(server: Server, until: float) -> str:
    return server.address


async def test_a_name_that_does_not_resolve_is_a_server_that_is_down() -> None:
    async def resolve(name: str) -> tuple[tuple[str, ...], float]:
        raise OSError(f"{name} does not exist")

    pool = Pool(PoolSettings((server_of("sa.example.org:783"),)), absent, LocalNode(), resolve=resolve)
    with failed_with("sa.example.org does not exist"):
        await pool.run(host_of, soon())
    pool.close()


async def test_a_name_that_hangs_ends_at_the_deadline() -> None:
    async def resolve(name: str) -> tuple[tuple[str, ...], float]:
        await asyncio.Event().wait()
        raise AssertionError

    pool = Pool(PoolSettings((server_of("sa.example.org:783"),)), absent, LocalNode(), resolve=resolve)
    with failed_with("sa.example.org:783: the name was not resolved in time"):
        await pool.run(host_of, soon(0.02))
    pool.close()


async def test_a_revision_keeps_what_is_known_of_servers_that_stay() -> None:
    pools = Pools()
    first, second, third = (server_of(f"10.0.0.{n}:1") for n in (1, 2, 3))
    pool = pools.pool("sa", PoolSettings((first, second), 1, IN_TURN), absent)
    for _ in range(4):
        await pool.run(host_of, soon())
    assert pools.pool("sa", PoolSettings((second, third), 5, IN_TURN), absent) is pool
    assert [(state.name, state.answers, state.places) for state in pool.state()] == [
        ("10.0.0.2:1", 2, 5),
        ("10.0.0.3:1", 0, 5),
    ]
    pools.keep(())
    assert pool.state() == ()
    assert pools.pool("sa", PoolSettings((first,)), absent) is not pool


def test_a_timer_that_is_due_when_it_is_set_is_one_like_others() -> None:
    """uvloop then gives a handle that does not know its time; a busy loop is often that late."""

    async def main() -> None:
        pool = pool_of("1")
        pool._wind(-0.01)
        pool._wind(0.01)
        assert await pool.run(host_of, soon()) == "1"

    uvloop.run(main())


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
