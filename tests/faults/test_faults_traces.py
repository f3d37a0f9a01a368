"""Traces and the background process when processes die, disks fill and the catalog is away: no trace twice, none lost but
those of the last second before a kill, and mail goes on."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from mpp.gateway.recorder import spool_folder
from mpp.store.background import open_tasks
from mpp.store.catalog import catalog_url, open_catalog
from mpp.store.settings import Store
from mpp.store.spool import SpoolError, SpoolFile, SpoolWriter, spool_files
from mpp.store.trace import Trace
from mpp.store.trace_days import TraceDays, traces_folder
from mpp.store.trace_line import write
from servers.dialogue import Dialogue
from servers.gateway import Gateway, MakeGateway
from servers.postgresql import Postgresql, binaries
from servers.sender import Sender
from servers.sink import Sink

LOST_S = 1.0  # the traces of so long before a kill may be lost
ONE = b"Subject: one\r\n\r\ntext\r\n.\r\n"


@contextmanager
def traces(data: Path, setting: str = "") -> Iterator[TraceDays]:
    catalog = open_catalog(catalog_url(setting, "", data))
    days = TraceDays(catalog, traces_folder(data))
    yield days
    days.close()
    catalog.close()


def empty(folder: Path, timeout_s: float = 40.0) -> None:
    """Wait until the spool is loaded."""
    until = time.monotonic() + timeout_s
    while spool_files(folder):
        assert time.monotonic() < until, spool_files(folder)
        time.sleep(0.05)


def send(port: int) -> int:
    with Dialogue(port) as dialogue:
        dialogue.hello()
        dialogue.envelope()
        return dialogue.data(ONE).code


def test_kills_lose_no_trace_but_the_last_second_and_double_none(
    gateway: MakeGateway, sink: Sink, soak: bool, request: pytest.FixtureRequest
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    if soak:
        request.node.add_marker(pytest.mark.timeout(1800))
    made = gateway(sink, workers=2, more={"limits": {"commands": 100_000}})
    made.wait_for("background.ready", 30)
    senders = [Sender(made.port, ("bob@example.org",)) for _ in range(2)]
    killed: list[float] = []
    for number in range(200 if soak else 10):
        threading.Event().wait(chance.uniform(0, 0.7))
        pids = made.pids("background" if number % 2 else "worker")
        if pids:
            seen = len(made.lines)
            killed.append(time.time() * 1000)
            os.kill(chance.choice(pids), signal.SIGKILL)
            made.wait_for("process.died", since=seen)
    sent = [message for sender in senders for message in sender.finish()]
    assert made.stop() == 0
    data = made.folder / "data"
    again = gateway("127.0.0.1:1", more={"node": {"data": str(data)}})  # its background process loads what is left
    empty(spool_folder(data))
    with traces(data) as days:
        kept = [trace.id for trace in days.backwards()]
    assert len(kept) == len(set(kept)), f"seed {seed}"
    arrived = [(message.last.rpartition("id=")[2], message) for message in sent if message.code == 250]
    lost = [identity for identity, _ in arrived if identity not in set(kept)]
    times = {identity: at for identity, at in _times(made).items() if identity in lost}
    late = [identity for identity in lost if not any(0 <= at - times[identity] <= LOST_S * 1000 for at in killed)]
    assert late == [], f"seed {seed}: {len(lost)} of {len(arrived)} lost"
    assert len(arrived) > 50
    assert again.stop() == 0


def _times(made: Gateway) -> dict[str, float]:
    """When each message was told to the log, by its id, in milliseconds since 1970."""
    from datetime import datetime

    found = {}
    for line in made.lines:
        if " event=message " in line:
            fields = dict(each.partition("=")[::2] for each in line.split(" ") if "=" in each)
            found[fields["id"]] = datetime.fromisoformat(fields["time"]).timestamp() * 1000
    return found


def test_mail_goes_on_without_the_catalog_and_traces_are_complete_in_the_end(
    gateway: MakeGateway, sink: Sink, tmp_path_factory: pytest.TempPathFactory
) -> None:
    programs = binaries()
    if programs is None:
        pytest.skip("postgresql is not installed: packaging/apt.sh peers")
    import tempfile

    with tempfile.TemporaryDirectory(prefix="mpp-pg-") as place:
        Path(place).chmod(0o711)
        with Postgresql(Path(place) / "pg", programs) as server:
            url = server.database()
            made = gateway(sink, more={"store": {"catalog": url}})
            made.wait_for("background.ready", 30)
            assert send(made.port) == 250
            server.stop("immediate")
            assert [send(made.port) for _ in range(5)] == [250] * 5
            made.wait_for("event=background.failed|event=background.waits", 30)
            server.start()
            assert send(made.port) == 250
            assert made.stop() == 0
            again = gateway(sink, more={"store": {"catalog": url}, "node": {"data": str(made.folder / "data")}})
            empty(spool_folder(made.folder / "data"))
            with traces(made.folder / "data", url) as days:
                kept = [trace.id for trace in days.backwards()]
            assert (len(kept), len(set(kept))) == (7, 7)
            assert again.stop() == 0


def test_of_two_background_processes_one_works(gateway: MakeGateway, sink: Sink) -> None:
    # An interpreter each: what depends on the secret of its hashes would not be understood by the other.
    first = gateway(sink, own_interpreter=True)
    first.wait_for("background.elected", 30)
    second = gateway(sink, own_interpreter=True, more={"node": {"data": str(first.folder / "data")}})
    assert send(second.port) == 250
    with pytest.raises(AssertionError):
        second.wait_for("background.elected", 1.5)
    with traces(first.folder / "data") as days:  # the first one loads for both
        until = time.monotonic() + 20
        while not days.newest(None, 1):
            assert time.monotonic() < until
            time.sleep(0.05)
    first.kill()
    second.wait_for("background.elected", 20)


def test_of_two_nodes_at_one_catalog_one_is_elected(postgresql: Postgresql, tmp_path: Path) -> None:
    from mpp.gateway.election import Election

    url = postgresql.database()
    nodes = [open_tasks(Store(catalog=url), tmp_path, name) for name in ("a", "b")]
    elections = [Election(node.catalog) for node in nodes]
    assert [each.held() for each in elections] == [True, False]
    assert [each.held() for each in elections] == [True, False]
    elections[0].end()  # as its death would
    until = time.monotonic() + 10
    while not elections[1].held():
        assert time.monotonic() < until
        time.sleep(0.02)
    assert not elections[0].held()
    for each, node in zip(elections, nodes, strict=True):
        each.end()
        node.close()
    postgresql.drop(url)


def test_a_silent_background_process_is_replaced(gateway: MakeGateway, sink: Sink) -> None:
    serve = str(Path(__file__).parent / "supervised" / "serve.py")
    made = gateway(sink, script=serve, environment={"MPP_TEST_SILENCE_S": "0.5"})
    made.wait_for("background.ready", 30)
    (pid,) = made.pids("background")
    seen = len(made.lines)
    os.kill(pid, signal.SIGSTOP)
    made.wait_for("background.silent", 20)
    made.wait_for("background.ready", 30, since=seen)
    assert made.pids("background") != [pid]
    assert send(made.port) == 250


def test_a_spool_that_is_full_stops_no_mail_and_is_told(gateway: MakeGateway, sink: Sink, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    spool_folder(folder).mkdir(parents=True)
    held = open_writer(folder)  # a file that the loader must leave where it is
    made = gateway(sink, more={"node": {"data": str(folder)}, "store": {"trace_spool": "1 MiB"}})
    assert send(made.port) == 250
    made.wait_for("event=traces.lost", 20)
    assert made.metrics()['mpp_traces_total{state="lost"}'] >= 1
    held.close()
    assert send(made.port) == 250
    with traces(folder) as days:
        until = time.monotonic() + 30
        while not any(trace.reverse_path for trace in days.newest(None, 1)):
            send(made.port)
            assert time.monotonic() < until
            time.sleep(0.1)


def open_writer(folder: Path) -> SpoolWriter:
    """A worker that holds a file of more than 1 MiB, as one that writes it just now."""
    writer = SpoolWriter(spool_folder(folder), "9", 1 << 30)
    noise = random.Random(1)
    for number in range(12):
        lines = [write(Trace(f"{number}-{each}-{noise.randbytes(700).hex()}", 1)) for each in range(200)]
        writer.write(lines)
    return writer


@pytest.mark.parametrize("n", range(12))
def test_the_nth_write_or_sync_fails_and_no_frame_is_torn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int
) -> None:
    calls = [0]

    def failing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object) -> object:
            calls[0] += 1
            if calls[0] == n + 1:
                raise OSError(28, "No space left on device")
            return real(*arguments)

        return call

    writer = SpoolWriter(tmp_path, "0", 1 << 20)
    for name in ("write", "fdatasync"):
        monkeypatch.setattr(os, name, failing(getattr(os, name)))
    written: list[str] = []
    for number in range(4):
        line = write(Trace(f"id{number}", number))
        with suppress(SpoolError):
            writer.write([line])
            written.append(line)
            writer.sync()
    monkeypatch.undo()
    writer.close()
    found = [
        line.decode() for path in spool_files(tmp_path) for frame in SpoolFile(path).frames() for line in frame.lines()
    ]
    assert found == written
    assert not list(tmp_path.glob("*.new"))


def test_a_clock_that_goes_back_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces written while the clock stood in 1970, and others from next year, are found, once, and the old day goes."""
    tasks = open_tasks(Store(keep_traces=30 * 86400), tmp_path, "node")
    for number, moved in enumerate((-(10**18), 0, 365 * 86400 * 10**9, 0)):
        now = time.time_ns() + moved if moved > -(10**18) else 1
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        writer = SpoolWriter(spool_folder(tmp_path), "0", 1 << 20)
        writer.write([write(Trace(f"id{number}", now // 1_000_000))])
        writer.close()
        monkeypatch.undo()
    assert tasks.load_traces(spool_folder(tmp_path)).traces == 4
    assert spool_files(spool_folder(tmp_path)) == []
    with traces(tmp_path) as days:
        for number in range(4):
            assert [each.id for each in days.find(f"id{number}", None, 5)] == [f"id{number}"]
        assert len(days.days()) == 3
    assert tasks.drop_traces() == []
    tasks.close()
