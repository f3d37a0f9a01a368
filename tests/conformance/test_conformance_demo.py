"""`mpp demo` as a person starts it: with real scanners, and nothing left behind."""

import contextlib
import os
import re
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.gateway import ROOT
from servers.installed import installed

COMMAND = [sys.executable, "-m", "mpp", "demo"]
CLOSING = re.compile(
    r"^demo: (\d+) sent, (\d+) delivered, (\d+) tagged, (\d+) quarantined, (\d+) refused, (\d+) discarded, "
    r"(\d+) deferred, (\d+) lost$"
)


@pytest.fixture
def environment(server_folder: Path) -> dict[str, str]:
    """Its temporary folder is the test's, so that what it leaves behind is found."""
    installed("spamd")
    installed("clamd")
    folder = Path(tempfile.mkdtemp(dir=server_folder))
    folder.chmod(0o711)  # spamd and clamd run under users of their own
    return {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT), "COLUMNS": "200"}


def left_behind(environment: dict[str, str]) -> list[str]:
    """Files in its folder, and processes that were started with it."""
    mark = f"TMPDIR={environment['TMPDIR']}".encode()
    found = [str(path) for path in Path(environment["TMPDIR"]).iterdir()]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_once_ends_by_itself_and_loses_nothing(environment: dict[str, str]) -> None:
    done = subprocess.run(
        [*COMMAND, "--once"], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    closing = CLOSING.match(done.stdout.rstrip("\n").rpartition("\n")[2])
    assert closing, done.stdout
    sent, *fates = map(int, closing.groups())
    assert sum(fates) == sent == 20
    assert fates == [11, 1, 3, 3, 1, 1, 0], done.stdout
    assert re.search(r"^    mpp quarantine release [0-9a-f]{24} --settings /", done.stdout, re.MULTILINE)
    assert "Eicar-Test-Signature" in done.stdout
    assert left_behind(environment) == []


class Running:
    """`mpp demo` until it is interrupted, with its lines as they come."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.lines: list[str] = []
        self._came = threading.Condition()
        self.process = subprocess.Popen(
            COMMAND,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            with self._came:
                self.lines.append(line.rstrip("\n"))
                self._came.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._came:
            assert self._came.wait_for(found, 80), "\n".join(self.lines)
            match = found()
        assert match
        return match


@pytest.fixture
def running(environment: dict[str, str]) -> Iterator[Running]:
    demo = Running(environment)
    yield demo
    if demo.process.poll() is None:
        demo.process.terminate()
        demo.process.wait(30)


def test_it_stays_up_shows_what_arrives_and_stops_on_ctrl_c(running: Running, environment: dict[str, str]) -> None:
    port = int(running.wait_for(r"^gateway: 127\.0\.0\.1:(\d+)")[1])
    running.wait_for("Ctrl-C ends")
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail(
            "eve@example.net",
            "bob@example.org",
            "Subject: Hello\u202e\x1b[31m [red]there[/red]\r\n\r\nNoon\r\n".encode(),
        )
    shown = running.wait_for(r"^inbox .*Hello.*there")
    assert r"Hello\u202e\x1b[31m [red]there[/red]" in shown.string
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(30) == 0
    assert left_behind(environment) == []


def test_terminated_at_its_start_it_leaves_nothing(running: Running, environment: dict[str, str]) -> None:
    running.wait_for("^spamd:")
    running.process.terminate()
    assert running.process.wait(30) == 0
    assert left_behind(environment) == []


def test_a_taken_port_is_told_and_another_one_used(environment: dict[str, str]) -> None:
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # taken already: the same to the demo
            stack.enter_context(socket.create_server(("127.0.0.1", 2525)))
        running = Running(environment)
        try:
            port = running.wait_for(r"2525 is taken .* takes (\d+) instead")[1]
            running.wait_for(rf"^gateway: 127\.0\.0\.1:{port}")
            running.wait_for("Ctrl-C ends")
        finally:
            running.process.terminate()
            running.process.wait(30)


def test_a_scanner_that_cannot_start_is_told_and_done_without(environment: dict[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "clamd"
    broken.write_text("#!/bin/sh\necho 'no memory left' >&2\nexit 3\n")
    broken.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        [*COMMAND, "--once"],
        env={**environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "clamd ended with 3:\nno memory left\nGoing on without it." in done.stdout
    assert done.stdout.endswith("13 delivered, 1 tagged, 1 quarantined, 3 refused, 1 discarded, 1 deferred, 0 lost\n")
    assert left_behind(environment) == []
