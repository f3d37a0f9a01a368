"""The node over shared memory, between processes: places nobody uses twice, words, bells, and the end of a worker."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import pytest

from mpp.net.connect import Server, server_of
from mpp.net.pool.asking import Asking
from mpp.net.pool.board import servers_of, set_drained
from mpp.net.pool.dispatcher import Dispatcher
from mpp.net.pool.member import Member
from mpp.net.pool.node import SharedNode
from mpp.net.pool.places import Word
from mpp.net.pool.pool import Pool, PoolSettings
from mpp.net.pool.speeds import Level
from mpp.net.table import NodeTable

SERVER = "127.0.0.1:783"


@pytest.fixture
def table() -> NodeTable:
    return NodeTable.create(3)


class Worker:
    """A forked process that has its own SharedNode: `do` runs a function of it there and returns the answer as text."""

    def __init__(self, table: NodeTable, slot: int) -> None:
        asks, self._ask = os.pipe()
        self._answer, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                node = SharedNode(table.writer(slot), "sa")
                while command := os.read(asks, 200):
                    os.write(answers, repr(eval(command, {"node": node, "SERVER": SERVER, "Word": Word})).encode())
            finally:
                os._exit(0)

    def do(self, command: str) -> str:
        os.write(self._ask, command.encode())
        return os.read(self._answer, 4096).decode()

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def worker(table: NodeTable):
    made: dict[int, Worker] = {}

    def of(slot: int) -> Worker:
        if slot not in made:
            made[slot] = Worker(table, slot)
        return made[slot]

    yield of
    for each in made.values():
        with contextlib.suppress(ProcessLookupError):
            each.kill()


Of = Callable[[int], Worker]


def test_two_workers_never_have_the_same_place(worker: Of) -> None:
    taken = [worker(number % 2).do("node.take(SERVER, 3)") for number in range(5)]
    assert sorted(taken[:3]) == ["0", "1", "2"]
    assert taken[3:] == ["None", "None"]
    for number in range(2):  # a worker that is new to a server is counted when the others listen, every 10 ms
        worker(number).do("node.words(SERVER)")
        assert worker(number).do("node.busy(SERVER)") == "3"
    worker(0).do("node.release(SERVER, 0)")
    assert worker(1).do("node.take(SERVER, 3)") == "0"
    assert worker(0).do("node.finished(SERVER)") == "1"


def test_the_kernel_decides_where_the_table_is_not_told_yet(table: NodeTable, worker: Of) -> None:
    """As when two workers take in the same moment: the bits that show a place as used come a little later."""
    assert worker(0).do("node.take(SERVER, 1)") == "0"
    worker(0).do("node._mark(SERVER, 0, used=False)")
    assert worker(1).do("node.busy(SERVER)") == "0"
    assert worker(1).do("node.take(SERVER, 1)") == "None"


def test_the_places_of_a_killed_worker_come_back(table: NodeTable, worker: Of) -> None:
    assert [worker(0).do("node.take(SERVER, 2)") for _ in range(2)] == ["0", "1"]
    assert worker(0).do("node.try_trial(SERVER)") == "True"
    assert worker(1).do("node.take(SERVER, 2)") == "None"
    assert worker(1).do("node.try_trial(SERVER)") == "False"
    worker(0).kill()
    table.clear(0, 1.0)
    assert [worker(1).do("node.take(SERVER, 2)") for _ in range(2)] == ["0", "1"]
    assert worker(1).do("node.try_trial(SERVER)") == "True"


def test_words_reach_the_others_and_outlive_their_worker_where_they_are_of_use(table: NodeTable, worker: Of) -> None:
    node = SharedNode(table.writer(0), "sa")
    level = Level(-2.5, 0.25, 7.5, known=True)
    node.say(SERVER, Word(True, 5.0, "Connection refused \N{SNOWMAN}" * 9, True, level, 3, 6.0, 10, 2, 1))
    (heard,) = SharedNode(table.writer(1), "sa").words(SERVER)
    assert (heard.dead, heard.changed_at, heard.suspect, heard.limit, heard.limit_at) == (True, 5.0, True, 3, 6.0)
    assert heard.level == level
    assert heard.cause.startswith("Connection refused \N{SNOWMAN}Conn")
    assert len(heard.cause.encode()) <= 80
    assert SharedNode(table.writer(1), "other").words(SERVER) == []
    table.clear(0, 8.0)
    assert SharedNode(table.writer(1), "sa").words(SERVER) == []
    after = SharedNode(table.writer(0), "sa")
    assert after.remembered(SERVER).level == level
    after.say(SERVER, Word(answers=1, limit=2))
    assert [(each.answers, each.state) for each in servers_of(table) if each.pool == "sa"] == [(11, "up")]


def test_what_cannot_wait_is_news_once(table: NodeTable) -> None:
    ours, other = (SharedNode(table.writer(slot), "sa") for slot in range(2))
    other.say(SERVER, Word(limit=2))
    assert [ours.news(), ours.news()] == [True, False]
    other.say(SERVER, Word(limit=2, answers=5, level=Level(-2.0, 0.1, 3.0, known=True)))
    assert not ours.news()
    assert ours.words(SERVER)[0].level.mean == -2.0
    for word in (
        Word(True, 5.0, "refused", limit=2),
        Word(True, 5.0, "no route", limit=2),
        Word(suspect=True, limit=2),
    ):
        other.say(SERVER, word)
        assert [ours.news(), other.news()] == [True, False]
        assert ours.words(SERVER)[0].news == word.news


def test_who_waits_longest_is_woken(table: NodeTable) -> None:
    nodes = [SharedNode(table.writer(slot), "sa") for slot in range(3)]
    assert nodes[0].others() == (0, 0.0)
    nodes[0].wake()  # nobody
    nodes[1].wait(2, 20.0)
    nodes[2].wait(1, 10.0)
    assert nodes[0].others() == (3, 10.0)
    nodes[0].wake()
    assert os.eventfd_read(table.exclusive.bells[2]) == 1
    with pytest.raises(BlockingIOError):
        os.eventfd_read(table.exclusive.bells[1])
    table.clear(2, 30.0)
    assert nodes[0].others() == (2, 20.0)


def test_draining_is_seen_by_all_and_a_name_stands_for_its_addresses(table: NodeTable) -> None:
    node = SharedNode(table.writer(0), "sa")
    assert not node.drained(SERVER)
    set_drained(table, "sa", SERVER, drained=True)
    set_drained(table, "sa", "sa.example.org:783", drained=True)
    assert node.drained(SERVER)
    assert node.drained("sa.example.org:783@192.0.2.1")
    assert not SharedNode(table.writer(0), "av").drained(SERVER)
    set_drained(table, "sa", SERVER, drained=False)
    assert not node.drained(SERVER)


def test_more_servers_than_the_table_has_room_for_are_still_used_alone(table: NodeTable, worker: Of) -> None:
    node = SharedNode(table.writer(0), "sa")
    names = [f"10.0.{number // 250}.{number % 250}:1" for number in range(1000)]
    assert {node.take(name, 1) for name in names} == {0}
    assert {node.take(name, 1) for name in names} == {None}
    node.say(names[-1], Word())
    assert any(node._own[name] == 0 for name in names)
    lacking = next(name for name in names if node._own[name] == 0)
    assert worker(1).do(f"node.take({lacking!r}, 1)") == "None"
    node.release(lacking, 0)
    assert worker(1).do(f"node.take({lacking!r}, 1)") == "0"


def test_a_server_that_the_pool_no_longer_has_leaves_the_board(table: NodeTable) -> None:
    node = SharedNode(table.writer(0), "sa")
    node.say(SERVER, Word(limit=2))
    assert [each.server for each in servers_of(table)] == [SERVER]
    assert node.take(SERVER, 2) == 0
    node.forget(SERVER)
    assert servers_of(table) == []
    node.release(SERVER, 0)  # its last job ends later
    assert servers_of(table) == []
    assert SharedNode(table.writer(1), "sa").take(SERVER, 1) == 0


NAMED = server_of("sa.example.org:783")


def pool_of(node: SharedNode) -> Pool:
    async def probe(server: Server, until: float) -> None:
        return None

    async def resolve(name: str) -> tuple[tuple[str, ...], float]:
        return ("192.0.2.1",), 60.0

    return Pool(PoolSettings((NAMED,), 2), probe, node, resolve=resolve)


@pytest.mark.parametrize("addresses", [("192.0.2.1",), ("192.0.2.1", "192.0.2.2"), ()])
async def test_what_was_learned_of_a_server_outlives_a_refresh_of_its_name(
    table: NodeTable, addresses: tuple[str, ...]
) -> None:
    """What was told last is older than what is known: it is for the worker after this one, and says nothing of stalls."""

    async def job(server: Server, until: float) -> str:
        return server.address

    pool = pool_of(SharedNode(table.writer(0), "sa"))
    assert await pool.run(job, asyncio.get_running_loop().time() + 10) == "192.0.2.1"
    (member,) = pool._core.members
    pool._core._tell(member, 1.0)
    member.own.mean, member.own.stalled_at = -1.5, 7.0  # learned since
    own = member.own
    pool._use_addresses(NAMED, addresses, "" if addresses else "DNS is down")
    pool.configure(PoolSettings((NAMED,), 3), pool._probe)
    assert pool._core.members[0] is member
    assert (member.own is own, member.own.mean, member.own.stalled_at) == (True, -1.5, 7.0)
    pool.close()


def test_a_refresh_does_not_tell_the_others_that_a_silent_server_answers(table: NodeTable) -> None:
    other = SharedNode(table.writer(1), "sa")
    core = Dispatcher(SharedNode(table.writer(0), "sa"))
    member, more = Member(server_of(SERVER), SERVER), Member(server_of("127.0.0.1:784"), "127.0.0.1:784")
    core.use([member], 0.0)
    core.arrive(Asking(copies=False), 1000.0, 0.0)
    (run,) = core.step(0.0)
    late = run.patience + 1
    core.step(late)
    assert [word.suspect for word in other.words(SERVER)] == [True]
    core.use([member, more], late)
    assert [word.suspect for word in other.words(SERVER)] == [True]


async def test_a_name_whose_addresses_are_the_same_changes_nothing(
    table: NodeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_of(SharedNode(table.writer(0), "sa"))
    given: list[int] = []
    use = pool._core.use
    monkeypatch.setattr(pool._core, "use", lambda members, now: (given.append(len(members)), use(members, now)))
    for addresses in (("192.0.2.2", "192.0.2.1"), ("192.0.2.1", "192.0.2.2"), (), ("192.0.2.1",)):
        pool._use_addresses(NAMED, addresses, "")
    assert given == [2, 1]
    pool.close()
