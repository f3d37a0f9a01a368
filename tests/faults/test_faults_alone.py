"""Commands that must have the data folder for themselves are refused while a gateway runs on it, and the other way round."""

import os
import signal
import time

import pytest

from mpp.store.alone import alone
from servers.gateway import Gateway, MakeGateway
from servers.sink import Sink
from servers.warm import run


def store(mpp: Gateway, command: str) -> tuple[int, str]:
    done = run("store", command, "--settings", str(mpp.file))
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("command", ["rebuild", "compact"])
def test_a_running_gateway_has_its_folder(gateway: MakeGateway, sink: Sink, command: str) -> None:
    mpp = gateway(sink)
    code, said = store(mpp, command)
    assert code == 1
    assert said.startswith(f"a gateway runs on {mpp.folder}/data, or another command is at work there;")
    os.kill(mpp.process.pid, signal.SIGKILL)  # its workers end when they notice
    until = time.monotonic() + 30
    while (answer := store(mpp, command))[0]:
        assert time.monotonic() < until, answer


def test_a_gateway_does_not_start_beside_a_rebuild(gateway: MakeGateway, sink: Sink) -> None:
    mpp = gateway(sink)
    mpp.stop()
    with alone(mpp.folder / "data"):
        assert store(mpp, "rebuild")[0] == 1
        refused = Gateway(mpp.folder, settings=mpp.file.read_text("utf-8"), ready=False)
        assert refused.process.wait(30) == 1
        refused.stop()
    assert "is being rebuilt or compacted by mpp store; try again when that has ended" in refused.stderr
    with Gateway(mpp.folder, settings=mpp.file.read_text("utf-8")):
        pass
