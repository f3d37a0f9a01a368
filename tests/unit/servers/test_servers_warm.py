"""servers.warm: a forked `mpp` behaves as one with an interpreter of its own."""

import os
import signal
import subprocess
import sys

import pytest

from servers.gateway import ROOT
from servers.warm import Server, run


def test_it_ends_and_complains_as_one_with_an_interpreter_of_its_own(tmp_path):
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    own = subprocess.run(
        [sys.executable, "-m", "mpp", "check", "--settings", "none.toml"],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
    )
    process = Server(["check", "--settings", "none.toml"], tmp_path, variables)
    assert process.stderr.read() == own.stderr
    assert process.wait(20) == own.returncode
    assert own.returncode


def test_its_folder_and_session_are_its_own(tmp_path):
    fifo = tmp_path / "mail"
    os.mkfifo(fifo)
    process = Server(["scan", "mail"], tmp_path, {})
    with fifo.open("wb"):  # opens once it reads there
        assert os.getsid(process.pid) == process.pid
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        assert process.wait(20) == process.poll() == -signal.SIGKILL
    process.terminate()  # nobody else is meant by its id


def test_a_command_reads_and_writes_much(tmp_path):
    (tmp_path / "table").write_text("/nobody/ there\n")
    keys = b"nobody\n" * 100_000
    done = run("filters", "map", f"regexp:{tmp_path}/table", sent=keys)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"nobody\tthere\n" * 100_000
