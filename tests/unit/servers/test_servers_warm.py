"""servers.warm: a forked `mpp` behaves as one with an interpreter of its own."""

import os
import signal
import subprocess
import sys

import pytest

from servers.gateway import ROOT
from servers.warm import Forked


def test_it_ends_and_complains_as_one_with_an_interpreter_of_its_own(tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    own = subprocess.run(
        [sys.executable, "-m", "mpp", "check", "--settings", "none.toml"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
    )
    process = Forked(["check", "--settings", "none.toml"], tmp_path, variables)
    assert process.stderr.read() == own.stderr
    assert process.wait(20) == own.returncode
    assert own.returncode


def test_its_folder_and_session_are_its_own(tmp_path):
    fifo = tmp_path / "mail"
    os.mkfifo(fifo)
    process = Forked(["scan", "mail"], tmp_path, {})
    with fifo.open("wb"):  # opens once it reads there
        assert os.getsid(process.pid) == process.pid
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(20) == process.poll() == -signal.SIGKILL
    process.terminate()  # nobody else is meant by its id
