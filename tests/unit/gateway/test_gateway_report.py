"""A message is told of once its reply has left, and a fault in telling cannot change the reply."""

import asyncio
from types import SimpleNamespace

from mpp.gateway import report
from mpp.gateway.report import Reporter
from mpp.net.metrics import Counter


class Table:
    def __init__(self) -> None:
        self.counted: list[Counter] = []

    def add(self, counter: Counter, number: int = 1) -> None:
        self.counted += [counter] * number


def transaction(amavis: bool = False):
    return SimpleNamespace(assembly=SimpleNamespace(settings=SimpleNamespace(log=SimpleNamespace(amavis=amavis))))


async def test_what_was_written_in_a_turn_leaves_before_the_message_is_told_of(monkeypatch) -> None:
    order: list[str] = []
    reporter = Reporter(Table())
    monkeypatch.setattr(reporter, "message", lambda *_: order.append("told"))

    reporter.behind(transaction(), None, None, 0.0)
    order.append("reply")
    assert reporter.busy  # a worker that stops waits for it

    await asyncio.sleep(0)
    assert order == ["reply", "told"]
    assert not reporter.busy


async def test_a_fault_in_telling_is_logged_and_counted(monkeypatch) -> None:
    lines: list[tuple] = []
    monkeypatch.setattr(report, "log", lambda *words, **fields: lines.append((words, fields)))
    table = Table()
    reporter = Reporter(table)

    def fails(*_):
        raise RuntimeError("of ours")

    monkeypatch.setattr(reporter, "message", fails)
    reporter.behind(transaction(), None, None, 0.0)
    await asyncio.sleep(0)
    assert lines == [(("error", "fault"), {"cause": "RuntimeError: of ours"})]
    assert table.counted == [Counter.FAULTS]
    assert not reporter.busy
