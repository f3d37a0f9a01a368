"""What is known of a spamd on this machine: version, rules, children."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mpp.checks.scanners.spamd_host import children_of, described, on_this_machine, rules_since, version_in
from mpp.net.connect import Server


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (b"X-Spam-Flag: NO\r\nX-Spam-Checker-Version: SpamAssassin 4.0.1 (2024-03-26) on\r\n\tmx\r\n", "4.0.1"),
        (b"x-spam-checker-version: SpamAssassin 3.4.6-rc1 (x)\n", "3.4.6-rc1"),
        (b"X-Spam-Checker-Version: Other 4\r\n", ""),
        (b"", ""),
        (b"X-Spam-Checker-Version: SpamAssassin \x1b[2J\r\n", ""),
    ],
)
def test_the_version(header: bytes, version: str) -> None:
    assert version_in(header) == version


def test_rules_of_sa_update_go_before_those_that_were_shipped(tmp_path: Path) -> None:
    updated, shipped = tmp_path / "updated", tmp_path / "shipped"
    for number, file in enumerate((shipped / "20_a.cf", updated / "4.000001/old.cf", updated / "4.000001/new.cf")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (1000 - number, 1000 * (3 - number) if number else 9000))
    assert rules_since(updated, shipped) == 2000
    assert rules_since(tmp_path / "none", shipped) == 9000
    assert rules_since(tmp_path / "none", tmp_path / "none") is None


_PARENT = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0)) if sys.argv[1] == "tcp" else socket.socket(socket.AF_UNIX)
if sys.argv[1] != "tcp":
    listening.bind(sys.argv[1]); listening.listen()
for _ in range(3):
    if not os.fork():
        os.execv(sys.executable, ["spamd child", "-c", "input()"])
print(listening.getsockname()[1] if sys.argv[1] == "tcp" else 0, flush=True)
while True:
    os.wait()
"""


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_children_of_who_listens_there(kind: str, tmp_path: Path) -> None:
    place = "tcp" if kind == "tcp" else str(tmp_path / "s")
    parent = subprocess.Popen([sys.executable, "-c", _PARENT, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        port = int(parent.stdout.readline())
        server = Server("x", "127.0.0.1", port, "" if kind == "tcp" else place)
        seen: set[int | None] = set()
        while 3 not in seen:  # a child bears another name until it is there
            seen.add(children_of(server))
        assert seen <= {None, 1, 2, 3}
    finally:
        parent.kill()
        parent.communicate()  # closes the children's input, which ends them


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert children_of(Server("x", "127.0.0.1", listening.getsockname()[1])) is None
    assert children_of(Server("x", "", 0, "/no/such/socket")) is None


@pytest.mark.parametrize(
    ("server", "here"),
    [
        (Server("x", "127.0.0.1", 1), True),
        (Server("x", "::1", 1), True),
        (Server("x", "localhost", 1), True),
        (Server("x", "", 0, "/run/spamd.sock"), True),
        (Server("x", "192.0.2.1", 1), False),
        (Server("x", "spamd.example", 1), False),
    ],
)
def test_only_of_this_machine_more_is_known(server: Server, here: bool) -> None:
    assert on_this_machine(server) is here
    text, rules = described(b"X-Spam-Checker-Version: SpamAssassin 4.0.1 (x)\r\n", server)
    assert (text, rules) == ("SpamAssassin 4.0.1", None)  # nobody listens there
