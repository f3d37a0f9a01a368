"""Children of the supervisor: their ends in words, their orders, the pauses between short lives."""

import errno
import faulthandler
import os
import signal
import socket

import pytest

from mpp.gateway.children import Child, pause


def run(body):
    """Start a child and return how it ended."""
    child = Child("test", body)
    child.start(100.0)
    pid = child.pid
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return child.reap(100.5)


@pytest.mark.parametrize(
    ("body", "end"),
    [
        pytest.param(lambda control: None, "exit status 0", id="returns"),
        pytest.param(lambda control: os._exit(3), "exit status 3", id="exits"),
        pytest.param(lambda control: exec("raise SystemExit(4)"), "exit status 4", id="SystemExit"),
        pytest.param(lambda control: exec("raise SystemExit('why')"), "exit status 1", id="SystemExit with a text"),
        pytest.param(lambda control: exec("1 / 0"), "exit status 1", id="raises"),
        pytest.param(lambda control: os.kill(os.getpid(), signal.SIGKILL), "signal SIGKILL", id="is killed"),
        pytest.param(lambda control: os.kill(os.getpid(), signal.SIGTERM), "signal SIGTERM", id="SIGTERM ends it"),
        pytest.param(
            lambda control: os.kill(os.getpid(), signal.SIGINT), "exit status 0", id="Ctrl-C is ours to answer"
        ),
    ],
)
def test_ends(body, end):
    assert run(body) == end


def test_it_talks_until_its_end():
    def body(control):
        assert control.recv(1) == b"r"
        control.sendall(b"RL")

    child = Child("test", body)
    child.start(0.0)
    assert child.control is not None
    assert child.receive() == b""  # nothing said yet: the connection stays
    assert child.control is not None
    child.send(b"r")
    child.control.setblocking(True)
    assert child.receive() == b"RL"
    assert child.receive() == b""
    assert child.control is None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.reap(9.0) == "exit status 0"
    child.send(b"r")
    child.signal(signal.SIGKILL)


def test_a_running_child_is_not_reaped():
    def body(control):
        faulthandler.disable()
        control.send(b"R")
        control.recv(1)

    child = Child("test", body)
    child.start(0.0)
    assert child.reap(0.0) is None
    assert child.control is not None
    child.control.setblocking(True)
    assert child.receive() == b"R"
    child.abort(5.0)
    assert child.kill_at == 5.5
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert child.reap(6.0) == "signal SIGABRT"


@pytest.mark.parametrize("fails", [(os, "fork"), (socket, "socketpair")], ids=["fork", "socketpair"])
def test_a_start_without_room_changes_nothing(monkeypatch, fails):
    def no_room(*_):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    child = Child("test", lambda control: None)
    before = len(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with monkeypatch.context() as patched:
        patched.setattr(*fails, no_room)
        with pytest.raises(BlockingIOError):
            child.start(0.0)
    assert (len(os.listdir("/proc/self/fd")), signal.pthread_sigmask(signal.SIG_BLOCK, ())) == before
    assert (child.pid, child.control) == (0, None)


def test_pauses_grow_with_short_lives_in_a_row():
    assert [pause(lives) for lives in range(10)] == [0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause(100_000) == 5.0


def test_a_long_life_is_followed_at_once():
    child = Child("test", lambda control: None)
    for now, lives in ((100.0, 1), (200.0, 2), (300.0, 3)):
        child.start(now)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        child.reap(now + 0.1)
        assert child.short_lives == lives
    assert child.start_at == pytest.approx(300.3)
    child.start(400.0)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    child.reap(402.0)
    assert (child.short_lives, child.start_at) == (0, 402.0)
