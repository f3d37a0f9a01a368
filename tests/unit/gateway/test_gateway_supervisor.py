"""The supervisor, what of it can be seen without a process: a worker that cannot be started is tried again."""

import errno

from mpp.gateway import supervisor
from mpp.gateway.children import Child
from mpp.gateway.settings import Settings


def test_a_process_that_cannot_be_started_is_tried_again_soon(monkeypatch, capfd):
    started = []

    def start(child: Child, now: float) -> None:
        started.append(now)
        if len(started) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        child.pid = 1

    monkeypatch.setattr(Child, "start", start)
    bound = supervisor._Bound([[]], None)
    made = supervisor._Supervisor(Settings(), None, lambda _context: None, None, bound, 10.0, 30.0)
    for now in (100.0, 100.5, 101.0, 101.5):
        made._begin(now)
    assert started == [100.0, 101.0]
    assert "Cannot allocate memory" in capfd.readouterr().err
