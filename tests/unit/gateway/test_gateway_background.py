"""The background process, turn by turn: what it misses and tells when tasks fail, when another node is elected, when it begins anew."""

import json
import socket
import time
from pathlib import Path

import pytest

from mpp.gateway import background as module
from mpp.gateway.background import _Background
from mpp.gateway.election import Election
from mpp.gateway.settings import Settings
from mpp.gateway.starting import BackgroundContext
from mpp.net.metrics import Counter, Gauge
from mpp.net.table import NodeTable
from mpp.store.background import Tasks, open_tasks
from mpp.store.opening import prepare_store
from mpp.store.settings import Store

START = 1_800_000_000.0
HOUR = 3600.0


class World:
    """A gateway whose background process begins, turns and dies as told; `at` is both of its clocks."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        node = {"data": str(folder), "hostname": "node"}
        self.settings = Settings.model_validate({"node": node, "silence": {"mail": 60.0}})
        prepare_store(folder, self.settings.store)
        self.table = NodeTable.create(1)
        self.at = START
        self.process: _Background | None = None
        self.logged: list[str] = []
        monkeypatch.setattr(time, "time", lambda: self.at)
        monkeypatch.setattr(module, "now_ms", lambda: int(self.at * 1000))
        monkeypatch.setattr(module, "log", lambda _level, name, **said: self.logged.append(f"{name} {said}"))

    def begin(self) -> None:
        self.control = socket.socketpair()
        writer = self.table.writer(self.table.workers)
        self.process = _Background(BackgroundContext(self.settings, writer, self.control[0], START))

    def turn(self, later: float = 0.0) -> None:
        """Turn until nothing is left to do, which is what `later` seconds find."""
        assert self.process is not None
        self.at += later
        while self.process._turn(self.at):
            pass

    def die(self) -> None:
        assert self.process is not None
        self.process._close()
        module.os.close(self.process._lock)
        self.table.clear(self.table.workers, self.at)
        for end in self.control:
            end.close()
        self.process = None

    def silent(self) -> list[str]:
        assert self.process is not None
        return [each.text for each in self.process._alarms.now()]

    def gauge(self, gauge: Gauge) -> int:
        return sum(self.table.gauge(gauge))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = World(tmp_path / "data", monkeypatch)
    made.begin()
    yield made
    if made.process:
        made.die()


def broken(*_: object) -> bool:
    raise AssertionError("segment 3 is not unfinished")


def test_a_node_that_is_elected_no_more_misses_nothing_that_is_another_node_s(world: World, monkeypatch):
    world.turn()
    world.turn(HOUR)
    assert any(text.startswith("no message came for") for text in world.silent())
    monkeypatch.setattr(Election, "held", lambda _self: False)
    world.turn(HOUR)
    world.turn(HOUR)  # what is done everywhere was done an hour ago: only that may be told
    world.turn(100.0)
    assert world.silent() == []
    assert world.gauge(Gauge.SILENT_MAIL) == world.gauge(Gauge.SILENT_BACKGROUND) == 0


def test_a_node_that_is_elected_begins_where_the_other_has_ended(world: World, monkeypatch):
    monkeypatch.setattr(Election, "held", lambda _self: False)
    monkeypatch.setattr(Tasks, "expire", broken)
    world.turn()
    world.turn(10 * HOUR)
    other = open_tasks(Store(), world.settings.node.data, "other")
    last = int((world.at - 60.0) * 1000)
    other.tell(json.dumps({"tasks": {"expire": {"last": last, "error": ""}}}))
    other.close()
    monkeypatch.setattr(Election, "held", lambda _self: True)
    world.turn(30.0)
    world.turn(61.0)
    assert world.silent() == ["no message came for 10 h 1 min, and the limit is 1 min"]
    world.turn(HOUR)
    assert any(text.startswith("background task expire was not done for 1 h 2 min") for text in world.silent())


def test_a_fault_in_one_task_is_told_and_the_others_go_on(world: World, monkeypatch):
    monkeypatch.setattr(Tasks, "compact", broken)
    world.turn()
    done = {task.name: (task.runs, task.failures) for task in world.process._tasks}
    assert done.pop("compact") == (0, 1)
    assert set(done.values()) == {(1, 0)}
    assert any("AssertionError: segment 3 is not unfinished" in line for line in world.logged)
    assert world.table.counter(Counter.BACKGROUND_FAILURES) == 1


def test_a_task_that_fails_is_missed_though_the_process_begins_anew_again_and_again(world: World, monkeypatch):
    world.turn()
    monkeypatch.setattr(Tasks, "expire", broken)
    for _ in range(4):
        world.die()
        world.begin()
        world.turn(300.0)
    world.turn(60.0)
    assert [text for text in world.silent() if "background task" in text] == [
        "background task expire was not done for 21 min, and the limit is 15 min"
    ]


def test_a_process_that_dies_before_it_has_done_anything_is_missed_by_the_next(world: World, monkeypatch):
    world.turn()
    monkeypatch.setattr(module, "open_tasks", broken)
    for _ in range(4):
        world.die()
        world.begin()
        with pytest.raises(AssertionError):
            world.turn(300.0)
    assert world.gauge(Gauge.SILENT_BACKGROUND) == 1200


def test_a_weekend_without_a_gateway_is_no_alarm(world: World):
    world.at -= 50 * HOUR  # long before the supervisor began
    world.turn()
    world.die()
    world.at = START
    world.begin()
    world.turn()
    world.turn(61.0)
    assert not any("background task" in text for text in world.silent())
