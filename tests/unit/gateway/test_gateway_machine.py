"""mpp.gateway.machine: what this machine lacks of what the settings ask for."""

import os
import pwd
import socket

import pytest

from mpp.gateway import machine
from mpp.gateway.settings import Settings

ME = pwd.getpwuid(os.geteuid()).pw_name


def listening(address):
    return Settings.model_validate({"listeners": [{"name": "a", "address": address}]})


def told(problems):
    return [(".".join(map(str, each.path)), each.what, each.severity) for each in problems]


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_a_free_port_holds():
    assert told(machine.ports(listening("127.0.0.1:0"))) == []


def test_a_taken_port(taken):
    expected = [("listeners.0.address", f"127.0.0.1:{taken} is taken by another program", "error")]
    assert told(machine.ports(listening(f"127.0.0.1:{taken}"))) == expected


def test_the_port_of_the_status_page(taken):
    settings = Settings.model_validate({"node": {"status": f"127.0.0.1:{taken}"}})
    assert [each.path for each in machine.ports(settings)] == [("node", "status")]


def test_our_own_port_is_no_fault():
    with socket.socket() as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        ours.bind(("127.0.0.1", 0))
        ours.listen()
        assert told(machine.ports(listening(f"127.0.0.1:{ours.getsockname()[1]}"))) == []


def test_an_address_of_another_machine():
    expected = [("listeners.0.address", "192.0.2.1:2525 is no address of this machine", "error")]
    assert told(machine.ports(listening("192.0.2.1:2525"))) == expected


def test_unix_paths(tmp_path):
    assert told(machine.ports(listening(f"unix:{tmp_path}/x"))) == []
    assert "is no folder" in told(machine.ports(listening(f"unix:{tmp_path}/no/x")))[0][1]
    (tmp_path / "file").touch()
    assert "is there and no socket" in told(machine.ports(listening(f"unix:{tmp_path}/file")))[0][1]


def test_accounts():
    assert told(machine.account(Settings.model_validate({"node": {"user": ME}}))) == []
    settings = Settings.model_validate({"node": {"user": "no-such-user", "group": "no-such-group"}})
    assert told(machine.account(settings)) == [
        ("node.user", '"no-such-user" does not exist', "error"),
        ("node.group", '"no-such-group" does not exist', "error"),
    ]


def test_another_user_without_being_root(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    settings = Settings.model_validate({"node": {"user": "root"}})
    assert told(machine.account(settings)) == [("node.user", '"root" can be taken only by root or by itself', "error")]


def folder_problems(folder, monkeypatch, free=10 << 30, writable=True):
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    monkeypatch.setattr(machine.os, "access", lambda *_: writable)
    return [
        (each.what, each.severity) for each in machine.data_folder(Settings.model_validate({"node": {"data": folder}}))
    ]


def test_data_folder(tmp_path, monkeypatch):
    assert folder_problems(tmp_path, monkeypatch) == []
    assert folder_problems(tmp_path / "not" / "yet", monkeypatch) == []
    assert folder_problems(tmp_path, monkeypatch, free=500 << 20) == [
        (f'"{tmp_path}" has 500 MiB of free disk', "warning")
    ]
    assert folder_problems(tmp_path, monkeypatch, free=99 << 20) == [(f'"{tmp_path}" has 99 MiB of free disk', "error")]
    assert folder_problems(tmp_path, monkeypatch, writable=False) == [(f'"{tmp_path}" cannot be written to', "error")]
    assert folder_problems(tmp_path / "a", monkeypatch, writable=False) == [(f'"{tmp_path}/a" cannot be made', "error")]
    (tmp_path / "file").touch()
    assert folder_problems(tmp_path / "file", monkeypatch) == [(f'"{tmp_path}/file" is no folder', "error")]
