"""What systemd passes and hears."""

import os
import socket

import pytest

from mpp.gateway.systemd import Notifier, passed_sockets


@pytest.fixture
def ears(tmp_path, monkeypatch):
    """A socket that hears what systemd would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield heard


def test_what_it_says(ears):
    notifier = Notifier()
    notifier.ready()
    notifier.reloading()
    notifier.stopping()
    assert ears.recv(100) == b"READY=1"
    assert ears.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
    assert ears.recv(100) == b"STOPPING=1"
    assert "NOTIFY_SOCKET" not in os.environ  # children say nothing in our name


def test_the_watchdog_hears_twice_a_period(ears, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    for now in (100.0, 100.5, 100.9, 101.0, 102.5):
        notifier.alive(now)
    heard = []
    while True:
        try:
            heard.append(ears.recv(100))
        except BlockingIOError:
            break
    assert heard == [b"WATCHDOG=1"] * 3


@pytest.mark.parametrize(("period", "pid"), [("", ""), ("soon", ""), ("2000000", "1")])
def test_no_watchdog_where_none_is_meant(ears, monkeypatch, period, pid):
    monkeypatch.setenv("WATCHDOG_USEC", period)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    notifier = Notifier()
    notifier.alive(1e9)
    assert notifier.watchdog_s == 0.0
    with pytest.raises(BlockingIOError):
        ears.recv(100)


def test_without_systemd_nothing_happens(monkeypatch):
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS"):
        monkeypatch.delenv(name, raising=False)
    Notifier().ready()
    assert passed_sockets() == {}


def test_a_notify_socket_that_has_gone_is_no_fault(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().ready()


def test_sockets_meant_for_another_process_are_left_alone(monkeypatch):
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "3")
    assert passed_sockets() == {}
    assert "LISTEN_FDS" not in os.environ
