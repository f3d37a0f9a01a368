"""The operator's door: what it answers, who may ask, and clients that misbehave."""

import os
import select
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mpp.gateway.control import CONNECTIONS, Control, ask, orders
from mpp.net.pool.node import SharedNode
from mpp.net.pool.places import Word
from mpp.net.table import NodeTable

SERVER = "127.0.0.1:783"


class Served:
    """A Control with a loop like the supervisor's, in a thread."""

    def __init__(self, folder: Path) -> None:
        self.table = NodeTable.create(2)
        self.node = SharedNode(self.table.writer(0), "sa")
        self.node.say(SERVER, Word(limit=2, answers=7))
        self.told: list[tuple[Any, ...]] = []
        self.control = Control(folder, orders(self.table, lambda *told, **fields: self.told.append((*told, fields))))
        self._ends = threading.Event()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            waiting = select.poll()
            for descriptor in self.control.descriptors():
                waiting.register(descriptor, select.POLLIN)
            for descriptor, _ in waiting.poll(20):
                self.control.ready(descriptor, time.monotonic())

    def stop(self) -> None:
        self._ends.set()
        self.thread.join()
        self.control.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.stop()


def test_servers_of_the_node(served: Served, tmp_path: Path) -> None:
    (answer,) = ask(tmp_path, {"do": "scanners"})
    assert {key: answer[key] for key in ("pool", "server", "state", "in_use", "places", "answers")} == {
        "pool": "sa",
        "server": SERVER,
        "state": "up",
        "in_use": 0,
        "places": 2,
        "answers": 7,
    }


def test_draining_and_its_end(served: Served, tmp_path: Path) -> None:
    drain = {"do": "drain", "pool": "sa", "server": SERVER}
    ask(tmp_path, {**drain, "drained": True})
    assert served.node.drained(SERVER)
    assert ask(tmp_path, {"do": "scanners"})[0]["state"] == "drained"
    ask(tmp_path, {**drain, "drained": False})
    assert not served.node.drained(SERVER)
    assert [event for _, event, _ in served.told] == ["scanner.drained", "scanner.undrained"]


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ({"do": "drain", "pool": "sa", "server": "elsewhere:1", "drained": True}, "sa has no server elsewhere:1"),
        ({"do": "drain", "pool": "sa", "server": SERVER, "drained": "yes"}, "does not know"),
        ({"do": "what"}, "does not know"),
        ({}, "does not know"),
    ],
)
def test_orders_that_cannot_be_carried_out(served: Served, tmp_path: Path, order: dict, error: str) -> None:
    (answer,) = ask(tmp_path, order)
    assert error in answer["error"]


@pytest.mark.parametrize("packet", [b"\xff", b"[1]", b"{" * 5000, b'{"do": "scanners"' + b" " * 20000])
def test_what_is_no_order_is_told_so(served: Served, tmp_path: Path, packet: bytes) -> None:
    with connected(tmp_path) as peer:
        peer.send(packet)
        assert b"error" in peer.recv(4096)
    assert ask(tmp_path, {"do": "scanners"})


def test_silent_clients_keep_nobody_out(served: Served, tmp_path: Path) -> None:
    silent = [connected(tmp_path) for _ in range(CONNECTIONS * 3)]
    assert ask(tmp_path, {"do": "scanners"})
    for peer in silent:
        peer.close()
    assert ask(tmp_path, {"do": "scanners"})


def test_it_is_for_its_own_user_alone(served: Served, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "control").stat().st_mode) & 0o077 == 0


def test_a_long_folder_and_a_socket_left_behind_do_not_matter(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    for _ in range(2):
        served = Served(folder)
        assert ask(folder, {"do": "scanners"})
        served.stop()
    with pytest.raises(OSError):
        ask(folder, {"do": "scanners"})


def connected(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    peer.settimeout(5)
    descriptor = os.open(folder, os.O_RDONLY)
    peer.connect(f"/proc/self/fd/{descriptor}/control")
    os.close(descriptor)
    return peer
