"""The recorder of a worker: behind the reply, durable where asked, ten refusals of a host in a minute, nothing stops mail."""

import asyncio
import os
from pathlib import Path

import pytest

from mpp.gateway.recorder import TOLD, Recorder
from mpp.mail.envelope import Client
from mpp.net.metrics import Counter
from mpp.net.table import NodeTable
from mpp.store.spool import SpoolError, SpoolFile, spool_files
from mpp.store.trace import Trace
from mpp.store.trace_line import read

MIB = 1 << 20


def kept(folder: Path) -> list[Trace]:
    return [read(line) for path in spool_files(folder) for frame in SpoolFile(path).frames() for line in frame.lines()]


def refusal(host: str, number: int) -> Trace:
    return Trace(f"{host}-{number}", 1, "refused", client=Client(host))


async def test_what_was_added_is_there_at_the_end(tmp_path: Path):
    recorder = Recorder(tmp_path, MIB, NodeTable.create(1).writer(0))
    running = asyncio.create_task(recorder.run())
    for number in range(3):
        recorder.add(Trace(f"id{number}", number))
    recorder.end()
    await running
    assert [trace.id for trace in kept(tmp_path)] == ["id0", "id1", "id2"]


async def test_durable_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (synced.append(len(kept(tmp_path))), real(descriptor))[1])
    recorder = Recorder(tmp_path, MIB, NodeTable.create(1).writer(0))
    running = asyncio.create_task(recorder.run())
    await recorder.durable(Trace("id", 1, "discard"))
    assert synced[-1:] == [1]
    recorder.end()
    await running


async def test_a_disk_that_takes_nothing_is_told_to_who_waits_and_counted(tmp_path: Path):
    table = NodeTable.create(1)
    (tmp_path / "spool").write_text("no folder")
    recorder = Recorder(tmp_path / "spool", MIB, table.writer(0))
    running = asyncio.create_task(recorder.run())
    recorder.add(Trace("one", 1))
    with pytest.raises(SpoolError):
        await recorder.durable(Trace("two", 2))
    recorder.end()
    await running
    assert table.counter(Counter.TRACES_LOST) == 2
    assert table.counter(Counter.TRACES_SPOOLED) == 0


async def test_ten_refusals_of_a_host_in_a_minute_at_the_whole_node(tmp_path: Path):
    table = NodeTable.create(2)
    recorders = [Recorder(tmp_path, MIB, table.writer(slot)) for slot in range(2)]
    running = [asyncio.create_task(recorder.run()) for recorder in recorders]
    for number in range(20):
        recorders[number % 2].refusal(refusal("192.0.2.1", number), 100.0)
    recorders[0].refusal(refusal("192.0.2.2", 0), 100.0)
    recorders[1].refusal(refusal("192.0.2.1", 99), 160.0)  # the next minute
    for recorder in recorders:
        recorder.end()
    await asyncio.gather(*running)
    traces = kept(tmp_path)
    told = [trace.id for trace in traces if trace.kind == "refused"]
    assert sorted(told) == sorted([*(f"192.0.2.1-{number}" for number in range(TOLD)), "192.0.2.2-0", "192.0.2.1-99"])
    assert sum(trace.number for trace in traces if trace.kind == "counted") == 10
    assert table.counter(Counter.REFUSALS_COUNTED) == 10
