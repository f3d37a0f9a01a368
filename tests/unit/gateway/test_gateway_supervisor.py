"""The supervisor, what of it can be seen without a process: a worker that cannot be started is tried again."""

import errno

from mpp.gateway import supervisor
from mpp.gateway.children import Child
from mpp.gateway.settings import Settings
from mpp.net.metrics import Gauge


def test_a_process_that_cannot_be_started_is_tried_again_soon(monkeypatch, capfd):
    started = []

    def start(child: Child, now: float) -> None:
        started.append(now)
        if len(started) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        child.pid = 1

    monkeypatch.setattr(Child, "start", start)
    bound = supervisor.Bound([[]], None)
    made = supervisor._Supervisor(Settings(), None, lambda _context: None, None, bound, 10.0, 30.0)
    for now in (100.0, 100.5, 101.0, 101.5):
        made._begin(now)
    assert started == [100.0, 101.0]
    assert "Cannot allocate memory" in capfd.readouterr().err


def test_a_background_process_that_makes_no_rounds_is_seen_in_the_metrics(monkeypatch):
    clock = [1_800_000_000.0]
    monkeypatch.setattr(supervisor.time, "time", lambda: clock[0])
    bound = supervisor.Bound([[]], None)
    made = supervisor._Supervisor(Settings(), None, lambda _: None, lambda _: None, bound, 10.0, 30.0)
    table = made._table

    def gauge_after(seconds: float) -> int:
        clock[0] += seconds
        made._hear_background()
        return sum(table.gauge(Gauge.SILENT_BACKGROUND))

    assert gauge_after(800.0) == 0
    assert gauge_after(200.0) == 1000  # it has made none since the start
    table.writer(table.workers).set(Gauge.BACKGROUND_ROUND, int(clock[0]))
    table.writer(table.workers).set(Gauge.SILENT_BACKGROUND, 0)
    table.clear(table.workers, 0.0)
    assert gauge_after(800.0) == 0
    assert gauge_after(200.0) == 1000  # nor since it died
