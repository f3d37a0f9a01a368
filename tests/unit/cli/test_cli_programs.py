"""Programs of our own: they answer, or the reason is told and nothing is left running."""

import socket
import sys
from pathlib import Path

import pytest

from mpp.cli.programs import (
    ProgramError,
    clamd_answers,
    find_program,
    free_port,
    is_free,
    launch,
    port_answers,
    spamd_answers,
    wait_until,
)

FOREVER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]


def test_a_free_port_is_one_that_can_be_bound() -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        assert port_answers(("127.0.0.1", port))
        assert not is_free("127.0.0.1", port)
    assert is_free("127.0.0.1", port)
    assert not port_answers(("127.0.0.1", port))


def test_nobody_there_is_no_answer() -> None:
    address = ("127.0.0.1", free_port())
    assert not spamd_answers(address)
    assert not clamd_answers(address)
    assert not clamd_answers("/nowhere/clamd.ctl")


def test_a_program_is_stopped_at_the_end_of_its_context(tmp_path: Path) -> None:
    with launch("forever", FOREVER, tmp_path / "log") as program:
        wait_until(lambda: b"up" in program.log.read_bytes(), program, 20)
        assert program.process.poll() is None
    assert program.process.returncode is not None
    program.stop()  # a second time does nothing


def test_one_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no such database')"]
    program = launch("clamd", command, tmp_path / "log")
    with pytest.raises(ProgramError, match="clamd ended with 1:\nno such database"):
        wait_until(lambda: False, program, 20)


def test_one_that_never_answers_is_stopped(tmp_path: Path) -> None:
    program = launch("forever", FOREVER, tmp_path / "log")
    with pytest.raises(ProgramError, match="did not answer within 0 s"):
        wait_until(lambda: False, program, 0.1)
    assert program.process.returncode is not None


def test_an_interrupted_wait_leaves_nothing_running(tmp_path: Path) -> None:
    def interrupt() -> bool:
        raise KeyboardInterrupt

    program = launch("forever", FOREVER, tmp_path / "log")
    with pytest.raises(KeyboardInterrupt):
        wait_until(interrupt, program, 20)
    assert program.process.returncode is not None


def test_what_is_not_installed_is_not_found() -> None:
    assert find_program("surely-no-such-program") is None
