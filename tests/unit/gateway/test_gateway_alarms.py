"""Silence alarms: told once when they begin and once when they end, in log, metrics and to `mpp check`."""

import asyncio
import time
from collections import Counter

import pytest

from mpp.gateway import alarms as module
from mpp.gateway.alarms import Alarms
from mpp.gateway.settings import Settings
from mpp.net.metrics import Gauge
from mpp.net.table import NodeTable
from mpp.store.catalog import Catalog
from mpp.store.engine_updates import KEPT, note, times
from mpp.store.trace_days import Streams

WEEK = 7 * 144
NOW_SLOT = 6 * WEEK


class Days:
    """Traces' counts as they would be: forty messages at this time of each week, of which the last has none."""

    def __init__(self) -> None:
        usual = {NOW_SLOT - week * WEEK - 2: 40 for week in range(1, 6)}
        self.found = Streams(Counter({NOW_SLOT - 10: 1, **usual}), Counter())

    def streams(self, since: int) -> Streams:
        assert since <= NOW_SLOT // 144 - 28
        return self.found


@pytest.fixture
def logged(monkeypatch):
    lines: list[tuple[str, str, str]] = []
    monkeypatch.setattr(module, "log", lambda level, name, **fields: lines.append((level, name, fields["what"])))
    return lines


def made(*, began=0.0, **more):
    table = NodeTable.create(1)
    return Alarms(Settings.model_validate(more), table.writer(0), "node", began), table


def test_mail_that_stops_is_told_once_and_its_return_too(logged):
    alarms, table = made()
    days = Days()
    for _ in range(2):
        alarms.hear_streams(days, NOW_SLOT * 600.0)
    text = "no message came for 1 h 30 min, and in each of the last 4 weeks at least 40 came by this time"
    assert logged == [("warning", "silence", text)]
    assert [(each.of, each.text) for each in alarms.now()] == [("mail", text)]
    assert sum(table.gauge(Gauge.SILENT_MAIL)) == 5400
    days.found.came[NOW_SLOT - 1] = 1
    alarms.hear_streams(days, NOW_SLOT * 600.0)
    assert logged[1:] == [("info", "silence.over", "no message came")]
    assert alarms.now() == []
    assert sum(table.gauge(Gauge.SILENT_MAIL)) == 0


def test_an_alarm_that_lasts_is_told_each_hour(logged, monkeypatch):
    alarms, _ = made()
    clock = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    for minute in range(125):
        clock[0] = minute * 60.0
        alarms.hear_streams(Days(), NOW_SLOT * 600.0)
    assert len(logged) == 3


def test_what_is_off_is_not_told(logged):
    alarms, _ = made(silence={"mail": "off", "quarantine": "off"})
    alarms.hear_streams(Days(), NOW_SLOT * 600.0)
    assert logged == []


def test_a_quarantine_with_a_limit_of_its_own(logged):
    alarms, table = made(silence={"mail": "off", "quarantine": "1h"})
    days = Days()
    days.found.held[NOW_SLOT - 12] = 1
    alarms.hear_streams(days, NOW_SLOT * 600.0)
    assert [what for _, _, what in logged] == ["no message was held for 1 h 50 min, and the limit is 1 h"]
    assert table.gauge(Gauge.SILENT_QUARANTINE)[0] == 6600


def test_the_clock_on_the_wall_counts(logged, monkeypatch):
    """After the change to winter time all comes an hour later by UTC, and is not missed."""
    change = (NOW_SLOT - 3 * 144) * 600

    def wall(at):
        return type("Time", (), {"tm_gmtoff": 7200 if at < change else 3600})

    monkeypatch.setattr(module.time, "localtime", wall)
    alarms, _ = made()
    usual = {NOW_SLOT - week * WEEK - 6: 40 for week in range(1, 6)}  # an hour earlier: it is due at NOW_SLOT now
    days = Days()
    days.found = Streams(Counter({NOW_SLOT - 400: 1, **usual}), Counter())
    alarms.hear_streams(days, NOW_SLOT * 600.0)
    assert logged == []


def test_tasks_that_are_not_done(logged):
    now = time.time()
    alarms, table = made(began=now - 1060)
    alarms.hear_tasks([("expire", now - 20, 30.0), ("load traces", now - 1000, 1.0), ("sign log", 0.0, 60.0)])
    assert [what for _, _, what in logged] == [
        "background task load traces was not done for 16 min 40 s, and the limit is 15 min",
        "background task sign log was not done for 17 min 40 s, and the limit is 15 min",
    ]
    assert table.gauge(Gauge.SILENT_BACKGROUND)[0] == 1060


def test_a_task_is_not_missed_of_the_time_before_the_gateway_began(logged):
    alarms, _ = made(began=time.time() - 100)
    alarms.hear_tasks([("expire", time.time() - 100_000, 30.0)])
    assert logged == []


async def answer_version(reader, writer):
    await reader.readuntil(b"zVERSION\0")
    day = time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(1_700_000_000))
    writer.write(f"1: ClamAV 1.4.1/27400/{day}\0".encode())
    await writer.drain()
    await reader.read()
    writer.close()


async def test_signatures_that_stay_old(catalog: Catalog, logged):
    server = await asyncio.start_server(answer_version, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        servers = [f"127.0.0.1:{port}", "127.0.0.1:1"]  # of the second nothing is known
        alarms, table = made(scanners=[{"name": "av", "kind": "clamd", "servers": servers}])
        for _ in range(2):
            await asyncio.to_thread(alarms.ask_engines, catalog)
    engine = f"node av 127.0.0.1:{port}"
    with catalog.read() as connection:
        assert times(connection) == {engine: [1_700_000_000_000]}
    alarms.hear_engines(catalog)
    assert logged == []  # one time says nothing of what is usual
    with catalog.write() as connection:
        for day in range(1, 6):
            note(connection, engine, (1_700_000_000 - day * 86400) * 1000)
            note(connection, "node gone 192.0.2.1:1", day)  # of a scanner that the settings do not name any more
    alarms.hear_engines(catalog)
    (line,) = logged
    assert line[2].startswith(f"127.0.0.1:{port} of scanner av has had no newer signatures or rules for ")
    assert line[2].endswith("and the longest of the last 5 gaps was 1 d")
    assert table.gauge(Gauge.SILENT_SIGNATURES)[0] > 86400


def test_of_each_engine_the_last_times_are_kept(catalog: Catalog):
    for at in range(KEPT + 5):
        with catalog.write() as connection:
            note(connection, "a", at)
            note(connection, "b", 7)
    with catalog.read() as connection:
        assert times(connection) == {"a": list(range(5, KEPT + 5)), "b": [7]}
